"""How a run ended, judged from its exit, its last words and whether it was stopped."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.outcomes import Result, Stop, judge
from kit.states import RunStatus

OK = Result(0, tracked=True)
RAISED = Result(1, "ValueError: no such column")
ASKED = Result(130, "stopped")


@pytest.mark.parametrize(
    ("returncode", "result", "stop", "status", "exit_code", "reason"),
    [
        (0, OK, None, RunStatus.SUCCEEDED, 0, None),
        (1, RAISED, None, RunStatus.FAILED, 1, "ValueError: no such column"),
        (3, Result(3, "SystemExit: 3"), None, RunStatus.FAILED, 3, "SystemExit: 3"),
        (3, Result(3), None, RunStatus.FAILED, 3, "exit code 3"),
        # It left without a word.
        (0, None, None, RunStatus.FAILED, 1, "the process left before the run was finished (os._exit?)"),
        (7, None, None, RunStatus.FAILED, 1, "the process left with exit code 7 before the run was finished"),
        # It said one thing and did another.
        (0, RAISED, None, RunStatus.FAILED, 1, "ValueError: no such column"),
        (5, OK, None, RunStatus.FAILED, 1, "the process left with exit code 5 before the run was finished"),
        (-signal.SIGSEGV, OK, None, RunStatus.FAILED, 1, "killed by SIGSEGV"),
        # A signal of someone else's.
        (-signal.SIGKILL, None, None, RunStatus.FAILED, 1, "killed by SIGKILL (out of memory?)"),
        (-signal.SIGKILL, RAISED, None, RunStatus.FAILED, 1, "killed by SIGKILL (out of memory?)"),
        (-60, None, None, RunStatus.FAILED, 1, "killed by signal 60"),
        # Stopped.
        (130, ASKED, Stop.TIMEOUT, RunStatus.TIMED_OUT, 124, "stopped at its time limit of 1.5 s"),
        (-signal.SIGKILL, None, Stop.TIMEOUT, RunStatus.TIMED_OUT, 124, "stopped at its time limit of 1.5 s"),
        (130, ASKED, Stop.CANCELLED, RunStatus.CANCELLED, 130, "cancelled on request"),
        (0, None, Stop.CANCELLED, RunStatus.CANCELLED, 130, "cancelled on request"),
        (
            -signal.SIGKILL,
            None,
            Stop.ABANDONED,
            RunStatus.FAILED,
            1,
            "stopped because the command that showed it was killed",
        ),
        # It was done before the stop reached it.
        (0, OK, Stop.CANCELLED, RunStatus.SUCCEEDED, 0, None),
    ],
)
def test_how_a_run_ended(
    returncode: int, result: Result | None, stop: Stop | None, status: RunStatus, exit_code: int, reason: str | None
) -> None:
    outcome = judge(returncode, result, stop, timeout=1.5)
    assert (outcome.status, outcome.exit_code, outcome.reason) == (status, exit_code, reason)


def test_a_timeout_without_a_known_limit_reads_well() -> None:
    assert judge(1, None, Stop.TIMEOUT).reason == "stopped at its time limit"


@given(
    returncode=st.integers(-64, 255),
    result=st.none() | st.builds(Result, st.integers(0, 255), st.none() | st.text(), tracked=st.booleans()),
    stop=st.none() | st.sampled_from(Stop),
)
def test_success_is_what_both_the_exit_and_the_run_say(
    returncode: int, result: Result | None, stop: Stop | None
) -> None:
    outcome = judge(returncode, result, stop)
    succeeded = returncode == 0 and result is not None and result.exit_code == 0
    assert (outcome.status is RunStatus.SUCCEEDED) == succeeded
    assert (outcome.exit_code == 0) == succeeded
    assert (outcome.reason is None) == succeeded
    assert outcome.status.is_terminal
