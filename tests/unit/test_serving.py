"""A scheduler as a process: one at a time, on record, woken by signals, and missed when it is gone."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kit import _clock, serving
from kit._process import ProcessId, identify, this_process
from kit.board import Moves
from kit.errors import HostError, KitError
from kit.fires import SchedulerRecord
from kit.project import Project, open_project
from kit.scheduler import Scheduler, Turn, is_gone
from kit.schedules import Schedules
from kit.serving import notice_stopped, once, running, serve
from kit.stores.sql import SqlStore
from tests.conftest import write
from tests.scheduling import NOON, minute

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    SqlStore(folder / "store.db", lock=folder / "lock").close()
    return folder / "store.db"


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Project:
    root = tmp_path / "tiny"
    write(root, {"pyproject.toml": '[tool.kit]\npackage = "tiny"\n'})
    made = open_project(root)
    made.paths.create_state()
    shutil.copy(empty_store, made.paths.store)
    return made


@pytest.fixture
def dead() -> ProcessId:
    """A process that is not there any more."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        found = identify(process.pid)
    assert found is not None
    return found


class Script(Scheduler):
    """A scheduler whose turns do as they are told; after the last it asks its own process to leave."""

    def __init__(self, project: Project, *turns: Callable[[], None]) -> None:
        super().__init__(project, Schedules(project))
        self._script = list(turns)
        self.taken: list[datetime] = []

    def turn(self, now: datetime, *, wait: bool = False) -> Turn:  # noqa: ARG002
        self.taken.append(now)
        if not self._script:
            os.kill(os.getpid(), signal.SIGTERM)
            return Turn(now, Moves(now))
        self._script.pop(0)()
        return Turn(now, Moves(now), next_at=now)


def fails(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def nothing() -> None:
    pass


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing is waited for; how long it would have been, in seconds."""
    waited: list[float] = []
    monkeypatch.setattr(serving._Doorbell, "wait", lambda _self, seconds: waited.append(seconds))
    return waited


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """What the clock says, one after the other, and the last for ever."""
    says: list[datetime] = [NOON]
    monkeypatch.setattr(_clock, "now", lambda: says.pop(0) if len(says) > 1 else says[0])
    return says


# Who is there, and who is not


def test_one_is_gone_when_its_process_is(dead: ProcessId) -> None:
    here = SchedulerRecord("one", "", "box", this_process(), NOON, NOON)
    assert not is_gone(here, minute(9999))  # it may have been stopped for a while (SIGSTOP, a suspended machine)
    assert is_gone(replace(here, process=dead), NOON)


def test_one_that_cannot_be_seen_is_gone_when_it_is_silent() -> None:
    elsewhere = SchedulerRecord("one", "", "box", replace(this_process(), boot="another"), NOON, NOON)
    assert not is_gone(elsewhere, NOON + serving.SILENT)
    assert is_gone(elsewhere, NOON + serving.SILENT + timedelta(seconds=1))
    assert not is_gone(elsewhere, minute(-120))  # the clock was set back


def test_who_is_gone_is_told_of_once(project: Project, dead: ProcessId) -> None:
    fires = project.store.fires
    fires.beat(SchedulerRecord("one", "", "box", dead, minute(-90), NOON))
    assert [record.scheduler_id for record in notice_stopped(project, minute(200))] == ["one"]
    assert notice_stopped(project, minute(201)) == []
    (record,) = fires.schedulers()
    assert (record.stopped_at, record.reason) == (minute(200), "it stopped without a word")
    (message,) = fires.messages()
    assert (message.schedule, message.kind, message.created_at) == (None, "scheduler", minute(200))
    assert message.title == "[tiny] the scheduler stopped"
    assert f"on box (pid {dead.pid}) is gone" in message.body
    assert "last heard of 2026-03-01 12:00:00 UTC, 3 h ago" in message.body
    assert "kit status" in message.body


def test_who_is_there_or_said_goodbye_or_was_for_one_schedule_is_not_told_of(project: Project, dead: ProcessId) -> None:
    fires = project.store.fires
    here = SchedulerRecord("here", "", "box", this_process(), NOON, NOON)
    fires.beat(here)
    fires.beat(replace(here, scheduler_id="left", process=dead, stopped_at=NOON))
    fires.beat(replace(here, scheduler_id="cron", process=dead, scope="cli:abc"))
    assert [record.scheduler_id for record in notice_stopped(project, minute(1))] == ["cron"]
    assert fires.messages() == []
    assert running(project, minute(2)) == [here]


def test_however_many_find_out_at_once_it_is_told_once(project: Project, dead: ProcessId) -> None:
    project.store.fires.beat(SchedulerRecord("one", "", "box", dead, NOON, NOON))
    together = threading.Barrier(4)

    def notice(_: int) -> None:
        own = open_project(project.root)
        own.store.fires.schedulers()
        together.wait()
        notice_stopped(own, minute(1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(notice, range(4)))
    assert len(project.store.fires.messages()) == 1


def test_who_dies_while_telling_leaves_it_to_the_next(
    project: Project, dead: ProcessId, monkeypatch: pytest.MonkeyPatch
) -> None:
    fires = project.store.fires
    fires.beat(SchedulerRecord("one", "", "box", dead, NOON, NOON))
    with monkeypatch.context() as patched:
        patched.setattr(fires, "beat", lambda _record: fails(HostError("killed"))())
        with pytest.raises(HostError, match="killed"):
            notice_stopped(project, minute(1))
    assert len(notice_stopped(project, minute(2))) == 1
    assert [message.created_at for message in fires.messages()] == [minute(1)]


def test_the_same_process_may_die_again(project: Project, dead: ProcessId) -> None:
    """As one that is started every minute, each time for one turn: its record is always the same one."""
    for number in (1, 2):
        project.store.fires.beat(SchedulerRecord("one", "", "box", dead, minute(number), minute(number)))
        notice_stopped(project, minute(number + 0.5))
    assert len(project.store.fires.messages()) == 2


# One at a time


def test_a_second_one_is_refused_and_is_told_who_is_there(project: Project, at_once: list[float]) -> None:
    refused: list[KitError] = []

    def start_another() -> None:
        second = Script(project)
        with pytest.raises(HostError, match="running already") as caught:
            serve(project, second, on_start=lambda: refused.append(KitError("it began")))
        refused.append(caught.value)
        assert once(project, second) is None
        assert second.taken == []
        second.close()

    first = Script(project, start_another)
    serve(project, first)
    (error,) = refused
    assert error.exit_code == 3
    assert f"(pid {os.getpid()}, since " in error.what
    assert "kit status" in str(error.fix)
    first.close()


def test_one_that_was_killed_is_not_named_as_the_one_that_runs(project: Project, dead: ProcessId) -> None:
    """Between taking the lock and its record there is a moment in which only the last one is on record."""
    project.store.fires.beat(SchedulerRecord("old", "", "box", dead, NOON, NOON))
    with serving._only_one(project, ""), pytest.raises(HostError) as caught, serving._only_one(project, ""):
        pass
    assert caught.value.what == "this project's scheduler is running already"


def test_what_is_for_one_schedule_runs_beside_the_scheduler(project: Project, at_once: list[float]) -> None:
    def start_another() -> None:
        other = Script(project)
        serve(project, other, scope="cli:abc")
        assert len(other.taken) == 1
        other.close()

    first = Script(project, start_another)
    serve(project, first)
    scopes = {record.scope: record.stopped_at is not None for record in project.store.fires.schedulers()}
    assert scopes == {"": True, "cli:abc": True}
    first.close()


def test_one_turn_and_no_more(project: Project) -> None:
    for _ in range(3):
        scheduler = Script(project, nothing)
        assert once(project, scheduler) is not None
        assert len(scheduler.taken) == 1
        scheduler.close()
    (record,) = project.store.fires.schedulers()  # not one for each minute of the year
    assert record.reason == serving.ONE_TURN
    assert record.stopped_at is not None


# Taking turns


def test_what_keeps_it_from_its_work_is_told_and_tried_again_ever_later(project: Project, at_once: list[float]) -> None:
    locked = HostError("the store is locked")
    full = OSError(28, "No space left on device")
    scheduler = Script(project, nothing, *[fails(locked)] * 7, fails(full), nothing, fails(locked))
    told: list[str] = []
    turns: list[Turn] = []
    serve(project, scheduler, on_turn=turns.append, on_error=lambda error: told.append(error.what))
    assert told == [*["the store is locked"] * 7, "the disk is full", "the store is locked"]
    assert len(turns) == 3
    assert at_once[1:9] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert at_once[10] == 1.0
    scheduler.close()


def test_what_it_does_not_know_how_to_mend_ends_it_and_it_says_goodbye(project: Project, at_once: list[float]) -> None:
    scheduler = Script(project, fails(ZeroDivisionError("a fault of kit's own")), nothing)
    with pytest.raises(ZeroDivisionError):
        serve(project, scheduler)
    (record,) = project.store.fires.schedulers()
    assert record.stopped_at is not None
    assert once(project, scheduler) is not None  # the lock is free
    scheduler.close()


def test_it_says_that_it_is_alive_every_ten_seconds(
    project: Project, at_once: list[float], clock: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[float] = []
    fires = project.store.fires
    beat = fires.beat

    def count(record: SchedulerRecord) -> None:
        beats.append((record.heartbeat_at - NOON).total_seconds())
        beat(record)

    monkeypatch.setattr(fires, "beat", count)
    # Each turn asks twice: to begin, and to know how long to wait. At last the clock is set back by an hour.
    asked = [0, 4, 8, 12, 16, 20, 24, -3600, -3590, -3585]
    clock[:] = [NOON, *(NOON + timedelta(seconds=number) for second in asked for number in (second, second))]
    scheduler = Script(project, *[nothing] * len(asked))
    serve(project, scheduler)
    assert beats[:-1] == [0, 12, 24, -3600, -3590]
    scheduler.close()


def test_it_waits_for_what_is_next_and_no_longer_than_a_second(clock: list[datetime]) -> None:
    clock[:] = [NOON]
    assert serving._until(None) == 1.0
    assert serving._until(minute(60)) == 1.0
    assert serving._until(NOON + timedelta(milliseconds=250)) == 0.25
    assert serving._until(minute(-1)) == 0.0


# Signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_leave_ends_the_wait_at_once(number: signal.Signals) -> None:
    with serving._Doorbell() as bell:
        os.kill(os.getpid(), number)
        bell.wait(600)
        assert bell.asked_to_stop
        bell.wait(600)


def test_the_end_of_a_child_wakes_and_does_not_stop() -> None:
    with serving._Doorbell() as bell:
        child = subprocess.Popen([sys.executable, "-c", ""])
        bell.wait(600)
        assert not bell.asked_to_stop
        assert child.wait() == 0
        bell.wait(0)
        assert select.select([bell._inside], [], [], 0)[0] == []  # heard, and done with


def test_what_was_ignored_stays_so_and_everything_is_as_it_was_afterwards() -> None:
    numbers = (*SIGNALS, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup kit scheduler &
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    try:
        with serving._Doorbell() as bell:
            os.kill(os.getpid(), signal.SIGHUP)
            bell.wait(0)
            assert not bell.asked_to_stop
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before[signal.SIGHUP])
    assert {number: signal.getsignal(number) for number in numbers} == before
    assert signal.set_wakeup_fd(-1) == -1
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
