"""The pytest plugin in a pytest of its own: real runs, real git, a registry with a champion."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import git, write
from tests.integration.test_champions import REGISTER
from tests.support import commit_all, environment, kit, new_project

TESTS = {
    "tests/floor.toml": "score = 0.05\n",
    "tests/test_fixtures.py": """
        from tiny.train import TrainConfig


        def test_config(kit_config):
            assert kit_config("experiment=deep")["steps"] == 5
            assert kit_config("steps=9", schema=TrainConfig).steps == 9


        def test_run(kit_run, kit_floors):
            kit_run.log({"score": 1})
            assert (kit_run.name, kit_run.metrics, kit_floors) == ("test_run", {"score": 1.0}, {"score": 0.05})


        def test_project(kit_project):
            kit_project.write({"conf/model/small.yaml": "depth: 4\\nrate: 0.5\\n"})
            first = kit_project.commit("deeper")
            assert len(first) == 40
            assert kit_project.config()["model"]["depth"] == 4
            assert kit_project.run().metrics["score"] == 2.0


        def test_another_gets_a_project_of_its_own(kit_project):
            assert kit_project.config()["model"]["depth"] == 3
            assert (kit_project.root / "untracked.txt").read_text() == "not committed"
            assert not (kit_project.root / "mlflow.db").exists()


        def test_a_mistake_in_a_config(kit_config):
            kit_config("experiment=deap")
        """,
    "tests/test_experiment.py": """
        import pytest
        from kit.testing import assert_metric


        @pytest.mark.experiment("deep", "seed=3")
        def test_it_succeeds():
            pass


        @pytest.mark.experiment("deep", "seed=3")
        def test_floor(kit_experiment):
            assert_metric(kit_experiment, "score")
            assert kit_experiment.params["seed"] == "3"
            assert kit_experiment.artifacts.parent == kit_experiment.dir


        @pytest.mark.experiment("deep", "seed=3")
        def test_champion(kit_experiment):
            assert_metric(kit_experiment, "score", not_worse_than="champion", better="higher", tolerance=0.01)
        """,
    "tests/test_wrong.py": """
        import pytest


        @pytest.mark.experiment("deap")
        def test_no_such():
            pass


        @pytest.mark.experiment("baseline", "task=tiny.broken.train")
        def test_broken():
            pass


        @pytest.mark.experiment("baseline", "task=tiny.broken.train")
        def test_broken_again():
            pass


        @pytest.mark.experiment
        def test_of_nothing():
            pass
        """,
    "src/tiny/broken.py": """
        def train(cfg, run):
            raise ValueError("as bad as can be")
        """,
}


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    # Also where such a pytest is itself started by a test of xdist's.
    return environment(tmp_path_factory.mktemp("home"), PYTHONPATH="src", COLUMNS="80", PYTEST_XDIST_WORKER="gw0")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = new_project(tmp_path_factory.mktemp("plugin") / "tiny", TESTS)
    write(root, {"untracked.txt": "not committed"})
    return root


def run_pytest(root: Path, env: Mapping[str, str], *arguments: str, code: int = 0, finds_plugins: bool = False) -> str:
    """Run a real pytest.

    Args:
        finds_plugins: Whether it finds ours by itself, and with it all others of this environment, which takes long.
    """
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "-W", "error", *arguments]
    env = dict(env)
    if not finds_plugins:
        command += ["-p", "kit.pytest_plugin"]
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def runs(root: Path, env: Mapping[str, str]) -> list[str]:
    return [run["run_id"] for run in kit(root, "runs", "--json", env=env).json()]


def test_fixtures_give_a_config_a_run_and_a_project_that_may_be_changed(root: Path, env: dict[str, str]) -> None:
    before = git(root, "status", "--porcelain"), git(root, "for-each-ref")
    # Where a team's server is named, a temporary project does not reach it.
    said = run_pytest(
        root, env | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, "tests/test_fixtures.py", "-rf", "--tb=short", code=1
    )

    assert "4 passed" in said
    assert "1 failed" in said
    assert "kit: no option 'deap' in group 'experiment'" in " ".join(said.split())
    assert "_projects.py" not in said, "kit's own frames"
    assert (git(root, "status", "--porcelain"), git(root, "for-each-ref")) == before


@pytest.mark.slow
def test_an_experiment_runs_once_a_session_and_is_held_to_floor_and_champion(root: Path, env: dict[str, str]) -> None:
    before = len(runs(root, env))
    # Three tests in two processes: one run, and no champion yet.
    said = run_pytest(root, env, "tests/test_experiment.py", "-n", "2", "--tb=short", code=1, finds_plugins=True)
    assert "1 failed, 2 passed" in said
    assert "there is no champion to compare with" in said
    (first, *_) = made = runs(root, env)
    assert len(made) == before + 1
    assert kit(root, "show", first, "--json", env=env).json()["tags"] == {"kit.test": "experiment"}

    champion = kit(root, "run", "--json", env=env).json()["run_id"]
    command = [sys.executable, "-c", REGISTER, f"sqlite:///{root}/mlflow.db", "steady", champion]
    subprocess.run(command, cwd=root, env=env, check=True)
    # Far worse than the champion; the run of before is taken, since nothing is different.
    said = run_pytest(root, env, "tests/test_experiment.py", "--kit-reuse", "--tb=short", code=1)
    assert "1 failed, 2 passed" in said
    words = " ".join(said.replace("\nE ", " ").split())
    assert f"score = 0.09 of run {first}:" in words
    assert f"worse than 0.3 of the champion of steady (run {champion}) by 0.21; 0.01 would be tolerated" in words
    assert len(runs(root, env)) == before + 2

    # Code that changed is another snapshot.
    write(root, {"src/tiny/__init__.py": "BETTER = True\n"})
    commit_all(root)
    run_pytest(root, env, "tests/test_experiment.py", "--kit-reuse", "-k", "floor")
    assert len(runs(root, env)) == before + 3


def test_what_does_not_run_fails_once_with_its_reason(root: Path, env: dict[str, str]) -> None:
    before = len(runs(root, env))
    said = " ".join(run_pytest(root, env, "tests/test_wrong.py", code=1).split())

    assert "4 errors" in said
    assert "no option 'deap' in group 'experiment'" in said
    assert said.count("ValueError: as bad as can be. See what it printed: `kit logs") >= 2
    assert "mark it like this: @pytest.mark.experiment(" in said
    assert len(runs(root, env)) == before + 1, "the other test of it only repeats what is known"


def test_pytest_explains_what_there_is(root: Path, env: dict[str, str]) -> None:
    assert "@pytest.mark.experiment(name, *overrides): run conf/experiment/" in run_pytest(root, env, "--markers")
    fixtures = run_pytest(root, env, "--fixtures")
    for name in ("kit_config", "kit_run", "kit_project", "kit_experiment", "kit_floors"):
        assert f"\n{name} -- " in fixtures


def test_outside_of_a_project_there_is_nothing_of_it(tmp_path: Path, env: dict[str, str]) -> None:
    write(tmp_path, {"test_x.py": "def test_x():\n    pass\n"})
    run_pytest(tmp_path, env)
    assert "experiment" not in run_pytest(tmp_path, env, "--markers")
    assert "kit_" not in run_pytest(tmp_path, env, "--fixtures")
    # Of two projects in one repository, which is none itself, each has it.
    new_project(tmp_path / "one")
    assert "@pytest.mark.experiment" in run_pytest(tmp_path, env, "--markers", "one")


@pytest.mark.parametrize(("inside", "most"), [(False, 10), (True, 20)])
def test_it_loads_nothing_that_is_not_used(inside: bool, most: int, tmp_path: Path, env: dict[str, str]) -> None:
    root = new_project(tmp_path / "tiny") if inside else tmp_path
    write(root, {"tests/test_x.py": "def test_x():\n    pass\n"})
    # Without the other plugins of this environment, which load what ours may not.
    code = "import sys, json, pytest; pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[1:]]); "
    code += "sys.stderr.write(json.dumps(sorted(sys.modules)))"
    alone = env | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def loaded(*options: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", code, *options], cwd=root, env=alone, capture_output=True, text=True, check=True
        )
        assert "1 passed" in done.stdout
        return set(json.loads(done.stderr.splitlines()[-1]))

    own = loaded("-p", "kit.pytest_plugin") - loaded()
    assert "kit.pytest_plugin" in own
    assert ("kit._pytest_fixtures" in own) is inside
    assert len(own) <= most, sorted(own)
