"""What is remembered of schedules: their fires, what was passed over, and how far the clock was dealt with.

Plain frozen records; what becomes of them is decided in `kit.board` and kept by `kit.stores`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from kit._process import ProcessId
from kit.alerting import AlertState
from kit.states import FireStatus, RunStatus
from kit.triggers import Trigger

__all__ = ["Attempt", "Fire", "FireKey", "FireOrigin", "FireQuery", "Gap", "ScheduleState", "SchedulerRecord"]

FireKey = tuple[str, datetime]
"""Schedule and instant: a fire's name, unique for ever."""


class FireOrigin(StrEnum):
    """Why there is a fire."""

    CLOCK = "clock"
    CATCH_UP = "catch_up"
    DATA = "data"
    AFTER = "after"
    BACKFILL = "backfill"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Fire:
    """One instant at which a schedule was due.

    Attributes:
        requested: Somebody wants this very one: it waits where others are skipped.
        cause: What a data trigger saw: the version's hash.
        due_at: Its next attempt starts no earlier.
        started_at: When its first attempt was started.
        reason: Why it ended as it did; None for a success.
        attempt: The number of its last attempt, from 1; 0 if it never had one.
        uncounted: How many of its attempts do not count against its retries.
        run_id: The run that is its last attempt.
        stopping: Why its run is being stopped.
        followed: Whether the schedules that come after its success were told.
        slots: What its run takes of each pool, as its schedule said when that was started; its file may change.
    """

    schedule: str
    scheduled_at: datetime
    status: FireStatus
    origin: FireOrigin
    created_at: datetime
    due_at: datetime
    requested: bool = False
    cause: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    attempt: int = 0
    uncounted: int = 0
    run_id: str | None = None
    stopping: str | None = None
    followed: bool = False
    slots: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> FireKey:
        return (self.schedule, self.scheduled_at)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a fire's last run came to, as far as the fire is concerned.

    Attributes:
        executor: The engine that has it; None for a scheduler's machine, and before it is known.
        starter: The process that started it, where a scheduler's machine is; None before that.
    """

    run_id: str
    status: RunStatus
    exit_code: int | None = None
    reason: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    executor: str | None = None
    starter: ProcessId | None = None

    def is_beside(self, process: ProcessId | None) -> bool:
        """Whether it is on the machine of that process, as far as that can be told."""
        if self.executor is not None:
            return False
        return self.starter is None or process is None or self.starter.boot == process.boot


@dataclass(frozen=True, slots=True)
class FireQuery:
    """Which fires, the latest instant first. `since` and `until` are inclusive."""

    schedule: str | None = None
    statuses: frozenset[FireStatus] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Consecutive instants at which a schedule was due and did not run, `first` and `last` among them.

    Attributes:
        status: SKIPPED or MISSED.
        count: How many.
        noted_at: When that was found out.
    """

    schedule: str
    status: FireStatus
    first: datetime
    last: datetime
    count: int
    reason: str
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """Where a schedule stands.

    Attributes:
        trigger: The one that `cursor` was counted by; a changed file is noticed by it.
        cursor: Every instant up to this one is dealt with.
        enabled: Whether the file said so when last looked at.
        paused_at: Since when it is paused; None if it is not.
        paused_why: What whoever paused it said.
    """

    schedule: str
    trigger: Trigger
    cursor: datetime
    enabled: bool = True
    paused_at: datetime | None = None
    paused_why: str | None = None
    alerts: AlertState = field(default_factory=AlertState)


@dataclass(frozen=True, slots=True)
class SchedulerRecord:
    """A process that runs schedules, or did.

    Attributes:
        scope: Which schedules: empty for all of the project's, else the one that it was started for.
        stopped_at: When it said goodbye, or was found gone.
        reason: Why it is not there any more; None if it left as it should.
    """

    scheduler_id: str
    scope: str
    host: str
    process: ProcessId
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None = None
    reason: str | None = None
