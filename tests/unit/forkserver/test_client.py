"""What a command does before it knows whether it is forked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kit.forkserver import _client
from kit.paths import find_project
from tests.conftest import write


@pytest.mark.parametrize(
    ("arguments", "forked"),
    [
        ([], False),
        (["run"], True),
        (["run", "-m", "x=1,2"], True),
        (["runs"], True),
        (["check", "--changed"], True),
        (["check", "determinism"], False),
        (["debug"], False),
        (["scheduler"], False),
        (["run", "--pdb"], False),
        (["run", "--cron=* * * * *"], False),
        (["run", "--cold"], False),
        (["run", "--help"], False),
    ],
)
def test_which_commands_are_forked(monkeypatch: pytest.MonkeyPatch, arguments: list[str], *, forked: bool) -> None:
    monkeypatch.setattr(sys, "argv", ["kit", *arguments])
    assert _client._is_for_a_fork(arguments) is forked
    assert _client._is_for_a_fork([*arguments, "x"]) is False  # called from a program, with arguments of its own


def test_the_project_is_the_one_that_is_found_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a/pyproject.toml": "[tool.kit]\n", "a/b/pyproject.toml": "[tool.kitten]\n", "a/b/c/x": ""})
    for folder in ("a", "a/b", "a/b/c"):
        monkeypatch.chdir(tmp_path / folder)
        assert _client._find_project() == str(find_project(Path.cwd()).root) == str(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert _client._find_project() is None


def test_a_process_that_is_looked_into_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIT_FORKSERVER")
    traced = sys.gettrace()
    try:
        sys.settrace(None)
        assert _client.unsuited() is None
        sys.settrace(lambda *_: None)
        assert _client.unsuited() == "a debugger or a profiler looks on"
    finally:
        sys.settrace(traced)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _client.unsuited() == "forking is not safe with the system libraries of darwin"


def test_where_no_server_is_nobody_answers(tmp_path: Path) -> None:
    assert _client.connect(str(tmp_path)) is None
    folder = tmp_path / ("x" * 200) / ".kit" / "forkserver"  # longer than a socket's path can be
    folder.mkdir(parents=True)
    assert _client.connect(str(folder.parent.parent)) is None


def test_the_client_loads_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import kit.cli; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("kit")} == {
        "kit", "kit.cli", "kit.forkserver", "kit.forkserver._client", "kit.forkserver._wire",
    }  # fmt: skip
    assert not loaded & {"typing", "pathlib", "dataclasses", "json", "inspect", "subprocess", "typer", "msgspec"}
