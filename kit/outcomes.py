"""How a run ended, judged from outside: its exit, what it said itself, and whether it was stopped."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum

from kit._process import signal_name
from kit.errors import ExitCode
from kit.states import RunStatus

__all__ = ["ABANDONED", "NEVER_STARTED", "PRUNED", "Outcome", "Result", "Stop", "judge"]

NEVER_STARTED = "it never came to start"
"""The reason of a run that was given up before anything of it was done."""
ABANDONED = "stopped because the command that showed it was killed"
"""The reason of a run whose client died without a word."""
PRUNED = "pruned"
"""What the reason of a trial begins with that its sweep stopped, since it was not worth going on with."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run says of its own end, last of all.

    Attributes:
        exit_code: 0 for a success.
        reason: One line; None for a success.
        fix: What to do about it, where kit knows.
        traceback: The task's own part of it, as text.
        tracked: Whether the tracker was told everything.
        rejected: Whether the task was never called, because what it was given cannot be used.
    """

    exit_code: int
    reason: str | None = None
    where: str | None = None
    fix: str | None = None
    traceback: str | None = None
    tracked: bool = False
    rejected: bool = False


class Stop(StrEnum):
    """Why a supervisor stopped a run."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    """The command that showed the run died without a word."""
    INTERRUPTED = "interrupted"
    """The engine wants its machine back; the run goes on later, and somebody else says how it ended."""
    FENCED = "fenced"
    """A later copy of the run has begun, or may have."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The truth about a run's end, as the store keeps it."""

    status: RunStatus
    exit_code: int
    reason: str | None


def judge(
    returncode: int, result: Result | None, stop: Stop | None, *, timeout: float | None = None, why: str | None = None
) -> Outcome:
    """Settle how a run ended.

    Args:
        returncode: As `subprocess` gives it: negative for a signal.
        result: None if the run did not get to say anything.
        stop: Set if it was stopped.
        timeout: The limit that a `Stop.TIMEOUT` enforced, seconds.
        why: What whoever cancelled it gave as the reason.
    """
    if returncode == 0 and result is not None and result.exit_code == 0:
        return Outcome(RunStatus.SUCCEEDED, ExitCode.OK, None)
    if stop is Stop.TIMEOUT:
        limit = "its time limit" if timeout is None else f"its time limit of {timeout:g} s"
        return Outcome(RunStatus.TIMED_OUT, ExitCode.TIMED_OUT, f"stopped at {limit}")
    if stop is Stop.CANCELLED:
        return Outcome(RunStatus.CANCELLED, ExitCode.CANCELLED, why or "cancelled on request")
    if stop is Stop.ABANDONED:
        return Outcome(RunStatus.FAILED, ExitCode.RUN, ABANDONED)
    return Outcome(RunStatus.FAILED, *_failure(returncode, result))


def _failure(returncode: int, result: Result | None) -> tuple[int, str]:
    if returncode < 0:
        hint = " (out of memory?)" if -returncode == signal.SIGKILL else ""
        return ExitCode.RUN, f"killed by {signal_name(-returncode)}{hint}"
    if result is not None and result.exit_code != 0:
        return result.exit_code, result.reason or f"exit code {result.exit_code}"
    if returncode == 0:
        return ExitCode.RUN, "the process left before the run was finished (os._exit?)"
    return ExitCode.RUN, f"the process left with exit code {returncode} before the run was finished"
