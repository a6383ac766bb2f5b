"""The lives of a run and of a fire, as tables. A transition that is not in them cannot be written."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "FIRE_BEGINNINGS",
    "FIRE_TERMINAL",
    "FIRE_TRANSITIONS",
    "RESUMED",
    "TERMINAL",
    "TRANSITIONS",
    "FireStatus",
    "IllegalTransition",
    "OnError",
    "RunStatus",
    "check_fire_history",
    "check_fire_transition",
    "check_handing_over",
    "check_resumption",
    "check_transition",
]


class OnError(StrEnum):
    """What a trial that failed means for the others."""

    CONTINUE = "continue"
    STOP = "stop"
    """No other one starts; those under way are seen through."""
    RETRY = "retry"
    """It is tried again, twice at most."""


class RunStatus(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


class FireStatus(StrEnum):
    """Where a fire, one instant at which a schedule was due, is in its life."""

    PENDING = "pending"
    """Due; waits for an earlier fire of its schedule, or for a slot."""
    RUNNING = "running"
    """One of its attempts is under way."""
    RETRYING = "retrying"
    """An attempt failed; the next is due later."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Its attempts are used up, or another one would not help."""
    SKIPPED = "skipped"
    """Its schedule's policy was not to run it."""
    MISSED = "missed"
    """Nobody was there to run it in time."""
    CANCELLED = "cancelled"
    """On request, or replaced by a later fire."""

    @property
    def is_terminal(self) -> bool:
        return self in FIRE_TERMINAL


class IllegalTransition(ValueError):
    """A run or a fire cannot go from one status to the other."""

    def __init__(self, old: RunStatus | FireStatus, new: RunStatus | FireStatus) -> None:
        what = "run" if isinstance(old, RunStatus) else "fire"
        super().__init__(f"a {what} that is {old} cannot become {new}")


_ENDS = {RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED, RunStatus.LOST}

TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset({RunStatus.STARTING, RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.LOST}),
    RunStatus.STARTING: frozenset({RunStatus.RUNNING, *_ENDS}),
    RunStatus.RUNNING: frozenset({RunStatus.SUCCEEDED, *_ENDS}),
    RunStatus.SUCCEEDED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.TIMED_OUT: frozenset(),
    RunStatus.CANCELLED: frozenset(),
    RunStatus.LOST: frozenset(),
}

TERMINAL: frozenset[RunStatus] = frozenset(status for status, after in TRANSITIONS.items() if not after)

RESUMED: frozenset[RunStatus] = frozenset(_ENDS)
"""The ends that a run can be resumed from: it is STARTING again. That is no way of the table, so that whoever comes too
late, as a supervisor that was taken for dead does, changes nothing."""


def check_resumption(old: RunStatus) -> None:
    """Raises:
    IllegalTransition: If a run that is `old` cannot be resumed.
    """
    if old not in RESUMED:
        raise IllegalTransition(old, RunStatus.STARTING)


def check_handing_over(old: RunStatus) -> None:
    """Whether a run that was planned on this machine may wait for an engine to begin it: it is QUEUED again. That is no
    way of the table, either: whoever gave the run up meanwhile is not overruled.

    Raises:
        IllegalTransition: If a run that is `old` cannot be handed over.
    """
    if old is not RunStatus.STARTING:
        raise IllegalTransition(old, RunStatus.QUEUED)


def check_transition(old: RunStatus, new: RunStatus) -> None:
    """Raises:
    IllegalTransition: If the table has no way from `old` to `new`.
    """
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(old, new)


_FIRE_ENDS = {FireStatus.SUCCEEDED, FireStatus.FAILED, FireStatus.CANCELLED}

FIRE_BEGINNINGS: frozenset[FireStatus] = frozenset({FireStatus.PENDING, FireStatus.SKIPPED, FireStatus.MISSED})
"""What a fire is when it is first written; one that is claimed with its first run goes on to RUNNING at once."""

FIRE_TRANSITIONS: dict[FireStatus, frozenset[FireStatus]] = {
    FireStatus.PENDING: frozenset(
        {FireStatus.RUNNING, FireStatus.FAILED, FireStatus.SKIPPED, FireStatus.MISSED, FireStatus.CANCELLED}
    ),
    FireStatus.RUNNING: frozenset({FireStatus.RETRYING, *_FIRE_ENDS}),
    FireStatus.RETRYING: frozenset({FireStatus.RUNNING, FireStatus.FAILED, FireStatus.CANCELLED}),
    FireStatus.SUCCEEDED: frozenset(),
    FireStatus.FAILED: frozenset(),
    # Never ran, so it still can if somebody asks: `kit schedule backfill`, `kit run --schedule NAME --at INSTANT`.
    FireStatus.SKIPPED: frozenset({FireStatus.PENDING}),
    FireStatus.MISSED: frozenset({FireStatus.PENDING}),
    FireStatus.CANCELLED: frozenset(),
}

FIRE_TERMINAL: frozenset[FireStatus] = frozenset({*_FIRE_ENDS, FireStatus.SKIPPED, FireStatus.MISSED})
"""Nothing more happens to it by itself."""


def check_fire_transition(old: FireStatus, new: FireStatus) -> None:
    """Raises:
    IllegalTransition: If the table has no way from `old` to `new`.
    """
    if new not in FIRE_TRANSITIONS[old]:
        raise IllegalTransition(old, new)


def check_fire_history(old: FireStatus | None, new: FireStatus) -> None:
    """As `check_fire_transition`, where several steps were taken at once. A new fire, which was nothing, begins as one.

    Raises:
        IllegalTransition: If no way leads from `old` to `new`.
    """
    seen: set[FireStatus] = set()
    ahead = set(FIRE_BEGINNINGS) if old is None else {old}
    while ahead:
        if new in ahead:
            return
        seen |= ahead
        ahead = {after for status in ahead for after in FIRE_TRANSITIONS[status]} - seen
    raise IllegalTransition(old or FireStatus.PENDING, new)
