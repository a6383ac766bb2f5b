"""What `kit run --resume` goes on with, what it refuses, and what is left when it is stopped before it has begun."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import pytest

from kit import config, planning, resume
from kit._clock import now
from kit._process import this_process
from kit.errors import HostError, KitError, UserError
from kit.executors._token import take, taken_by
from kit.executors.base import Handle
from kit.executors.local import LocalExecutor
from kit.fires import Fire, FireOrigin
from kit.models import Launch, Origin, Request, RunRecord, RunSpec, from_json, masked, to_json
from kit.outcomes import NEVER_STARTED
from kit.planning import write_plan
from kit.project import Project, open_project
from kit.run import Run
from kit.states import FireStatus, IllegalTransition, RunStatus
from kit.stores import fire_rows, fire_tables, sql_fires
from kit.trackers.spool import Spool
from tests.conftest import write
from tests.factories import claimed
from tests.support import claim

SECRET = "hunter2-correct-horse"
DUE = datetime(2026, 3, 1, 2, tzinfo=UTC)


class Stopped:
    """A project with a run that was stopped, and an executor that takes it without running anything."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project
        self.submitted: list[tuple[Launch, RunSpec]] = []
        self.told: list[str] = []
        self.fails: BaseException | None = None
        monkeypatch.setattr(LocalExecutor, "submit", self._submit)

    def _submit(self, launch: Launch, **_: Any) -> Handle:
        if self.fails is not None:
            raise self.fails
        spec = from_json(self.project.paths.run(launch.run_id).spec.read_bytes(), RunSpec)
        self.submitted.append((launch, spec))

        class Ended:
            run_id = launch.run_id

            def wait(self, timeout: float | None = None) -> bool:
                return timeout is None

            def cancel(self, *, at_once: bool = False) -> None: ...

            def detach(self) -> None: ...

            def give_up(self) -> None: ...

        return Ended()

    def run(
        self, *overrides: str, status: RunStatus = RunStatus.FAILED, checkpoint: int | None = 4, **request: Any
    ) -> RunRecord:
        """A run that ended like this."""
        store = self.project.store
        spec = planning.plan(self.project, Request(overrides=overrides, **request))
        write_plan(self.project, spec)
        public = masked(spec)
        paths = self.project.paths.run(spec.run_id)
        paths.spec.write_bytes(to_json(public))
        store.create(public, RunRecord.queued(public, at=now(), params=config.flatten(public.config)))
        take(paths)
        for each in (RunStatus.STARTING, RunStatus.RUNNING, *([status] if status.is_terminal else [])):
            store.transition(spec.run_id, each, at=now())
        paths.result.write_text('{"exit_code":1,"reason":"of before"}')
        if checkpoint is not None:
            with Run(paths, name="x", seed=0, spool=Spool(paths.spool)).checkpoint(checkpoint):
                pass
        return store.get(spec.run_id)

    def resume(self, record: RunRecord) -> None:
        """Have it go on, as far as the executor, and fail."""
        resume.resume(self.project, record, watch=lambda _handle, _spec: self._end(record), tell=self.told.append)

    def _end(self, record: RunRecord) -> None:
        self.begun = self.project.store.get(record.run_id)
        self.project.store.transition(record.run_id, RunStatus.FAILED, at=now(), exit_code=1, reason="once more")


@pytest.fixture
def stopped(project: Path, monkeypatch: pytest.MonkeyPatch) -> Stopped:
    return Stopped(open_project(project), monkeypatch)


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED, RunStatus.LOST])
def test_it_begins_once_more_as_it_was(stopped: Stopped, status: RunStatus) -> None:
    record = stopped.run("steps=9", status=status)
    paths = stopped.project.paths.run(record.run_id)
    stopped.resume(record)
    launch, spec = stopped.submitted[0]
    assert spec == stopped.project.store.spec(record.run_id)
    assert (launch.resumed, launch.worktree, launch.python) == (1, None, sys.executable)
    assert (stopped.begun.status, stopped.begun.starter) == (RunStatus.STARTING, this_process())
    assert not paths.taken.exists()
    assert not paths.result.exists()
    assert stopped.told == [f"run {record.run_id} goes on from its checkpoint of step 4"]
    stopped.resume(stopped.project.store.get(record.run_id))
    assert stopped.submitted[1][0].resumed == 2


def test_what_is_under_way_or_done_is_refused(stopped: Stopped) -> None:
    for status, said in [(RunStatus.RUNNING, "is running"), (RunStatus.SUCCEEDED, "has succeeded")]:
        record = stopped.run(status=status)
        with pytest.raises(UserError, match=said) as refused:
            stopped.resume(record)
        assert record.run_id in str(refused.value.fix)
    assert stopped.submitted == []


def test_a_run_whose_supervisor_is_about_to_leave_is_refused(stopped: Stopped) -> None:
    record = stopped.run()
    stopped.project.store.attach(record.run_id, supervisor=this_process())
    with pytest.raises(UserError, match="is just ending"):
        stopped.resume(stopped.project.store.get(record.run_id))


def test_a_run_without_a_checkpoint_is_refused_with_what_would_start_it_anew(stopped: Stopped) -> None:
    with pytest.raises(UserError, match="left no checkpoint") as refused:
        stopped.resume(stopped.run("model=large", "+text='a b'", checkpoint=None))
    assert """`kit run model=large '+text='"'"'a b'"'"''`""" in str(refused.value.fix)


def test_a_run_that_was_never_planned_is_refused(stopped: Stopped) -> None:
    claim(stopped.project.store, claimed("c1", status=RunStatus.LOST))
    with pytest.raises(UserError, match="was never planned"):
        stopped.resume(stopped.project.store.get("c1"))


@pytest.mark.parametrize("status", [FireStatus.RUNNING, FireStatus.RETRYING, FireStatus.FAILED])
def test_a_schedules_run_is_its_own_until_it_is_done_with_it(stopped: Stopped, status: FireStatus) -> None:
    record = stopped.run(origin=Origin("schedule", "nightly", 1, DUE))
    fire = Fire("nightly", DUE, status, FireOrigin.CLOCK, DUE, DUE, attempt=1, run_id=record.run_id)
    fires: Any = stopped.project.store.fires
    with fires._engine.begin() as connection:
        sql_fires._insert(connection, fire_tables.fires, [fire_rows.fire_row(fire)])
    if status is FireStatus.FAILED:
        stopped.resume(record)
        assert "KIT_SCHEDULE" not in os.environ
    else:
        with pytest.raises(UserError, match="schedule 'nightly', which is not done with it"):
            stopped.resume(record)


def test_secrets_are_composed_again(stopped: Stopped, monkeypatch: pytest.MonkeyPatch) -> None:
    write(stopped.project.root, {"conf/experiment/secret.yaml": SECRETIVE})
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    monkeypatch.setenv("SHARDS", "3")
    record = stopped.run("experiment=secret")
    monkeypatch.setenv("SHARDS", "4")  # what is no secret counts as it was recorded
    stopped.resume(record)
    spec = stopped.submitted[0][1]
    assert spec.config["db"] == {"password": SECRET, "url": f"pg://me:{SECRET}@host/x", "shards": "3"}
    assert spec.config["hosts"] == [f"https://me:{SECRET}@a", "b"]
    monkeypatch.setenv("DB_PASSWORD", "")
    with pytest.raises(UserError, match=r"db\.password held a secret"):
        stopped.resume(stopped.project.store.get(record.run_id))


SECRETIVE = """
    # @package _global_
    task: tiny.train.train
    db:
      password: ${oc.env:DB_PASSWORD}
      url: pg://me:${oc.env:DB_PASSWORD}@host/x
      shards: ${oc.env:SHARDS}
    hosts: ["https://me:${oc.env:DB_PASSWORD}@a", b]
    """


def test_a_secret_of_the_command_line_is_kept_nowhere(stopped: Stopped) -> None:
    record = stopped.run(f"+db.password={SECRET}")
    with pytest.raises(UserError, match="given a secret on its command line") as refused:
        stopped.resume(record)
    assert SECRET not in str(refused.value)


def test_while_the_end_is_being_told_it_waits_and_then_gives_up(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_PATIENCE", 0.1)
    record = stopped.run()
    with (
        filelock.FileLock(stopped.project.paths.run(record.run_id).settling),
        pytest.raises(HostError, match="is still being told to MLflow"),
    ):
        stopped.resume(record)
    assert stopped.project.store.get(record.run_id) == record


def test_of_two_who_ask_one_is_refused(stopped: Stopped) -> None:
    record = stopped.run()
    stopped.project.store.resume(record.run_id, at=now(), starter=this_process())
    with pytest.raises(UserError, match="is starting"):
        stopped.resume(record)  # as it was a moment ago
    assert stopped.submitted == []


@pytest.mark.parametrize("error", [HostError("no room"), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
def test_one_that_cannot_be_started_has_ended_once_more(
    stopped: Stopped, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(stopped.project.root, {"conf/experiment/secret.yaml": SECRETIVE})
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    monkeypatch.setenv("SHARDS", "3")
    monkeypatch.setattr("kit.recovery.tell_tracker", lambda *_: None)
    record = stopped.run("experiment=secret")
    stopped.fails = error
    with pytest.raises(type(error)):
        stopped.resume(record)
    found = stopped.project.store.get(record.run_id)
    assert (found.status, found.reason) == (RunStatus.LOST, NEVER_STARTED)
    paths = stopped.project.paths.run(record.run_id)
    assert SECRET.encode() not in paths.spec.read_bytes()
    assert taken_by(paths) is None
    assert paths.taken.exists()
    stopped.fails = None
    stopped.resume(found)
    assert stopped.submitted[0][0].resumed == 2


def test_one_that_is_gone_from_the_store_is_a_users_mistake(stopped: Stopped) -> None:
    with pytest.raises(KitError, match="no run"):
        stopped.resume(replace(stopped.run(), run_id="nope"))


def test_only_resuming_leads_out_of_an_end(stopped: Stopped) -> None:
    record = stopped.run()
    with pytest.raises(IllegalTransition):
        stopped.project.store.transition(record.run_id, RunStatus.STARTING, at=now())


def test_code_that_changed_is_restored_for_it(stopped: Stopped) -> None:
    record = stopped.run()
    write(stopped.project.root, {"src/tiny/train.py": "VERSION = 2\n"})
    seen: list[str] = []

    def watch(_handle: Handle, spec: RunSpec) -> None:
        seen.append(Path(spec.worktree or "", "src/tiny/train.py").read_text())
        stopped._end(record)

    resume.resume(stopped.project, record, watch=watch, tell=stopped.told.append)
    assert "A task that takes no time" in seen[0]
    assert "the project's code is not what it was when the run began" in stopped.told[1]
    launch, spec = stopped.submitted[0]
    assert launch.worktree == spec.worktree
    assert not Path(spec.worktree or "").exists()
    assert (stopped.project.store.spec(record.run_id) or spec).worktree is None


def test_data_that_changed_is_noticed(stopped: Stopped, make_data: Callable[[Path], None]) -> None:
    make_data(stopped.project.root)
    record = stopped.run()
    spec = stopped.project.store.spec(record.run_id)
    assert spec is not None
    assert resume._change(stopped.project, spec) is None
    (stopped.project.root / "data" / "raw.csv").write_text("b\n")
    assert resume._change(stopped.project, spec) == "data/raw.csv is not what it was when the run began"


@pytest.fixture
def make_data() -> Callable[[Path], None]:
    """One file that DVC has on record."""

    def make(root: Path) -> None:
        content = {
            ".dvc/config": "",
            "data/raw.csv": "a\n",
            "data/.gitignore": "/raw.csv\n",
            "data/raw.csv.dvc": """
                outs:
                - md5: 60b725f10c9c85c70d97880dfe8191b3
                  size: 2
                  hash: md5
                  path: raw.csv
                """,
        }
        write(root, content)

    return make
