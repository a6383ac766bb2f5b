"""The generated project in an environment of its own, made by uv from nothing but what its pyproject.toml says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import git
from tests.template.rendering import Answers

# Before the tests get a HOME of their own: what uv has downloaded already need not be downloaded again.
CACHE = os.environ.get("UV_CACHE_DIR") or str(Path("~/.cache/uv").expanduser())


@pytest.fixture
def uv() -> Callable[..., str]:
    """Run uv in a folder, with none of this environment on the path."""

    def uv(folder: Path, *argv: str) -> str:
        from uv import find_uv_bin

        kept = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
        path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if ".venv" not in part)
        done = subprocess.run(
            [find_uv_bin(), *argv],
            cwd=folder,
            env=kept | {"PATH": path, "UV_CACHE_DIR": CACHE},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return uv


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sync_test_and_run(repository: Callable[[Answers], Path], uv: Callable[..., str]) -> None:
    project = repository({"framework": "scikit-learn"})

    # uv keeps what it built of a folder until its pyproject.toml changes; the code of this one changes all the time.
    uv(project, "sync", "--refresh-package", "mlekit")
    assert "passed" in uv(project, "run", "--locked", "pytest", "-q")
    uv(project, "run", "--locked", "pre-commit", "run", "--all-files")
    uv(project, "run", "--locked", "dvc", "repro", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "lock the environment and the data")
    uv(project, "run", "--locked", "kit", "run")

    (record,) = json.loads(uv(project, "run", "--locked", "kit", "runs", "--json"))
    assert record["status"] == "succeeded"
    assert record["dirty"] is False
    assert record["metrics"]["roc_auc"] > 0.6
    assert git(project, "status", "--porcelain") == ""

    # Another package now: the run's own environment is made anew from its lock; `--here` names what is not the same.
    uv(project, "pip", "install", "threadpoolctl==3.5.0")
    repeat = ("run", "--no-sync", "kit", "reproduce", record["run_id"], "--json")
    again = json.loads(uv(project, *repeat))
    assert again["verdict"] == "identical", again
    assert again["suspects"] == []
    assert again["notes"][0].startswith("in an environment made anew")
    here = json.loads(uv(project, *repeat, "--here"))
    assert [(suspect["kind"], suspect["name"]) for suspect in here["suspects"]] == [("environment", "threadpoolctl")]
    assert git(project, "status", "--porcelain") == ""
