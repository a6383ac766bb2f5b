"""`kit init` as its users meet it: on a terminal, on a pipe, and to the first tracked run."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest

from kit.project import open_project
from tests.adopting import SHAPES, repository
from tests.conftest import git
from tests.support import KIT, kit, mlflow_runs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "shop", SHAPES["argparse: a function of a namespace"])


def answered(root: Path, *answers: str) -> tuple[int, str]:
    """`kit init` on a terminal where these are typed, each at a question."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(KIT), "init"], cwd=root, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # noqa: PLW1509 - makes it the controlling one
    )  # fmt: skip
    os.close(theirs)
    shown, asked, left = b"", 0, list(answers)
    while select.select([ours], [], [], 120)[0]:
        try:
            shown += os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if left and shown.count(b"[y/N]:") > asked:
            asked += 1
            os.write(ours, left.pop(0).encode())
    os.close(ours)
    return process.wait(120), shown.decode()


def test_yes_writes_and_ends_with_a_first_tracked_run(root: Path) -> None:
    done = kit(root, "init", "--yes")
    lines = done.out.splitlines()
    assert lines[0].split() == ["package", "scripts", "only"]
    assert "entry point   main.py:train (argparse, 3 options)" in lines
    assert "+rate: 0.25" in lines
    assert "$ kit run" in lines
    (record,) = json.loads(kit(root, "runs", "--json").out)
    assert (record["status"], record["metrics"]) == ("succeeded", {"loss": 0.5})
    (tracked,) = mlflow_runs(root).values()
    assert [value for _, value in tracked.metrics["loss"]] == [0.5]
    assert tracked.params["rate"] == "0.25"
    assert git(root, "status", "--porcelain") == "M .gitignore\n?? conf/\n?? kit_task.py\n?? pyproject.toml"


@pytest.mark.parametrize(("option", "code"), [("--diff", 0), (None, 2), ("--json", 0)])
def test_without_a_yes_it_only_shows(root: Path, option: str | None, code: int) -> None:
    done = kit(root, "init", *filter(None, [option]), code=code)
    assert git(root, "status", "--porcelain") == ""
    if option == "--json":
        said = done.json()
        assert (said["entry"]["call"], said["written"], said["task"]) == ("namespace", False, "kit_task.train")
        assert set(said["files"]) == {
            "kit_task.py", "conf/config.yaml", "conf/experiment/baseline.yaml", ".gitignore", "pyproject.toml",
        }  # fmt: skip
    else:
        assert "+++ b/kit_task.py" in done.out
    assert ("`kit init --yes` writes it" in done.err) is (option is None)


def test_questions_on_a_terminal(root: Path) -> None:
    code, shown = answered(root, "n\n")
    assert (code, git(root, "status", "--porcelain")) == (0, "")
    assert shown.splitlines()[-1].strip() == "Nothing was written."
    code, shown = answered(root, "\x03")
    assert (code, git(root, "status", "--porcelain")) == (signal.SIGINT + 128, "")
    code, shown = answered(root, "y\n", "n\n")
    assert code == 0
    assert "Start a first run now, `kit run`?" in shown
    assert open_project(root).store.ids("", limit=1) == []


def test_what_cannot_be(root: Path, tmp_path: Path) -> None:
    assert "exclude each other" in kit(root, "init", "--diff", "--yes", code=2).err
    assert "Did you mean 'main.py'?" in kit(root, "init", "--entry", "man.py", code=2).err
    (tmp_path / "empty").mkdir()
    assert kit(tmp_path / "empty", "init", code=2).err.startswith("error: not a git repository")


def test_an_option_without_a_default_is_asked_for(tmp_path: Path) -> None:
    text = SHAPES["argparse: a function of a namespace"]["main.py"].replace("default=2", "required=True")
    root = repository(tmp_path / "shop", {"main.py": text})
    done = kit(root, "init", "--yes")
    assert "A first run needs epochs, which has no default." in done.out
    assert done.out.splitlines()[-1].startswith("next: kit run epochs=...")
