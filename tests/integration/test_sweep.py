"""`kit run -m`: many runs from one command, each a run like any other."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import Done, environment, kit, mlflow_runs, new_project, processes_of, run_refs, start_kit, until

FILES = {
    "src/tiny/trials.py": """
        import threading

        import kit


        def some_fail(cfg: dict, run: kit.Run) -> dict[str, float]:
            if cfg["x"] == 2:
                raise ValueError("two is not possible")
            return {"score": cfg["x"] * 10.0}


        def waits(cfg: dict, run: kit.Run) -> None:
            (run.dir / "begun").touch()
            threading.Event().wait()
        """,
    "conf/experiment/some_fail.yaml": "# @package _global_\ntask: tiny.trials.some_fail\nx: 1\n",
    "conf/experiment/waits.yaml": "# @package _global_\ntask: tiny.trials.waits\nx: 1\n",
}


@dataclass(frozen=True)
class Swept:
    root: Path
    env: dict[str, str]
    done: Done
    plain: Done

    @property
    def result(self) -> Any:
        return self.done.json()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    folder = tmp_path_factory.mktemp("sweep")
    env = environment(folder / "home")
    root = new_project(folder / "tiny", FILES)
    done = kit(root, "run", "-m", "--json", "experiment=some_fail", "x=1,2,3", "--tag", "t=v", env=env, code=1)
    plain = kit(root, "run", "-m", "model=small,large", "steps=1", "-j", "1", env=env)
    return Swept(root, env, done, plain)


def test_every_trial_is_a_run_that_knows_its_sweep(swept: Swept) -> None:
    trials = sorted(swept.result["runs"], key=lambda run: int(run["origin"]["index"]))
    assert [run["origin"]["index"] for run in trials] == [0, 1, 2]
    assert {run["origin"]["parent"] for run in trials} == {swept.result["sweep"]}
    assert [run["overrides"] for run in trials] == [["experiment=some_fail", f"x={x}"] for x in (1, 2, 3)]
    assert all(run["tags"] == {"t": "v"} for run in trials)
    assert len({run["run_id"] for run in trials}) == 3


def test_one_that_fails_stops_none_and_is_told(swept: Swept) -> None:
    status = {run["overrides"][1]: run["status"] for run in swept.result["runs"]}
    assert status == {"x=1": "succeeded", "x=2": "failed", "x=3": "succeeded"}
    assert swept.done.code == 1
    failed = next(line for line in swept.done.err.splitlines() if "x=2" in line)
    assert "failed" in failed
    assert "two is not possible" in failed


def test_a_sweep_is_listed_best_first(swept: Swept) -> None:
    listed = kit(
        swept.root, "runs", "--sweep", swept.result["sweep"], "--sort", "score", "--json", env=swept.env
    ).json()
    assert [run["metrics"].get("score") for run in listed] == [30.0, 10.0, None]


def test_mlflow_knows_every_trial_and_its_sweep(swept: Swept) -> None:
    found = [run for run in mlflow_runs(swept.root).values() if run.tags["kit.parent"] == swept.result["sweep"]]
    assert sorted(run.status for run in found) == ["FAILED", "FINISHED", "FINISHED"]
    assert all(run.tags["kit.origin"] == "sweep" for run in found)


def test_a_sweep_says_how_it_goes_and_what_to_do_next(swept: Swept) -> None:
    lines = swept.plain.out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["1", "2"]  # one at a time, in order
    assert "model=small" in lines[0]
    assert "model=large" in lines[1]
    assert "2 of 2 trials" in swept.plain.out
    sweep = next(word for word in swept.plain.out.split() if word.startswith("sweep-"))
    assert f"kit runs --sweep {sweep} --sort " in swept.plain.out


def test_hydra_leaves_nothing_of_its_own(swept: Swept) -> None:
    names = {path.name for path in swept.root.iterdir()}
    assert not names & {"multirun", "outputs", ".hydra"}


def test_ctrl_c_stops_every_trial(swept: Swept) -> None:
    before = set(run_refs(swept.root))
    client = start_kit(swept.root, "run", "-m", "-j", "2", "experiment=waits", "x=1,2,3,4", env=swept.env)
    until(lambda: len(list(swept.root.glob(".kit/runs/*/begun"))) == 2, "two trials to begin")
    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=200)
    assert client.returncode == 130
    assert "Traceback" not in err
    until(lambda: processes_of(swept.root) == [], "everything to be gone")
    listed = kit(swept.root, "runs", "--experiment", "waits", "--json", env=swept.env).json()
    assert [run["status"] for run in listed] == ["cancelled", "cancelled"]
    assert len(set(run_refs(swept.root)) - before) == 2
