"""A project of each framework passes its own checks and runs, unchanged.

In kit's own environment, with the project's `src` on the path; test_fresh_environment.py installs one for real. That
one combination of each framework is enough is shown in test_combinations.py.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import git
from tests.template.rendering import FRAMEWORKS, Answers

NEEDS = {"scikit-learn": "sklearn", "pytorch": "torch", "none": None}


def _case(framework: str) -> object:
    needs = NEEDS[framework]
    missing = needs is not None and importlib.util.find_spec(needs) is None
    return pytest.param(
        framework,
        marks=pytest.mark.skipif(missing, reason=f"{needs} is not installed (`make torch`)"),
    )


each_framework = pytest.mark.parametrize("framework", [_case(framework) for framework in FRAMEWORKS])


@each_framework
def test_lint_format_types_and_all_other_hooks(
    framework: str, repository: Callable[[Answers], Path], run: Callable[..., str]
) -> None:
    project = repository({"framework": framework})
    with (project / "pyproject.toml").open("a") as settings:  # the lock file is written by `kit new`
        settings.write('\n[tool.kit.check]\nignore = ["KIT401"]\n')
    run(project, "git", "commit", "--quiet", "--all", "--message", "no lock file here")

    output = run(project, "pre-commit", "run", "--all-files")

    assert "Skipped" not in output
    assert git(project, "status", "--porcelain") == ""


@each_framework
def test_its_own_tests(framework: str, repository: Callable[[Answers], Path], run: Callable[..., str]) -> None:
    project = repository({"framework": framework})

    output = run(project, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")

    assert " passed in " in output
    assert not {"skipped", "xfailed", "warning"} & set(output.replace(",", " ").split())
    assert git(project, "status", "--porcelain") == ""


@each_framework
def test_kit_run_and_what_the_readme_does_next(
    framework: str, repository: Callable[[Answers], Path], run: Callable[..., str], tmp_path: Path
) -> None:
    project = repository({"framework": framework})

    run(project, "kit", "run")

    (record,) = json.loads(run(project, "kit", "runs", "--json"))
    assert record["status"] == "succeeded"
    # The version of the data that was made is the one thing to commit.
    assert git(project, "status", "--porcelain") == "?? dvc.lock"
    artifacts = project / ".kit" / "runs" / record["run_id"] / "artifacts"
    if framework == "none":
        assert record["metrics"]["rmse"] < record["metrics"]["baseline_rmse"]
        assert [path.name for path in artifacts.iterdir()] == ["line.json"]
    else:
        _flights_are_predicted(project, record["metrics"], artifacts, run)
        _notebook_works(project, run, tmp_path)


def _flights_are_predicted(project: Path, metrics: dict[str, float], artifacts: Path, run: Callable[..., str]) -> None:
    assert metrics["roc_auc"] > 0.6 > metrics["baseline_roc_auc"]
    for name in ("log_loss", "brier", "calibration_error"):
        assert metrics[name] < metrics[f"baseline_{name}"]
    model, *figures = sorted(artifacts.iterdir(), key=lambda path: path.suffix == ".png")
    assert {path.name for path in figures} == {"calibration.png", "importance.png"}

    december = "data/flights/month=12.parquet"
    run(
        project, "python", "-m", "my_project.predict", "--model", model, "--input", december, "--output", "late.csv"
    )  # fmt: skip

    header, *rows = (project / "late.csv").read_text("utf-8").splitlines()
    assert header.endswith(",late_probability")
    assert len(rows) == 28_135


def _notebook_works(project: Path, run: Callable[..., str], tmp_path: Path) -> None:
    notebook = json.loads((project / "notebooks" / "explore.ipynb").read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join(["import matplotlib", "matplotlib.use('agg')", *cells]), "utf-8")

    run(project, "python", "-W", "error", script)


def test_dvc_push_and_pull_through_the_default_remote(
    repository: Callable[[Answers], Path], run: Callable[..., str]
) -> None:
    project = repository({"framework": "none"})
    run(project, "dvc", "repro", "--quiet")
    made = (project / "data" / "measurements.csv").read_bytes()

    run(project, "dvc", "push", "--quiet")
    shutil.rmtree(project / ".dvc" / "cache")
    (project / "data" / "measurements.csv").unlink()
    run(project, "dvc", "pull", "--quiet")

    assert (project / "data" / "measurements.csv").read_bytes() == made
    assert git(project, "status", "--porcelain") == "?? dvc.lock"


def test_a_commit_is_held_back_by_a_hook_until_it_is_mended(
    repository: Callable[[Answers], Path], run: Callable[..., str]
) -> None:
    project = repository({"framework": "none"})
    run(project, "pre-commit", "install")
    (project / "src" / "my_project" / "new.py").write_text("import os\nx=1 \n")
    git(project, "add", "--all")

    output = run(project, "git", "commit", "--message", "bad", fails=True)

    assert "ruff" in output
    run(project, "git", "add", "--all")
    run(project, "git", "commit", "--message", "mended by the hooks")
    assert (project / "src" / "my_project" / "new.py").read_text() == "x = 1\n"
