"""Runs on nodes that have nothing of the project: uploaded to Ray, with a store and an MLflow on servers.

One machine has to do here. What shows that a job needs nothing of the project's folder is that it is moved away before
the job begins.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import recovery
from kit.errors import ExitCode
from kit.executors._ray_jobs import RayJobs
from kit.executors.ray import job_id
from kit.states import RunStatus
from tests.clusters import ClusterPlace
from tests.conftest import write
from tests.databases import PASSWORD, Postgres
from tests.engines import Ray
from tests.servers import Server, mlflow_server
from tests.support import MlflowRun, closed_port, commit_all, mlflow_runs, start_kit, until
from tests.unit.test_data import dvc

pytestmark = pytest.mark.slow


READS = {
    "src/tiny/reads.py": """
        from pathlib import Path


        def reads(cfg: dict) -> dict[str, float]:
            text = (Path(__file__).parents[2] / "data" / "raw.csv").read_text()
            return {"rows": len(text.splitlines())}
        """,
    "conf/experiment/reads.yaml": "# @package _global_\ntask: tiny.reads.reads\n",
    "data/raw.csv": "a\n1\n2\n",
}


class Place(ClusterPlace):
    """A project, which moves; and the servers that it shares with the nodes."""

    def __init__(self, folder: Path, ray: Ray, postgres: Postgres, uri: str) -> None:
        store = postgres.url(postgres.new_database()).replace(f":{PASSWORD}@", "@")
        self.servers = {"KIT_STORE": store, "PGPASSWORD": PASSWORD, "MLFLOW_TRACKING_URI": uri}
        super().__init__(folder, "upload", {**ray.environment, **self.servers})
        self.scratch = folder / "scratch"
        self._gate = folder / "gate"
        self._away = folder / "elsewhere" / "of another name"
        settings = f"""
[tool.kit.executors.upload]
kind = "ray"
delivery = "upload"
env = ["PGPASSWORD"]
scratch = "{self.scratch}"
warning = 5
setup = ["until [ -e '{self._gate}' ]; do sleep 0.1; done"]
"""
        pyproject = self.root / "pyproject.toml"
        pyproject.write_text(pyproject.read_text() + settings)

    def move(self) -> None:
        """The project's folder is not where it was any more, and jobs may begin."""
        self._away.parent.mkdir()
        self._home, self.root = self.root, self.root.rename(self._away)
        self._gate.touch()

    def move_back(self) -> None:
        self.root = self.root.rename(self._home)

    def settled(self, run_id: str) -> bool:
        recovery.recover(self.project)
        return self.record(run_id).status.is_terminal

    def printed(self, run_id: str) -> str:
        return self.kit("logs", run_id).out


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "mlflow"
    folder.mkdir()
    with mlflow_server(folder) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, ray: Ray, postgres: Postgres, server: Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path, ray, postgres, server.uri)
    for name, value in (ray.environment | made.servers).items():
        monkeypatch.setenv(name, value)
    return made


def jobs() -> set[str]:
    return {job.submission_id for job in RayJobs(None)._client.list_jobs()}


def tracked(server: Server, run_id: str) -> MlflowRun:
    return mlflow_runs(server.folder)[run_id]


def test_a_run_is_made_from_what_was_uploaded_and_leaves_its_results_on_the_servers(
    place: Place, server: Server
) -> None:
    tasks = place.root / "src/tiny/tasks.py"
    tasks.write_text(tasks.read_text().replace('"score": cfg["x"] * 2.0', '"score": cfg["x"] * 5.0'))  # not committed
    here = place.kit("run", "experiment=steps", "x=3", "--json").json()
    run_id = place.submit("experiment=steps", "x=3")
    place.move()
    there = place.ended(run_id)
    assert (there.status, there.reason, there.metrics) == (RunStatus.SUCCEEDED, None, here["metrics"])
    assert (there.executor, there.job, there.tracked) == ("upload", job_id(run_id, 1), True)
    mine = tracked(server, run_id)
    assert mine.status == "FINISHED"
    assert mine.metrics == tracked(server, here["run_id"]).metrics
    kept = server.artifacts_of(there.mlflow_run_id or "")
    assert kept["logs/console.log"] == b"begins at 0\n"
    assert {"config.yaml", "spec.json"} <= kept.keys()
    assert "begins at 0\n" in place.printed(run_id)
    until(lambda: not [*place.scratch.iterdir()], "nothing to be left on the node")
    assert f"upload, job {there.job}" in place.kit("show", run_id).out
    refused = place.kit("run", "--resume", run_id, "--on", "upload", code=ExitCode.USER)
    assert "upload has no folder of the project" in refused.err


def test_its_data_is_pulled_where_it_runs(place: Place, tmp_path: Path) -> None:
    dvc(place.root, "init", "--quiet")
    dvc(place.root, "remote", "add", "--default", "team", str(tmp_path / "remote"))
    write(place.root, READS)
    dvc(place.root, "add", "--quiet", "data/raw.csv")
    commit_all(place.root)
    dvc(place.root, "push", "--quiet")
    run_id = place.submit("experiment=reads")
    place.move()
    assert (place.ended(run_id).reason, place.record(run_id).metrics) == (None, {"rows": 3.0})


def test_a_sweep_goes_there_and_survives_the_store(place: Place, postgres: Postgres, server: Server) -> None:
    place.move()
    sweep = start_kit(
        place.root, "run", "-m", "--on", "upload", "experiment=steps", "x=0,1,2,3,4,5", "pause=1", env=place.env
    )
    for count in (1, 3):
        until(lambda: [each.started_at for each in place.trials()].count(None) <= 6 - count, "trials")  # noqa: B023
        postgres.stop(signal.SIGQUIT)  # as a crash
        postgres.start()
    _, err = sweep.communicate()
    assert (sweep.returncode, "Traceback" in err) == (0, False), err
    found = place.trials()
    assert sorted(record.metrics["score"] for record in found) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert {(record.status, record.tracked) for record in found} == {(RunStatus.SUCCEEDED, True)}
    for record in found:
        mine = tracked(server, record.run_id)
        assert (mine.status, mine.metrics["loss"]) == ("FINISHED", [(step, 1.0 / (step + 1)) for step in range(3)])


def test_a_schedule_goes_there_too(place: Place, server: Server) -> None:
    place.move()
    place.schedule("day", "waits=0", trigger="{cron: 0 0 2 11 *}")
    fire = place.kit("run", "--schedule", "day", "--at", "2026-11-02T00:00:00+00:00")
    (attempt,) = place.attempts("day")
    assert "attempt 1 of 2026-11-02T00:00:00+00:00" in fire.out
    assert (attempt.status, attempt.executor, attempt.tracked) == (RunStatus.SUCCEEDED, "upload", True)
    assert tracked(server, attempt.run_id).status == "FINISHED"


def test_it_can_be_followed_and_cancelled_from_here(place: Place, server: Server) -> None:
    run_id = place.submit("experiment=waits")
    place.move()
    with start_kit(place.root, "logs", "--follow", run_id, env=place.env) as follower:
        assert follower.stdout is not None
        assert any("started" in line for line in follower.stdout)
        place.kit("cancel", run_id)
        assert follower.wait(60) == 0
    ended = place.ended(run_id)
    assert (ended.status, ended.reason) == (RunStatus.CANCELLED, "cancelled on request")
    until(lambda: place.record(run_id).tracked, "MLflow to know")
    assert tracked(server, run_id).status == "KILLED"
    until(lambda: not [*place.scratch.iterdir()], "nothing to be left on the node")


def test_one_at_its_time_limit_goes_on_from_its_checkpoint_in_another_upload(place: Place, server: Server) -> None:
    run_id = place.submit("experiment=steps", "steps=12", "pause=1")
    place.move()
    until(lambda: [*place.scratch.glob(f"**/{run_id}/checkpoints/step-*[0-9]")], "a checkpoint")
    begun = place.record(run_id)
    assert begun.supervisor is not None
    os.kill(begun.supervisor.pid, signal.SIGUSR1)  # as `--stop-after` does by itself
    ended = place.ended(run_id)
    assert (ended.status, ended.metrics["score"], ended.token) == (RunStatus.SUCCEEDED, 2.0, 2), ended.reason
    assert ended.job == job_id(run_id, 2)
    assert [step for step, _ in tracked(server, run_id).metrics["loss"]] == [*range(12)]
    assert place.printed(run_id).count("begins at") == 2


def test_one_that_is_killed_there_is_lost_and_its_tracker_told_from_here(place: Place, server: Server) -> None:
    run_id = place.submit("experiment=waits")
    place.move()
    until(lambda: place.record(run_id).status is RunStatus.RUNNING, "it to run")
    place.move_back()
    begun = place.record(run_id)
    assert begun.supervisor is not None
    os.kill(begun.supervisor.pid, signal.SIGKILL)
    until(lambda: place.settled(run_id), "it to be given up")
    lost = place.record(run_id)
    assert (lost.status, lost.token) == (RunStatus.LOST, 1)
    until(lambda: place.record(run_id).tracked, "MLflow to know")
    assert tracked(server, run_id).status == "FAILED"


def test_what_a_tracker_was_not_there_for_the_node_tells_it_later(
    place: Place, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    env = {**place.env, "MLFLOW_TRACKING_URI": uri}
    run_id = place.kit("run", "--on", "upload", "--json", "experiment=steps", env=env).json()["run_id"]
    place.move()
    ended = place.ended(run_id)
    assert (ended.status, ended.tracked) == (RunStatus.SUCCEEDED, False)
    assert recovery.recover(place.project) == []
    with mlflow_server(server.folder, port=port):
        until(lambda: place.record(run_id).tracked, "MLflow to be told")
        assert [step for step, _ in tracked(server, run_id).metrics["loss"]] == [0, 1, 2]
    until(lambda: not [*place.scratch.iterdir()], "nothing to be left on the node")


def test_what_could_not_be_had_there_is_refused(place: Place) -> None:
    before = jobs()
    done = place.kit("run", "--on", "upload", "experiment=steps", "+password=hunter2hunter2", code=ExitCode.HOST)
    assert "its config holds a secret" in done.err
    assert "hunter2" not in done.out + done.err
    assert jobs() == before
    assert place.kit("runs", "--json").json() == []
