"""Runs whose process is gone without a word are settled; those that live, or may still begin, are left alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from kit import _clock
from kit._process import ProcessId, identify, is_alive, this_process
from kit.errors import ExitCode
from kit.executors._token import take
from kit.executors.base import Word
from kit.models import MetricPoint, Origin, RunRecord, to_json
from kit.outcomes import NEVER_STARTED, Outcome
from kit.project import Project, open_project
from kit.recovery import awaits_engine, end, recover
from kit.states import RunStatus
from kit.trackers import Metrics
from kit.trackers.spool import Spool
from tests.conftest import git
from tests.factories import claimed, record, spec
from tests.support import claim, run_refs


@pytest.fixture
def opened(project: Path) -> Project:
    return open_project(project)


@pytest.fixture
def dead() -> ProcessId:
    """A process that was there, and is gone."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1) as process:
        named = identify(process.pid)
    assert named is not None
    return named


def add(
    project: Project, run_id: str, *, status: RunStatus, age: float = 0, supervisor: ProcessId | None = None
) -> RunRecord:
    at = _clock.now() - timedelta(seconds=age)
    project.store.create(spec(run_id, project_root=str(project.root)), record(run_id, at=at))
    project.paths.run(run_id).root.mkdir()
    if status is not RunStatus.QUEUED:
        project.store.transition(run_id, RunStatus.STARTING, at=at)
    if status is RunStatus.RUNNING:
        project.store.transition(run_id, RunStatus.RUNNING, at=at)
    if supervisor is not None:
        project.store.attach(run_id, supervisor=supervisor)
    return project.store.get(run_id)


def test_nothing_to_settle_is_nothing_done(opened: Project) -> None:
    assert recover(opened) == []


@pytest.mark.parametrize("status", [RunStatus.STARTING, RunStatus.RUNNING])
def test_a_run_whose_supervisor_is_gone_is_lost(opened: Project, dead: ProcessId, status: RunStatus) -> None:
    add(opened, "a1", status=status, supervisor=dead)
    assert [run.run_id for run in recover(opened)] == ["a1"]
    found = opened.store.get("a1")
    assert (found.status, found.exit_code) == (RunStatus.LOST, 1)
    assert found.reason is not None
    assert found.ended_at is not None
    assert recover(opened) == []


def test_the_reused_pid_of_a_supervisor_fools_nobody(opened: Project) -> None:
    own = this_process()
    add(opened, "a1", status=RunStatus.RUNNING, supervisor=replace(own, started=own.started - 1))
    add(opened, "b2", status=RunStatus.RUNNING, supervisor=replace(own, boot="the one before"), age=3600)
    assert {run.run_id for run in recover(opened)} == {"a1", "b2"}


def test_a_supervisor_in_another_container_is_not_seen_but_heard(opened: Project) -> None:
    elsewhere = replace(this_process(), boot="another view of the same machine")
    add(opened, "silent", status=RunStatus.RUNNING, supervisor=elsewhere, age=3600)
    add(opened, "heard", status=RunStatus.RUNNING, supervisor=elsewhere, age=3600)
    opened.store.attach("heard", heartbeat_at=_clock.now())
    assert [run.run_id for run in recover(opened)] == ["silent"]
    assert opened.store.get("heard").status is RunStatus.RUNNING


@pytest.mark.parametrize("status", [RunStatus.STARTING, RunStatus.RUNNING])
def test_a_run_whose_supervisor_lives_goes_on(opened: Project, status: RunStatus) -> None:
    before = add(opened, "a1", status=status, age=3600, supervisor=this_process())
    assert recover(opened) == []
    assert opened.store.get("a1") == before


def test_a_run_that_has_no_supervisor_yet_gets_some_time(opened: Project) -> None:
    add(opened, "new", status=RunStatus.STARTING, age=5)
    add(opened, "old", status=RunStatus.STARTING, age=61)
    assert [(run.run_id, run.reason) for run in recover(opened)] == [("old", NEVER_STARTED)]
    assert take(opened.paths.run("new"))
    assert not take(opened.paths.run("old"))  # a supervisor that comes after all leaves again


def test_a_clock_that_was_set_back_keeps_no_run_for_ever(opened: Project) -> None:
    add(opened, "a1", status=RunStatus.STARTING, age=-7200)
    assert [run.reason for run in recover(opened)] == [NEVER_STARTED]


def test_a_queued_run_waits_as_long_as_it_has_to(opened: Project, dead: ProcessId) -> None:
    claim(opened.store, claimed("a1", created_at=_clock.now() - timedelta(days=400), starter=dead))
    assert recover(opened) == []


@pytest.mark.parametrize(("silent", "asked"), [(14, False), (16, True)])
def test_an_engine_is_asked_for_what_it_has_and_nobody_hears(opened: Project, silent: float, asked: bool) -> None:
    now = _clock.now()
    opened.store.create(spec("a0", project_root=str(opened.root)), record("a0", at=now - timedelta(days=1)))
    assert not awaits_engine(opened, now), "nobody's engine has it"
    made = replace(record("a1", at=now - timedelta(days=1)), executor="slurm", heartbeat_at=now)
    opened.store.create(spec("a1", project_root=str(opened.root)), made)
    assert awaits_engine(opened, now + timedelta(seconds=silent)) == asked
    opened.store.transition("a1", RunStatus.CANCELLED, at=now)
    assert not awaits_engine(opened, now + timedelta(days=1))


@dataclass
class Engine:
    """One that knows a job of every run, in this state."""

    word: Word

    def status(self, records: Sequence[RunRecord]) -> dict[str, Word]:
        return {record.run_id: self.word for record in records}


@pytest.mark.parametrize(
    ("token", "silent", "status"),
    [
        (None, 20, RunStatus.CANCELLED),  # whoever submitted it had no time to note it
        (3, 20, RunStatus.QUEUED),  # whoever resumed it may be about to submit it
        (3, 70, RunStatus.CANCELLED),
    ],
)
def test_the_job_that_a_resumed_run_had_before_says_nothing_of_it(
    opened: Project, token: int | None, silent: float, status: RunStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = _clock.now()
    made = replace(record(at=now - timedelta(days=1)), executor="slurm", heartbeat_at=now, token=token)
    opened.store.create(spec(project_root=str(opened.root)), made)
    word = Word("17", Outcome(RunStatus.CANCELLED, ExitCode.CANCELLED, "cancelled in SLURM"))
    monkeypatch.setattr("kit.recovery.executor_named", lambda *_: Engine(word))
    recover(opened, now + timedelta(seconds=silent))
    assert opened.store.get("abc123").status is status


def test_a_run_that_was_elsewhere_is_told_of_from_here_once_it_was_settled_here(opened: Project) -> None:
    made = add(opened, "abc123", status=RunStatus.RUNNING)
    run = opened.paths.run("abc123")
    run.spec.write_bytes(to_json(spec(project_root=str(opened.root))))
    run.elsewhere.touch()
    assert not run.is_told_from_here
    ended = end(opened, made, Outcome(RunStatus.LOST, ExitCode.RUN, "its node is gone"))
    assert (ended.status, run.is_told_from_here) == (RunStatus.LOST, True)


def test_the_time_a_run_was_queued_does_not_count(opened: Project) -> None:
    claim(opened.store, claimed("a1", created_at=_clock.now() - timedelta(days=400)))
    opened.store.transition("a1", RunStatus.STARTING, at=_clock.now() - timedelta(seconds=30))
    assert recover(opened) == []


def test_a_run_whose_starter_is_gone_gets_less_time(opened: Project, dead: ProcessId) -> None:
    elsewhere = replace(dead, boot="another view of the same machine")
    for run_id, starter, age in [
        ("gone", dead, 11),
        ("soon", dead, 1),
        ("lives", this_process(), 11),
        ("unseen", elsewhere, 11),
        ("unheard", elsewhere, 61),
    ]:
        at = _clock.now() - timedelta(seconds=age)
        claim(opened.store, claimed(run_id, status=RunStatus.STARTING, starter=starter, heartbeat_at=at,
                                    origin=Origin("schedule", run_id, 1, at)))  # fmt: skip
    assert {run.run_id: run.reason for run in recover(opened)} == {"gone": NEVER_STARTED, "unheard": NEVER_STARTED}


def test_a_run_that_was_taken_is_its_supervisors(opened: Project, dead: ProcessId) -> None:
    for run_id, supervisor in [("lives", this_process()), ("dead", dead), ("nameless", None)]:
        add(opened, run_id, status=RunStatus.STARTING, age=61)
        assert take(opened.paths.run(run_id), supervisor)
    killed = "its supervisor was killed"
    assert {run.run_id: run.reason for run in recover(opened)} == {"dead": killed, "nameless": killed}


def test_of_a_run_that_was_never_planned_nothing_is_left_but_its_row(opened: Project, dead: ProcessId) -> None:
    run = opened.paths.run("a1")
    claim(opened.store, claimed("a1", status=RunStatus.STARTING, supervisor=dead))
    run.root.mkdir(parents=True)
    run.request.write_text("a secret")
    git(opened.root, "update-ref", "refs/kit/runs/a1", "HEAD")
    (lost,) = recover(opened)
    assert (lost.status, lost.tracked) == (RunStatus.LOST, True)
    assert not run.request.exists()
    assert run_refs(opened.root) == []


def test_ended_runs_stay_as_they_ended(opened: Project, dead: ProcessId) -> None:
    add(opened, "a1", status=RunStatus.RUNNING, supervisor=dead)
    opened.store.transition("a1", RunStatus.SUCCEEDED, at=_clock.now(), exit_code=0)
    assert recover(opened) == []
    assert opened.store.get("a1").status is RunStatus.SUCCEEDED


def test_what_a_lost_run_logged_is_kept(opened: Project, dead: ProcessId) -> None:
    add(opened, "a1", status=RunStatus.RUNNING, supervisor=dead)
    spool = Spool(opened.paths.run("a1").spool)
    spool.append(Metrics((MetricPoint("loss", 0.25, 0, 1.5),)))
    spool.close()
    with opened.paths.run("a1").spool.open("a") as torn:
        torn.write('{"metrics":[["lo')
    recover(opened)
    assert opened.store.get("a1").metrics == {"loss": 0.25}


def test_a_lost_run_without_its_folder_is_settled_too(opened: Project, dead: ProcessId) -> None:
    add(opened, "a1", status=RunStatus.RUNNING, supervisor=dead)
    opened.paths.run("a1").root.rmdir()
    assert [run.status for run in recover(opened)] == [RunStatus.LOST]


def test_a_lost_run_that_mlflow_knows_but_whose_folder_is_gone_is_settled_too(opened: Project, dead: ProcessId) -> None:
    add(opened, "a1", status=RunStatus.RUNNING, supervisor=dead)
    opened.store.attach("a1", mlflow_run_id="m1")
    opened.paths.run("a1").root.rmdir()
    assert [run.status for run in recover(opened)] == [RunStatus.LOST]


def test_what_a_lost_run_had_started_is_ended(opened: Project, dead: ProcessId) -> None:
    """The run's process is gone with its supervisor, a process that it started is still in its group."""
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'print(1, flush=True); input()'])"
    leader = subprocess.Popen([sys.executable, "-c", f"input(); {code}"], stdin=-1, stdout=-1, process_group=0)
    run = identify(leader.pid)
    reader, writer = leader.stdout, leader.stdin
    assert run is not None
    assert reader is not None
    assert writer is not None
    writer.write(b"go\n")
    writer.flush()
    assert reader.readline() == b"1\n"
    leader.wait()
    add(opened, "a1", status=RunStatus.RUNNING, supervisor=dead)
    opened.store.attach("a1", process=run)
    recover(opened)
    assert reader.read() == b""  # its last writer is gone
    writer.close()
    reader.close()


def test_a_group_that_belongs_to_another_by_now_is_left_alone(opened: Project, dead: ProcessId) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, process_group=0) as other:
        named = identify(other.pid)
        assert named is not None
        add(opened, "a1", status=RunStatus.RUNNING, supervisor=dead)
        add(opened, "b2", status=RunStatus.RUNNING, supervisor=dead)
        opened.store.attach("a1", process=replace(named, started=named.started - 1))
        opened.store.attach("b2", process=replace(named, boot="before"))
        assert len(recover(opened)) == 2
        assert is_alive(named)
        other.communicate(b"\n")
        assert other.returncode == 0
