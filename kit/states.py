"""The life of a run, as a table. A transition that is not in it cannot be written."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["TERMINAL", "TRANSITIONS", "IllegalTransition", "RunStatus", "check_transition"]


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


class IllegalTransition(ValueError):
    """A run cannot go from one status to the other."""

    def __init__(self, old: RunStatus, new: RunStatus) -> None:
        super().__init__(f"a run that is {old} cannot become {new}")


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


def check_transition(old: RunStatus, new: RunStatus) -> None:
    """Raises:
    IllegalTransition: If the table has no way from `old` to `new`.
    """
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(old, new)
