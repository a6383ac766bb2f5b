"""`kit add experiment|schedule NAME` in a project of kit's own template: what is written works at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit.cli import main
from kit.scaffold.render import render_project
from kit.scaffold.template import load_template
from kit.testing import run_experiment
from tests.conftest import REPOSITORY, git
from tests.support import commit_all

ANSWERS = {"project_name": "tides", "framework": "none", "ci": "none", "_kit_requirement": "mlekit"}


@pytest.fixture
def tides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = render_project(load_template(REPOSITORY), ANSWERS, tmp_path).folder
    git(root, "init", "--quiet", "--initial-branch=main")
    commit_all(root)
    monkeypatch.chdir(root)
    return root


def findings(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    capsys.readouterr()
    main(["check", "--format", "json"])
    return [(one["code"], one["path"]) for one in json.loads(capsys.readouterr().out)["findings"]]


def test_what_is_added_works_at_once(tides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = findings(capsys)
    assert main(["add", "experiment", "wide"]) == 0
    assert capsys.readouterr().out == (
        "Wrote conf/experiment/wide.yaml and tests/test_experiment_wide.py. Next:\n"
        "  pytest tests/test_experiment_wide.py\n"
        "  kit run experiment=wide --dry-run\n"
        "  kit run experiment=wide\n"
    )
    assert main(["add", "schedule", "weekly", "--like", "wide", "--json"]) == 0
    added = json.loads(capsys.readouterr().out)["files"]
    assert findings(capsys) == before
    tests = ["tests/test_experiment_wide.py", added[1]]
    for argv in (["pytest", "-q", *tests], ["ruff", "check", *tests], ["ruff", "format", "--check", *tests]):
        done = subprocess.run([sys.executable, "-m", *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run([sys.executable, "-m", "tides.data"], env={"PYTHONPATH": "src"}, check=True)
    assert run_experiment(["experiment=wide"], root=tides).metrics["slope"] == pytest.approx(2, abs=0.1)


def test_what_cannot_be_added_is_said(tides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in {
        ("experiment",): "the experiment has no name",
        ("expriment", "x"): "Did you mean 'experiment'?",
        ("docker", "x"): "has no name to be given",
        ("model", "x"): "the project has no config group `model`",
    }.items():
        assert main(["add", *arguments]) == 2
        assert said in capsys.readouterr().err
    assert git(tides, "status", "--porcelain") == ""
