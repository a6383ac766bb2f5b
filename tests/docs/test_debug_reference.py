"""What the page on `kit debug` shows is what it does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support import environment, kit, new_project

PAGE = (REPOSITORY / "docs/reference/debug.md").read_text()
_VARIES = (
    (r"\b[0-9a-f]{10}\b", "ID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"Python [\d.]+, host [\w.-]+", "HOST"),
)


def block(language: str, beginning: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(next(text for text in found if text.startswith(beginning)))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    new_project(folder / "tiny", {"src/tiny/train.py": block("python", "from dataclasses")})
    env = environment(folder / "home")
    kit(folder / "tiny", "run", "+db.password=hunter2-hunter2", env=env, code=1)
    return folder / "tiny"


def settled(text: str, root: Path) -> list[str]:
    text = text.replace(str(root), "/home/me/tiny")
    for pattern, word in _VARIES:
        text = re.sub(pattern, word, text)
    return text.splitlines()


def test_the_crash_reads_as_on_the_page(root: Path) -> None:
    shown = block("console", "$ kit debug last\nrun").partition("\n")[2]
    assert settled(kit(root, "debug", "last").out, root) == settled(shown, root)


def test_the_session_answers_as_on_the_page(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io
    import sys

    from kit import capsule

    shown = block("console", "$ kit debug last\n...").partition("...\n")[2]
    commands = re.findall(r"^\(Pdb\) (.*)$", shown, re.MULTILINE)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join([*commands, "q", ""])))
    (folder,) = (root / ".kit/runs").iterdir()
    capsule.post_mortem(capsule.read(folder))
    typed = re.sub(r"^\(Pdb\) .*\n", "(Pdb) ", shown, flags=re.MULTILINE)
    assert settled(capsys.readouterr().out, root) == settled(f"{typed}(Pdb) ", root)


def test_its_options_are_those_of_the_command(root: Path) -> None:
    told = set(re.findall(r"kit debug (?:RUN|PATH) (--[a-z-]+)", PAGE)) | {"--json"}
    offered = set(re.findall(r"--[a-z-]+", kit(root, "debug", "--help").out)) - {"--help"}
    assert told == offered
