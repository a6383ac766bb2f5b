"""`hydra/sweeper=optuna`: each trial chosen by those before, real runs and a real Optuna."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import environment, kit, mlflow_runs, new_project, start_kit, until

pytest.importorskip("optuna")

FILES = {
    "src/tiny/search.py": """
        import time

        import kit


        def curve(cfg: dict, run: kit.Run) -> dict[str, float]:
            return {"loss": abs(cfg["lr"] - 0.1)}


        def ever_worse(cfg: dict, run: kit.Run) -> dict[str, float]:
            bad = cfg["number"] >= 6  # by then enough have ended for a comparison
            run.log({"loss": 10.0 if bad else 0.0}, step=0)
            if bad:
                time.sleep(600)
            return {"loss": 0.0}
        """,
    "conf/experiment/curve.yaml": """
        # @package _global_
        task: tiny.search.curve
        lr: 0.1
        """,
    "conf/experiment/ever_worse.yaml": """
        # @package _global_
        task: tiny.search.ever_worse
        lr: 0.1
        number: ${hydra:job.num}
        """,
}
SEARCH = ("run", "-m", "hydra/sweeper=optuna", "hydra.sweeper.seed=3")


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    return new_project(tmp_path / "tiny", FILES), environment(tmp_path / "home")


def test_a_search_that_is_killed_goes_on_with_what_it_knows(place: tuple[Path, dict[str, str]]) -> None:
    root, env = place
    asked = (*SEARCH, "experiment=curve", "lr=interval(0,0.2)", "--minimize", "--trials", "3", "-j", "1")
    client = start_kit(root, *asked, env=env)
    until(lambda: len(list(root.glob(".kit/runs/*/result.json"))) >= 1, "a trial to end")
    client.kill()
    client.communicate()
    done = kit(root, "run", "-m", "--resume", "last", "--trials", "4", "--json", env=env).json()
    assert sorted(run["origin"]["index"] for run in done["runs"]) == [0, 1, 2, 3]
    assert {run["status"] for run in done["runs"]} == {"succeeded"}
    assert len({run["overrides"][0] for run in done["runs"]}) == 4
    assert done["maximize"] is False
    values = {run["run_id"]: run["metrics"]["loss"] for run in done["runs"]}
    assert values[done["best"]] == min(values.values())


def test_a_trial_that_is_worse_than_others_is_pruned(place: tuple[Path, dict[str, str]]) -> None:
    root, env = place
    asked = (*SEARCH, "experiment=ever_worse", "lr=interval(0,1)", "--metric", "loss", "--minimize", "-j", "2")
    done = kit(root, *asked, "--trials", "8", "--json", env=env).json()
    runs = sorted(done["runs"], key=lambda run: int(run["origin"]["index"]))
    assert [run["status"] for run in runs] == [*["succeeded"] * 6, *["cancelled"] * 2]
    why = "pruned: loss was 10 at step 0, which others were better than"
    assert {run["reason"] for run in runs[6:]} == {why}
    until(lambda: mlflow_runs(root)[runs[7]["run_id"]].tags.get("kit.reason") == why, "MLflow to be told")
    assert mlflow_runs(root)[runs[7]["run_id"]].status == "KILLED"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["lr=interval(0,1)"], "a search has to know which way is better"),
        (["lr=1", "--minimize"], "there is nothing to search"),
        (["lr=interval(2,1)", "--minimize"], "the range of lr ends before it begins"),
        (["lr=tag(log,interval(0,1))", "--minimize"], "a logarithmic range begins above 0"),
        (["lr=1,2", "--minimize", "hydra.sweeper.sampler=magic"], "hydra.sweeper.sampler: Invalid enum value 'magic'"),
    ],
)
def test_what_cannot_be_searched(place: tuple[Path, dict[str, str]], given: list[str], told: str) -> None:
    root, env = place
    done = kit(root, *SEARCH, "experiment=curve", *given, env=env, code=2)
    assert done.err.startswith(f"error: {told}")
    assert not (root / ".kit" / "runs").is_dir() or not list((root / ".kit" / "runs").iterdir())
