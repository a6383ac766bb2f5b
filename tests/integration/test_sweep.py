"""`kit run -m`: many runs from one command, each a run like any other."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    Done,
    environment,
    kit,
    mlflow_runs,
    new_project,
    on_screen,
    processes_of,
    run_refs,
    start_kit,
    until,
)

FILES = {
    "src/tiny/trials.py": """
        import logging
        import threading

        import kit


        def some_fail(cfg: dict, run: kit.Run) -> dict[str, float]:
            logging.getLogger(__name__).info("x is %s", cfg["x"])
            if cfg["x"] == 2:
                raise ValueError("two is not possible")
            return {"score": cfg["x"] * 10.0}


        def waits(cfg: dict, run: kit.Run) -> None:
            (run.dir / "begun").touch()
            threading.Event().wait()


        def goes_on(cfg: dict, run: kit.Run) -> dict[str, float]:
            first = 0
            if (latest := run.latest_checkpoint()) is not None:
                first = latest[0] + 1
            for step in range(first, 3):
                run.log({"step": step}, step=step)
                with run.checkpoint(step):
                    pass
                if step == 1 and cfg["x"] == 2 and first == 0:
                    (run.dir / "begun").touch()
                    threading.Event().wait()
            return {"score": cfg["x"]}
        """,
    "conf/experiment/some_fail.yaml": "# @package _global_\ntask: tiny.trials.some_fail\nx: 1\n",
    "conf/experiment/goes_on.yaml": "# @package _global_\ntask: tiny.trials.goes_on\nx: 1\n",
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


def test_what_a_trial_logs_is_printed_and_lies_beside(swept: Swept) -> None:
    for run in swept.result["runs"]:
        folder = swept.root / ".kit" / "runs" / run["run_id"]
        said = f"[tiny.trials][INFO] - {run['overrides'][1].replace('=', ' is ')}\n"
        assert said in (folder / "some_fail.log").read_text()
        assert said in (folder / "console.log").read_text()


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
    found = [run for run in mlflow_runs(swept.root).values() if run.tags.get("kit.parent") == swept.result["sweep"]]
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


def test_the_best_is_told_as_a_command_and_drawn(swept: Swept) -> None:
    assert swept.result["metric"] == "score"
    assert swept.result["maximize"] is True
    best = next(run for run in swept.result["runs"] if run["run_id"] == swept.result["best"])
    assert best["overrides"] == ["experiment=some_fail", "x=3"]
    assert Path(swept.result["picture"]).read_bytes().startswith(b"\x89PNG")
    assert "best by score, the largest first: 0.3" in swept.plain.out
    assert "\n  kit run model=small steps=1\n" in swept.plain.out


def test_mlflow_shows_the_sweep_above_its_trials(swept: Swept) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{swept.root / 'mlflow.db'}")
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    named = f"tags.`kit.sweep` = '{swept.result['sweep']}'"

    def ended() -> Any:
        # Told by a process of its own, for which nobody waits.
        found = client.search_runs(everywhere, filter_string=named)
        return found[0] if found and found[0].info.status == "FINISHED" and found[0].data.metrics else None

    parent = until(ended, "the sweep to be told")
    children = client.search_runs(everywhere, filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {run.data.tags["kit.run_id"] for run in children} == {run["run_id"] for run in swept.result["runs"]}
    assert parent.info.run_name == swept.result["sweep"]
    assert parent.data.metrics == {"score": 30.0}
    tags = {key: value for key, value in parent.data.tags.items() if key.startswith(("kit.best", "kit.trials"))}
    assert tags == {
        "kit.best.by": "by score, the largest first",
        "kit.best.run_id": swept.result["best"],
        "kit.best.x": "3",
        "kit.trials": "3",
        "kit.trials.failed": "1",
        "kit.trials.pruned": "0",
    }
    until(lambda: client.list_artifacts(parent.info.run_id), "the picture to be sent")
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["parallel-coordinates.png"]


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
    assert "Go on with it: kit run -m --resume sweep-" in err
    until(lambda: processes_of(swept.root) == [], "everything to be gone")
    listed = kit(swept.root, "runs", "--experiment", "waits", "--json", env=swept.env).json()
    assert [run["status"] for run in listed] == ["cancelled", "cancelled"]
    assert len(set(run_refs(swept.root)) - before) == 2


def test_one_that_was_killed_goes_on_where_its_trials_were(tmp_path: Path) -> None:
    """kill -9 of the command: what had ended is left, what was under way goes on from its checkpoint."""
    env = environment(tmp_path / "home")
    root = new_project(tmp_path / "tiny", FILES)
    client = start_kit(root, "run", "-m", "-j", "1", "experiment=goes_on", "x=1,2,3", env=env)
    until(lambda: list(root.glob(".kit/runs/*/begun")), "the second trial to begin")
    client.kill()
    client.communicate()
    done = kit(root, "run", "-m", "--resume", "last", "--json", env=env).json()
    runs = {run["overrides"][1]: run for run in done["runs"]}
    assert {name: run["status"] for name, run in runs.items()} == dict.fromkeys(("x=1", "x=2", "x=3"), "succeeded")
    assert {run["origin"]["parent"] for run in runs.values()} == {done["sweep"]}
    listed = kit(root, "runs", "--json", env=env).json()
    assert len(listed) == 3  # the interrupted one is the same run, and the first was not run again
    assert done["best"] == runs["x=3"]["run_id"]
    tracked = mlflow_runs(root)[runs["x=2"]["run_id"]]
    assert tracked.metrics["step"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert tracked.tags["kit.resumed"] == "1"


def test_on_a_terminal_there_is_a_leaderboard(swept: Swept) -> None:
    lines = on_screen(swept.root, "run", "-m", "-j", "1", "experiment=some_fail", "x=2,4", env=swept.env, code=1)
    assert max(map(len, lines)) <= 80 or not [line for line in lines if len(line) > 80 and "next:" not in line]
    shown = "\n".join(lines)
    assert "1 of 2 trials, 1 failed, 1 running" in shown
    end = lines[max(index for index, line in enumerate(lines) if line.startswith("run ")) :]
    assert end[0].split() == ["run", "status", "trial", "score"]
    assert end[1].split()[1:] == ["succeeded", "x=4", "40"]
    assert end[2].split()[1:3] == ["failed", "x=2"]
