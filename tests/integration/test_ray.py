"""Runs on a real Ray cluster: submitted, cancelled, interrupted, gone on with, and refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from kit import checkpoints, runs
from kit.executors._copies import folder_of
from kit.executors._ray_jobs import RayJobs
from kit.executors.ray import RayExecutor, job_id
from kit.models import Launch, from_json
from kit.paths import RunPaths
from kit.ranks import RankPaths
from kit.states import RunStatus
from kit.stores.base import RunQuery
from kit.trackers.spool import each_point
from tests.clusters import TRIALS, ClusterPlace
from tests.conftest import write
from tests.engines import Ray
from tests.support import mlflow_runs, start_kit, until

pytestmark = pytest.mark.slow


LARGE = {
    "src/tiny/large.py": """
        import os
        import threading

        import torch
        import torch.distributed as dist
        from ray import tune
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        import kit


        def loss_at(step: int) -> float:
            return 1.0 / (step + 1)


        def trains(cfg: dict, run: kit.Run) -> dict[str, float]:
            run.log({"loss": 8.0}, step=0)

            def loop() -> None:
                for step in range(1, 4):
                    ranks = torch.ones(1)
                    dist.all_reduce(ranks)
                    run.log({"loss": loss_at(step), "ranks": ranks}, step=step)
                run.params({"workers": run.ranks})
                (run.dir / f"worker-{run.rank}").write_text(os.environ.get("KIT_TEST_RAY_NODE", ""))
                with run.checkpoint(3) as folder:
                    (folder / "rank").write_text(str(run.rank))

            storage = RunConfig(name="large", storage_path=str(run.dir / "ray"))
            scaling = ScalingConfig(num_workers=2, placement_strategy="SPREAD")
            TorchTrainer(loop, scaling_config=scaling, run_config=storage).fit()
            run.log({"loss": 0.125})
            return {"score": 1.0}


        def searches(cfg: dict, run: kit.Run) -> dict[str, float]:
            def trial(config: dict) -> None:
                for step in range(2):
                    run.log({"loss": config["x"] * loss_at(step)}, step=step)
                tune.report({"loss": config["x"]})

            storage = tune.RunConfig(name="search", storage_path=str(run.dir / "ray"))
            space = {"x": tune.grid_search([3.0, 2.0])}
            found = tune.Tuner(trial, param_space=space, run_config=storage).fit()
            return {"loss": found.get_best_result("loss", "min").metrics["loss"]}


        def hangs(cfg: dict, run: kit.Run) -> None:
            def loop() -> None:
                (run.dir / f"{run.rank}.pid").write_text(str(os.getpid()))
                threading.Event().wait()

            storage = RunConfig(name="hangs", storage_path=str(run.dir / "ray"))
            TorchTrainer(loop, scaling_config=ScalingConfig(num_workers=2), run_config=storage).fit()


        def strays(cfg: dict, run: kit.Run) -> None:
            import ray

            ray.get(ray.remote(lambda: run.log({"x": 1})).remote())
        """,
} | {
    f"conf/experiment/{name}.yaml": f"# @package _global_\ntask: tiny.large.{name}\n"
    for name in ("trains", "searches", "hangs", "strays")
}


class Place(ClusterPlace):
    """One on Ray."""

    def __init__(self, folder: Path, ray: Ray) -> None:
        super().__init__(folder, "ray", ray.environment)
        self.ray = ray

    def states(self, run_id: str) -> list[str]:
        """Of its jobs, the first one first."""
        return [job.state for job in RayJobs(None).find([run_id])[run_id]]

    def set(self, name: str, settings: str) -> None:
        """Add an executor of this name."""
        text = (self.root / "pyproject.toml").read_text()
        (self.root / "pyproject.toml").write_text(f"{text}\n[tool.kit.executors.{name}]\nkind = 'ray'\n{settings}\n")

    def looked_at(self) -> None:
        """As by somebody who types `kit runs`."""
        runs.listing(self.project, RunQuery())

    def settled(self, run_id: str) -> bool:
        self.looked_at()
        return self.record(run_id).status.is_terminal


@pytest.fixture
def place(tmp_path: Path, ray: Ray, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in ray.environment.items():
        monkeypatch.setenv(name, value)
    return Place(tmp_path, ray)


def test_a_run_on_a_cluster_comes_out_as_one_here_whatever_becomes_of_the_working_tree(place: Place) -> None:
    here = place.kit("run", "experiment=steps", "x=3", "--json").json()
    run_id = place.submit("experiment=steps", "x=3")
    (place.root / "src/tiny/tasks.py").write_text("not Python any more")
    executor = runs.executor_of(place.project, "ray")
    assert isinstance(executor, RayExecutor)
    # Who did not hear the answer asks again: there is one job of a name.
    executor.submit(from_json(place.project.paths.run(run_id).launch.read_bytes(), Launch))
    there = place.ended(run_id)
    assert (there.status, there.metrics) == (RunStatus.SUCCEEDED, here["metrics"])
    assert (there.executor, there.job, there.token) == ("ray", job_id(run_id, 1), 1)
    assert there.tracked
    assert place.log(run_id) == "begins at 0\n"
    mlflow = mlflow_runs(place.root)
    assert mlflow[run_id].status == "FINISHED"
    assert mlflow[run_id].metrics == mlflow[here["run_id"]].metrics
    assert mlflow[run_id].params == mlflow[here["run_id"]].params
    until(lambda: place.states(run_id) == ["SUCCEEDED"], "its one job to be over")
    assert f"ray, job {there.job}" in place.kit("show", run_id).out


def test_a_run_that_was_cancelled_goes_on_there(place: Place) -> None:
    run_id = place.expect_resumed()
    assert place.record(run_id).job == job_id(run_id, 2)


def test_a_run_goes_along_into_the_workers_of_ray_train(place: Place) -> None:
    """They are on both nodes; what they import is the snapshot's, which lies on one of them."""
    write(place.root, LARGE)
    run_id = place.submit("experiment=trains")
    (place.root / "src/tiny/large.py").write_text("not Python any more")
    ended = place.ended(run_id)
    assert (ended.status, ended.reason) == (RunStatus.SUCCEEDED, None), place.log(run_id)
    assert ended.params["workers"] == "2"
    until(lambda: place.record(run_id).tracked, "MLflow to know")
    series = mlflow_runs(place.root)[run_id].metrics
    losses = [(0, 8.0), (1, 1 / 2), (2, 1 / 3), (3, 1 / 4), (4, 0.125)]
    assert series["loss"] == losses
    assert (series["ranks"], series["score"]) == ([(step, 2.0) for step in (1, 2, 3)], [(0, 1.0)])
    copy = folder_of(place.project.paths.run(run_id), 1)
    assert {copy.root.joinpath(f"worker-{rank}").read_text() for rank in (0, 1)} == {"head", "other"}
    found = checkpoints.latest(copy)
    assert found is not None
    assert (found.step, found.files.joinpath("rank").read_text()) == (3, "0")
    assert [point.step for point in each_point(RankPaths(copy).apart("1").spool) if point.key == "loss"] == [1, 2, 3]


@pytest.mark.exhaustive
def test_trials_of_ray_tune_log_apart_and_no_other_process_does(place: Place) -> None:
    write(place.root, LARGE)
    run_id = place.submit("experiment=searches")
    ended = place.ended(run_id)
    assert (ended.status, ended.metrics) == (RunStatus.SUCCEEDED, {"loss": 2.0}), place.log(run_id)
    copy = folder_of(place.project.paths.run(run_id), 1)
    spools = [RunPaths(each / run_id).spool for each in RankPaths(copy).root.iterdir()]
    series = sorted([(point.step, point.value) for point in each_point(spool)] for spool in spools)
    assert series == [[(0, 2.0), (1, 1.0)], [(0, 3.0), (1, 1.5)]]
    strays = place.ended(place.submit("experiment=strays"))
    assert strays.status is RunStatus.FAILED
    assert "which is neither" in (strays.reason or "")


@pytest.mark.exhaustive
def test_a_run_that_is_cancelled_takes_the_workers_of_ray_train_with_it(place: Place) -> None:
    write(place.root, LARGE)
    run_id = place.submit("experiment=hangs")
    copy = folder_of(place.project.paths.run(run_id), 1).root
    until(lambda: all((copy / f"{rank}.pid").exists() for rank in (0, 1)), "both workers to begin")
    workers = [int((copy / f"{rank}.pid").read_text()) for rank in (0, 1)]
    assert all(map(psutil.pid_exists, workers))
    place.kit("cancel", run_id)
    assert place.ended(run_id).status is RunStatus.CANCELLED
    until(lambda: not any(map(psutil.pid_exists, workers)), "both workers to be gone")


def test_a_run_is_cancelled_whether_it_waits_or_runs_and_in_ray_too(place: Place) -> None:
    running = [place.submit("experiment=waits", "+resources.cpus=2") for _ in range(2)]  # each has a node for itself
    waiting = place.submit("experiment=waits")
    for run_id in running:
        until(lambda run_id=run_id: "started" in place.log(run_id), "the task to start")  # type: ignore[misc]
    assert (place.record(waiting).status, place.states(waiting)) == (RunStatus.QUEUED, ["PENDING"])
    assert "is cancelled" in place.kit("cancel", waiting).out
    assert place.record(waiting).status is RunStatus.CANCELLED
    asked, stopped = running
    RayJobs(None).stop(job_id(stopped, 1))  # as by `ray job stop`
    assert "asked run" in place.kit("cancel", asked).out
    ended = place.ended(asked)
    assert (ended.status, ended.reason) == (RunStatus.CANCELLED, "cancelled on request")
    until(lambda: place.settled(stopped), "it to be silent long enough")
    assert (place.record(stopped).status, place.record(stopped).reason) == (RunStatus.CANCELLED, "stopped in Ray")
    until(lambda: place.states(waiting) == ["STOPPED"], "Ray to have stopped what waited")


def test_a_scheduled_run_that_is_killed_there_is_tried_again_there(place: Place) -> None:
    place.expect_retried()


@pytest.mark.exhaustive
def test_a_run_at_its_time_limit_goes_on_in_another_job(place: Place) -> None:
    place.set("short", "time = '1h'")
    run_id = place.kit("run", "--on", "short", "--json", "experiment=steps", "steps=1000", "pause=0.5").json()["run_id"]
    run = place.project.paths.run(run_id)
    until(lambda: list(run.checkpoints.glob("step-*[0-9]")), "a checkpoint")
    supervisor = place.record(run_id).supervisor
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGUSR1)  # as the job does to itself, an hour from now
    until(lambda: place.log(run_id).count("begins at") == 2, "the run to go on")
    assert place.log(run_id).count("begins at 0\n") == 1
    place.kit("cancel", run_id)
    ended = place.ended(run_id)
    assert (ended.status, ended.token, ended.job) == (RunStatus.CANCELLED, 2, job_id(run_id, 2))
    until(lambda: place.record(run_id).tracked, "MLflow to know")
    series = mlflow_runs(place.root)[run_id].metrics["loss"]
    assert [step for step, _ in series] == list(range(len(series)))


@pytest.mark.parametrize(
    ("wrong", "told", "fix"),
    [
        ({"RAY_AUTH_TOKEN": "f" * 64}, "refuses the token", "RAY_AUTH_TOKEN"),
        ({"RAY_API_SERVER_ADDRESS": "http://127.0.0.1:9"}, "no Ray cluster answers", "`address`"),
        ({"PYTHONPATH": "lacking"}, "is not installed here", "uv add"),
        ({}, "no node of the Ray cluster has CPU 64", "autoscales"),
    ],
)
def test_what_cannot_be_submitted_leaves_nothing_and_has_a_fix(
    place: Place, wrong: dict[str, str], told: str, fix: str
) -> None:
    (place.root.parent / "lacking").mkdir()
    (place.root.parent / "lacking" / "ray.py").write_text("raise ImportError('there is none')\n")
    wrong = {name: value.replace("lacking", str(place.root.parent / "lacking")) for name, value in wrong.items()}
    cpus = () if wrong else ("+resources.cpus=64",)
    refused = place.kit("run", "--on", "ray", "experiment=steps", *cpus, env={**place.env, **wrong}, code=3)
    assert told in refused.err
    assert fix in refused.err
    assert place.project.store.runs(RunQuery()) == []
    assert not place.project.paths.runs.exists() or list(place.project.paths.runs.iterdir()) == []


@pytest.mark.exhaustive
def test_a_run_goes_on_when_the_head_is_gone_and_another_one_knows_nothing_of_it(place: Place) -> None:
    run_id = place.submit("experiment=steps", "steps=20", "pause=0.5")
    until(lambda: len(list(place.project.paths.run(run_id).checkpoints.glob("step-*[0-9]"))) >= 2, "two checkpoints")
    place.ray.kill("head")
    place.kit("runs")  # it cannot be asked: nothing is settled
    assert not place.record(run_id).status.is_terminal
    place.ray.kill("other")
    for node in ("head", "other"):
        place.ray.start(node)
    until(lambda: place.settled(run_id), "the run to go on, and end")
    ended = place.record(run_id)
    assert (ended.status, ended.token, ended.job) == (RunStatus.SUCCEEDED, 2, job_id(run_id, 2))
    assert place.log(run_id).count("begins at 0\n") == 1
    series = mlflow_runs(place.root)[run_id].metrics["loss"]
    assert series == [(step, 1.0 / (step + 1)) for step in range(20)]


@pytest.mark.alone
@pytest.mark.timeout(1800)
def test_a_sweep_survives_a_node_and_its_own_command(place: Place) -> None:
    values = ",".join(map(str, range(TRIALS)))
    sweep = start_kit(
        place.root, "run", "-m", "--on", "ray", "experiment=steps", f"x={values}", "pause=0.5", env=place.env
    )
    try:
        until(lambda: len([each for each in place.trials() if each.job]) == TRIALS, "all to be submitted", seconds=300)
        sweep.send_signal(signal.SIGKILL)  # its terminal is closed
        there = until(lambda: place.ray.runs_on("other"), "a trial on the node that is to fail")
        until(lambda: any(place.log(run_id) for run_id in there), "it to have begun")
        place.ray.kill("other")

        def over() -> bool:
            place.looked_at()
            return all(record.status.is_terminal for record in place.trials())

        until(over, "all trials to end", seconds=100 + 10 * TRIALS)
        place.expect_swept(TRIALS)
        place.ray.start("other")
        # A cluster that has lost a node takes runs as before.
        assert place.ended(place.submit("experiment=steps", "+resources.cpus=2")).status is RunStatus.SUCCEEDED
        assert max(record.token or 0 for record in place.trials()) == 2  # one of them at least had its node taken
    finally:
        sweep.kill()
        sweep.communicate()
