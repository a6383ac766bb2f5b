"""Runs that were only claimed, as a schedule's are: they plan themselves, and are runs like any other then."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from kit import _clock, runs
from kit._process import this_process
from kit.executors.base import Handle
from kit.models import Limits, Origin, Request, RunRecord, to_json
from kit.paths import RunPaths
from kit.project import Project, open_project
from kit.recovery import recover
from kit.states import RunStatus
from kit.stores import RunQuery
from tests.conftest import git
from tests.factories import claimed
from tests.support import claim, environment, kit, mlflow_runs, new_project, processes_of, run_refs, until

DUE = datetime(2013, 2, 1, 2, tzinfo=UTC)
SECRET = "hunter2-correct-horse"

FILES = {
    "src/tiny/tasks.py": """
        import os
        import threading

        import kit


        def tells(cfg: dict, run: kit.Run) -> dict[str, float]:
            for name in ("KIT_SCHEDULE", "KIT_SCHEDULED_AT", "KIT_ATTEMPT", "PYTHONHASHSEED"):
                print(f"{name}={os.environ.get(name)}")
            print(f"run.scheduled_at={run.scheduled_at.isoformat()}")
            return {"score": 0.5}


        def waits(cfg: dict, run: kit.Run) -> None:
            print("started", flush=True)
            try:
                threading.Event().wait()
            finally:
                print("tidied up", flush=True)
        """,
    "conf/experiment/tells.yaml": """
        # @package _global_
        task: tiny.tasks.tells
        day: ${oc.env:KIT_SCHEDULED_AT,null}
        """,
    "conf/experiment/waits.yaml": "# @package _global_\ntask: tiny.tasks.waits\n",
    "conf/experiment/brief.yaml": "# @package _global_\ntask: tiny.tasks.waits\ntimeout: 8\n",
}


STAGES = {
    ".dvc/config": "",
    "dvc.yaml": """
        stages:
          months:
            cmd: echo told $KIT_SCHEDULED_AT $KIT_SCHEDULE $KIT_ATTEMPT && echo $KIT_SCHEDULED_AT > months
            outs: [months]
            always_changed: true
        """,
}


HANGS = {".dvc/config": "", "dvc.yaml": "stages:\n  slow: {cmd: 'echo half > out && sleep 987', outs: [out]}\n"}


@dataclass
class Place:
    """A project in which runs are claimed and launched."""

    project: Project
    env: dict[str, str]

    @property
    def root(self) -> Path:
        return self.project.root

    def claim(self, *overrides: str, at: datetime = DUE, **request: Any) -> tuple[str, Request]:
        """What the claim of a fire and its turn leave behind."""
        store = self.project.store
        origin = Origin("schedule", "nightly", len(store.runs(RunQuery())) + 1, at)
        run_id = runs.new_id()
        claim(store, claimed(run_id, origin=origin, created_at=_clock.now(), starter=this_process()))
        store.transition(run_id, RunStatus.STARTING, at=_clock.now())
        return run_id, Request(overrides=overrides, name="nightly", origin=origin, **request)

    def launch(self, *overrides: str, **more: Any) -> tuple[str, Handle]:
        run_id, request = self.claim(*overrides, **more)
        return run_id, runs.launch(self.project, run_id, request)

    def run(self, *overrides: str, **more: Any) -> RunRecord:
        """Launch one from here, and see it end."""
        run_id, handle = self.launch(*overrides, **more)
        assert handle.wait(200)
        return self.project.store.get(run_id)

    def start_elsewhere(self, *overrides: str, attached: bool) -> tuple[str, subprocess.Popen[str]]:
        """Launch one from a process that can be killed."""
        run_id, request = self.claim(*overrides, tags={"team": "x"})
        starter = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(self.root), run_id, to_json(request).decode(), str(attached)],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert starter.stdout is not None
        assert starter.stdout.readline() == "launched\n"
        return run_id, starter

    def paths(self, run_id: str) -> RunPaths:
        return self.project.paths.run(run_id)

    def log(self, run_id: str) -> str:
        path = self.paths(run_id).log
        return path.read_text() if path.exists() else ""

    def processes(self, run_id: str) -> tuple[psutil.Process, psutil.Process]:
        """The run's supervisor and its worker, as soon as they are known."""

        def found() -> RunRecord | None:
            record = self.project.store.get(run_id)
            return record if record.supervisor is not None and record.process is not None else None

        record = until(found, "the supervisor")
        assert record is not None
        assert record.supervisor is not None
        assert record.process is not None
        return psutil.Process(record.supervisor.pid), psutil.Process(record.process.pid)

    def ended(self, run_id: str) -> RunRecord:
        def found() -> RunRecord | None:
            record = self.project.store.get(run_id)
            return record if record.status.is_terminal else None

        record = until(found, "the end")
        assert record is not None
        return record


STARTER = """
import sys
from pathlib import Path
from kit import runs
from kit.models import Request, from_json
from kit.project import open_project
request = from_json(sys.argv[3], Request)
handle = runs.launch(open_project(Path(sys.argv[1])), sys.argv[2], request, attached=sys.argv[4] == "True")
print("launched", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("claimed")


@pytest.fixture
def make(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Place]]:
    env = environment(folder / "home")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    made: list[Path] = []

    def place(files: dict[str, str] | None = None, *, root: Path | None = None) -> Place:
        made.append(root or new_project(tmp_path / "tiny", FILES | (files or {})))
        return Place(open_project(made[-1]), env)

    yield place
    for root in made:
        until(lambda: processes_of(root) == [], "nothing to be left of any run")  # noqa: B023


@pytest.fixture(scope="module")
def shared(folder: Path) -> Path:
    """Made once: the runs are each other's neighbours, as in life."""
    return new_project(folder / "tiny", FILES)


@pytest.fixture
def place(make: Callable[..., Place], shared: Path) -> Place:
    return make(root=shared)


def test_a_run_outlives_its_starter_and_is_a_run_like_any_other(place: Place) -> None:
    run_id, starter = place.start_elsewhere("experiment=tells", f"+db.password={SECRET}", attached=False)
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    record = place.ended(run_id)
    assert (record.status, record.exit_code, record.reason) == (RunStatus.SUCCEEDED, 0, None)
    assert (record.name, record.experiment, record.task) == ("nightly", "tells", "tiny.tasks.tells")
    assert (record.seed, record.metrics, record.tags) == (7, {"score": 0.5}, {"team": "x"})
    assert record.params["day"] == "2013-02-01T02:00:00+00:00"
    assert record.origin.scheduled_at == DUE
    until(lambda: place.project.store.get(run_id).tracked, "the tracker to know")
    told = place.log(run_id).splitlines()
    assert told[:4] == [
        "KIT_SCHEDULE=nightly",
        "KIT_SCHEDULED_AT=2013-02-01T02:00:00+00:00",
        f"KIT_ATTEMPT={record.origin.index}",
        "PYTHONHASHSEED=0",
    ]
    assert told[4] == "run.scheduled_at=2013-02-01T02:00:00+00:00"
    paths = place.paths(run_id)
    assert yaml.safe_load(paths.config.read_text())["task"] == "tiny.tasks.tells"
    assert not paths.request.exists()
    assert not [path for path in paths.root.rglob("*") if path.is_file() and SECRET in path.read_text(errors="replace")]
    spec = place.project.store.spec(run_id)
    assert spec is not None
    assert spec.snapshot.code.commit == record.commit
    assert f"refs/kit/runs/{run_id}" in run_refs(place.root)
    assert spec.snapshot.command == ("kit", "run", "--schedule", "nightly", "--at", "2013-02-01T02:00:00+00:00")


def test_mlflow_shows_which_fire_a_run_was(place: Place) -> None:
    record = place.run("experiment=tells")
    found = mlflow_runs(place.root)[record.run_id]
    assert (found.status, found.name, found.metrics["score"][0][1]) == ("FINISHED", "nightly", 0.5)
    tags = {key: found.tags[f"kit.{key}"] for key in ("origin", "schedule", "scheduled_at", "attempt", "seed")}
    assert tags == {
        "origin": "schedule",
        "schedule": "nightly",
        "scheduled_at": "2013-02-01T02:00:00+00:00",
        "attempt": str(record.origin.index),
        "seed": "7",
    }
    assert (found.artifacts / "config.yaml").exists()


def test_a_config_that_does_not_compose_is_a_failed_run_with_its_reason(place: Place) -> None:
    record = place.run("experiment=tells", "no_such_key=1", f"+password={SECRET}")
    assert (record.status, record.exit_code, record.task) == (RunStatus.FAILED, 2, None)
    assert "no_such_key" in (record.reason or "")
    until(lambda: place.project.store.get(record.run_id).tracked, "it to be known that there is nothing to tell")
    assert record.run_id not in mlflow_runs(place.root)
    result = json.loads(place.paths(record.run_id).result.read_bytes())
    assert result["fix"]
    assert result["fix"] in place.log(record.run_id)
    assert not place.paths(record.run_id).request.exists()
    assert not place.paths(record.run_id).spec.exists()
    assert f"refs/kit/runs/{record.run_id}" not in run_refs(place.root)
    assert runs.listing(place.project, RunQuery(limit=1))[0] == record


def test_a_run_that_was_never_planned_can_be_looked_at(place: Place) -> None:
    failed, good = place.run("no_such_key=1"), place.run("experiment=tells")
    shown = kit(place.root, "show", failed.run_id, env=place.env).out
    assert "no_such_key" in shown
    assert "due at" in shown
    assert "2013-02-01 02:00:00 UTC" in shown
    assert "made from" not in shown
    assert kit(place.root, "show", failed.run_id, "--json", env=place.env).json()["spec"] is None
    assert "no_such_key" in kit(place.root, "logs", failed.run_id, env=place.env).out
    diff = kit(place.root, "diff", failed.run_id, good.run_id, env=place.env, code=2)
    assert "cannot be compared" in diff.err
    assert f"kit show {failed.run_id}" in diff.err


def test_a_config_that_does_not_fit_the_task_is_a_failed_run_that_mlflow_knows(place: Place) -> None:
    record = place.run("experiment=baseline", "model.depth=deep")
    assert (record.status, record.exit_code) == (RunStatus.FAILED, 2)
    assert "model.depth" in (record.reason or "")
    assert record.task == "tiny.train.train"
    assert mlflow_runs(place.root)[record.run_id].status == "FAILED"


def test_a_time_limit_in_the_config_holds_from_when_the_run_is_planned(place: Place) -> None:
    record = place.run("experiment=brief")
    assert (record.status, record.exit_code) == (RunStatus.TIMED_OUT, 124)
    assert record.reason == "stopped at its time limit of 8 s"


def test_its_task_can_be_asked_to_stop(place: Place) -> None:
    run_id, handle = place.launch("experiment=waits", limits=Limits(grace=60))
    until(lambda: "started" in place.log(run_id), "the task to start")
    runs.cancel(place.project, run_id)
    assert handle.wait(200)
    record = place.project.store.get(run_id)
    assert (record.status, record.reason) == (RunStatus.CANCELLED, "cancelled on request")
    assert "tidied up" in place.log(run_id)
    assert mlflow_runs(place.root)[run_id].status == "KILLED"


def test_a_run_that_is_shown_ends_with_the_command_that_shows_it(place: Place) -> None:
    run_id, starter = place.start_elsewhere("experiment=waits", attached=True)
    until(lambda: "started" in place.log(run_id), "the task to start")
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    assert place.ended(run_id).reason == "stopped because the command that showed it was killed"


def test_its_task_dies_with_its_supervisor(place: Place) -> None:
    """Also after the process that planned it became the one that runs it."""
    run_id, handle = place.launch("experiment=waits")
    until(lambda: "started" in place.log(run_id), "the task to start")
    supervisor, worker = place.processes(run_id)
    supervisor.kill()
    handle.wait()
    psutil.wait_procs([worker], timeout=100)
    assert not worker.is_running()
    recover(place.project)
    assert place.project.store.get(run_id).status is RunStatus.LOST


def test_a_second_supervisor_leaves_at_once(place: Place) -> None:
    run_id, request = place.claim("experiment=waits")
    first = runs.launch(place.project, run_id, request)
    until(lambda: "started" in place.log(run_id), "the task to start")
    before = place.project.store.get(run_id)
    second = runs.launch(place.project, run_id, request, attached=True)
    assert second.wait(100)
    assert not first.wait(0)
    after = place.project.store.get(run_id)
    assert (after.supervisor, after.process, after.status) == (before.supervisor, before.process, RunStatus.RUNNING)
    first.cancel()  # it is heard although the run was let go
    assert first.wait(200)
    assert place.project.store.get(run_id).status is RunStatus.CANCELLED


def test_a_supervisor_that_comes_too_late_finds_the_run_given_up(place: Place) -> None:
    run_id, request = place.claim("experiment=tells")
    asked = runs.cancel(place.project, run_id)
    assert (asked.status, asked.exit_code, asked.tracked) == (RunStatus.CANCELLED, 130, True)
    assert runs.launch(place.project, run_id, request).wait(100)
    assert place.project.store.get(run_id) == asked
    assert place.log(run_id) == ""


def test_stages_are_brought_up_to_date_first(make: Callable[..., Place]) -> None:
    place = make(STAGES)
    records = [
        place.run("experiment=tells", at=datetime(2013, month, 1, tzinfo=UTC), repro=("months",)) for month in (2, 3)
    ]
    assert [record.status for record in records] == [RunStatus.SUCCEEDED] * 2, place.log(records[0].run_id)
    assert (place.root / "months").read_text() == "2013-03-01T00:00:00+00:00\n"
    assert "told 2013-02-01T00:00:00+00:00 nightly 1" in place.log(records[0].run_id)
    specs = [place.project.store.spec(record.run_id) for record in records]
    versions = {spec.snapshot.data[0].md5 for spec in specs if spec is not None}
    assert len(versions) == 2
    assert None not in versions


def test_a_stage_that_fails_is_a_failed_run(make: Callable[..., Place]) -> None:
    place = make(STAGES | {"dvc.yaml": "stages:\n  months: {cmd: 'echo no such month && exit 3', outs: [months]}\n"})
    record = place.run("experiment=tells", repro=("months",))
    assert (record.status, record.exit_code) == (RunStatus.FAILED, 4)
    assert "data stage 'months' failed" in (record.reason or "")
    assert "no such month" in (record.reason or "")
    assert run_refs(place.root) == []


@pytest.mark.parametrize("how", ["time limit", "cancelled"])
def test_planning_that_hangs_is_ended(make: Callable[..., Place], how: str) -> None:
    place = make(HANGS)
    limits = Limits(timeout=8, grace=60) if how == "time limit" else Limits(grace=60)
    run_id, handle = place.launch("experiment=tells", repro=("slow",), limits=limits)
    if how == "cancelled":
        until((place.root / "out").exists, "the stage to begin")
        place.processes(run_id)
        runs.cancel(place.project, run_id)
    assert handle.wait(200)
    record = place.project.store.get(run_id)
    expected = (RunStatus.TIMED_OUT, 124) if how == "time limit" else (RunStatus.CANCELLED, 130)
    assert (record.status, record.exit_code) == expected
    assert processes_of(place.root) == []
    assert run_refs(place.root) == []


@pytest.mark.parametrize("victim", ["supervisor", "worker"])
def test_planning_that_is_killed_leaves_nothing(make: Callable[..., Place], victim: str) -> None:
    place = make(HANGS)
    run_id, handle = place.launch("experiment=tells", f"+password={SECRET}", repro=("slow",))
    supervisor, worker = place.processes(run_id)
    until((place.root / "out").exists, "the stage to begin")
    git(place.root, "update-ref", f"refs/kit/runs/{run_id}", "HEAD")  # as if it had come so far
    (supervisor if victim == "supervisor" else worker).kill()
    assert handle.wait(200)
    recover(place.project)
    record = place.project.store.get(run_id)
    if victim == "supervisor":
        assert (record.status, record.reason) == (RunStatus.LOST, "its supervisor was killed")
    else:
        assert (record.status, record.reason) == (RunStatus.FAILED, "killed by SIGKILL (out of memory?)")
    until(lambda: processes_of(place.root) == [], "the stage to be gone")
    assert run_refs(place.root) == []
    assert record.tracked
    assert SECRET not in "".join(path.read_text() for path in place.paths(run_id).root.iterdir() if path.is_file())
