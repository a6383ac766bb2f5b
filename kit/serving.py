"""A scheduler as a process: it takes turns until it is told to leave, and says that it is alive."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import select
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from types import FrameType
from typing import Self

import filelock

from kit import _clock, systemd
from kit._durations import rough_duration
from kit._process import this_process
from kit.alerting import OutboxEntry
from kit.errors import HostError, KitError, from_os_error
from kit.executors._telling import send_alerts
from kit.fires import SchedulerRecord
from kit.project import Project
from kit.scheduler import SILENT, Scheduler, Turn, is_gone
from kit.stores.base import DamagedStore

__all__ = ["HEARTBEAT", "ONE_TURN", "PATIENCE", "SILENT", "notice_stopped", "once", "running", "serve"]

PATIENCE = 10.0
"""Seconds that a scheduler waits for whoever else writes; it tries again, and hears in between that it is to leave."""
HEARTBEAT = timedelta(seconds=10)
"""How often a scheduler says that it is alive."""
ONE_TURN = "its one turn was over"
"""Why a scheduler is not there any more that somebody else's clock starts."""
_LONGEST_WAIT = 1.0
"""Seconds. What others write into the store is seen after this long; the clock may have been set, too."""
_LONGEST_PAUSE = 30.0
_KEPT = timedelta(days=7)
"""How long a scheduler is remembered that stopped, and a message that was sent."""


def serve(
    project: Project,
    scheduler: Scheduler,
    *,
    scope: str = "",
    on_start: Callable[[], None] = lambda: None,
    on_turn: Callable[[Turn], None] = lambda _turn: None,
    on_error: Callable[[KitError], None] = lambda _error: None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Take turns until SIGTERM, SIGINT or SIGHUP; the runs go on unless they are attached.

    What keeps it from its work (a store that is locked, a full disk) is told, and tried again.

    Args:
        scope: Empty for the scheduler of the project, of which there is one on a machine; else what it is for.
        on_start: Called when it is known that there is no other.
        on_stop: Called last of all; a second signal to stop does not interrupt it.

    Raises:
        HostError: If there is one already.
        DamagedStore: As soon as that is found out.
    """
    with _only_one(project, scope), _Doorbell() as bell:
        with _registered(project, scope) as record:
            on_start()
            systemd.notify("READY=1")
            _take_turns(project, scheduler, record, bell, on_turn=on_turn, on_error=on_error)
            systemd.notify("STOPPING=1")
        on_stop()


def _take_turns(
    project: Project,
    scheduler: Scheduler,
    record: SchedulerRecord,
    bell: _Doorbell,
    *,
    on_turn: Callable[[Turn], None],
    on_error: Callable[[KitError], None],
) -> None:
    pause = 0.0
    beaten = record.heartbeat_at
    while not bell.asked_to_stop:
        now = _clock.now()
        try:
            turn = scheduler.turn(now)
            if not beaten <= now < beaten + HEARTBEAT:
                project.store.fires.beat(replace(record, heartbeat_at=now))
                beaten = now
        except DamagedStore:
            raise
        except (HostError, OSError) as error:
            on_error(from_os_error(error) if isinstance(error, OSError) else error)
            systemd.notify("WATCHDOG=1")  # it lives, and starting it anew would not help
            pause = min(max(1.0, pause * 2), _LONGEST_PAUSE)
            bell.wait(pause)
            continue
        pause = 0.0
        on_turn(turn)
        systemd.notify("WATCHDOG=1")
        bell.wait(_until(turn.next_at))


def once(project: Project, scheduler: Scheduler) -> Turn | None:
    """One turn; None if a scheduler is at it already.

    Raises:
        HostError: If the store cannot be used.
    """
    try:
        with _only_one(project, ""), _registered(project, "", reason=ONE_TURN):
            return scheduler.turn(_clock.now(), wait=True)
    except _Taken:
        return None


def notice_stopped(project: Project, now: datetime) -> list[SchedulerRecord]:
    """Find schedulers that were killed, tell people once, and give their records."""
    fires = project.store.fires
    gone = [record for record in fires.schedulers() if record.stopped_at is None and is_gone(record, now)]
    for record in gone:
        if not record.scope:  # first: whoever dies in between leaves it to be found again, and it is told once
            fires.add_message(_farewell(project, record, now))
        fires.beat(replace(record, stopped_at=now, reason="it stopped without a word"))
    if any(not record.scope for record in gone):
        send_alerts(project.paths)
    return gone


def _farewell(project: Project, record: SchedulerRecord, now: datetime) -> OutboxEntry:
    """What people are told of a scheduler that is gone; the same message, whoever finds out."""
    silent = rough_duration((now - record.heartbeat_at).total_seconds())
    body = (
        f"The scheduler of {project.name} on {record.host} (pid {record.process.pid}) is gone; "
        f"it was last heard of {record.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC, {silent} ago.\n"
        "Runs that were under way have gone on. What was due meanwhile is caught up with as each schedule says.\n\n"
        "Next, in the project:\n  kit status"
    )
    title = f"[{project.name}] the scheduler stopped"
    entry_id = _digest(f"{record.scheduler_id} gone, that was started {record.started_at.isoformat()}")
    return OutboxEntry(entry_id, None, "scheduler", title, body, now, next_try_at=now)


def running(project: Project, now: datetime) -> list[SchedulerRecord]:
    """The schedulers of the whole project that are there, the one heard of last first."""
    notice_stopped(project, now)
    return [record for record in project.store.fires.schedulers() if record.stopped_at is None and not record.scope]


class _Taken(HostError):
    """There is a scheduler on this machine already."""


@contextlib.contextmanager
def _only_one(project: Project, scope: str) -> Iterator[None]:
    if scope:
        yield
        return
    lock = filelock.FileLock(project.paths.scheduler_lock, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        there = [r for r in project.store.fires.schedulers() if r.stopped_at is None and not r.scope]
        running = next((r for r in there if not is_gone(r, _clock.now())), None)
        who = "" if running is None else f" (pid {running.process.pid}, since {running.started_at:%Y-%m-%d %H:%M} UTC)"
        raise _Taken(
            f"this project's scheduler is running already{who}", fix="See how it does with `kit status`."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _registered(project: Project, scope: str, *, reason: str | None = None) -> Iterator[SchedulerRecord]:
    """On record as long as it lives; one that was killed stays there, to be found."""
    fires = project.store.fires
    now = _clock.now()
    notice_stopped(project, now)
    fires.forget(now - _KEPT)
    host = socket.gethostname()
    # Of one that is started every minute, and each time for one turn, only the last is worth remembering.
    scheduler_id = secrets.token_hex(8) if reason is None else _digest(f"{reason} on {host}")
    record = SchedulerRecord(scheduler_id, scope, host, this_process(), now, now)
    fires.beat(record)
    try:
        yield record
    finally:
        now = _clock.now()
        fires.beat(replace(record, heartbeat_at=now, stopped_at=now, reason=reason))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Doorbell:
    """Wakes the scheduler: a signal to leave, or the end of a run of its own."""

    def __init__(self) -> None:
        self.asked_to_stop = False
        self._inside, self._outside = socket.socketpair()

    def __enter__(self) -> Self:
        for end in (self._inside, self._outside):
            os.set_blocking(end.fileno(), False)
        self._before = {number: signal.getsignal(number) for number in (*_STOPS, signal.SIGCHLD)}
        for number in _STOPS:
            if self._before[number] is not signal.SIG_IGN:  # nohup kit scheduler &
                signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._wakeup = signal.set_wakeup_fd(self._outside.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._inside.close()
        self._outside.close()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until something happens."""
        if not self.asked_to_stop and select.select([self._inside], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                while self._inside.recv(4096):
                    pass

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.asked_to_stop = True


_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _until(next_at: datetime | None) -> float:
    """Seconds to the next instant; asked of the clock again every second at least, since it may be set."""
    if next_at is None:
        return _LONGEST_WAIT
    return min(max(0.0, (next_at - _clock.now()).total_seconds()), _LONGEST_WAIT)
