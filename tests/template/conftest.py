"""Projects rendered by real cookiecutter, and the programs of this environment to try them with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.template.rendering import Answers, Renderer


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "template"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def render(shared: Path) -> Renderer:
    return Renderer(shared)


@pytest.fixture
def run(shared: Path) -> Callable[..., str]:
    """Run a program of this environment; the test fails with its output when the program does."""

    def run(folder: Path, *argv: str | Path, fails: bool = False) -> str:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PWD": str(folder),
            "PYTHONPATH": str(folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Threads of two workers on two cores only wait for each other; fonts are looked for once, not in each HOME.
            "OMP_NUM_THREADS": "1",
            "MPLCONFIGDIR": str(shared / "matplotlib"),
        }
        done = subprocess.run(
            list(map(str, argv)), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, f"{argv} ended with {done.returncode}:\n{output}"
        return output

    return run


@pytest.fixture
def repository(render: Renderer, tmp_path: Path, run: Callable[..., str]) -> Callable[[Answers], Path]:
    """A project of one's own, committed to git."""

    def make(answers: Answers) -> Path:
        project = tmp_path / "repository"
        shutil.copytree(render(answers), project)
        run(project, "git", "init", "--quiet", "--initial-branch=main")
        run(project, "git", "add", "--all")
        run(project, "git", "commit", "--quiet", "--message", "start")
        return project

    return make
