"""The table of a run's life."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.states import (
    RESUMED,
    TERMINAL,
    TRANSITIONS,
    IllegalTransition,
    RunStatus,
    check_handing_over,
    check_resumption,
    check_transition,
)

statuses = st.sampled_from(RunStatus)


@given(old=statuses, new=statuses)
def test_only_the_table_lets_a_run_move(old: RunStatus, new: RunStatus) -> None:
    if new in TRANSITIONS[old]:
        check_transition(old, new)
    else:
        with pytest.raises(IllegalTransition, match=f"that is {old} cannot become {new}"):
            check_transition(old, new)


@given(old=statuses, new=statuses)
def test_nothing_leads_out_of_an_end_or_back_to_the_beginning(old: RunStatus, new: RunStatus) -> None:
    if old.is_terminal or new is RunStatus.QUEUED or old is new:
        with pytest.raises(IllegalTransition):
            check_transition(old, new)


@given(moves=st.lists(statuses, max_size=30))
def test_no_life_goes_through_two_ends(moves: list[RunStatus]) -> None:
    at, ends = RunStatus.QUEUED, 0
    for wanted in moves:
        if wanted in TRANSITIONS[at]:
            at = wanted
            ends += at.is_terminal
    assert ends <= 1


def test_the_ends_are_these() -> None:
    assert {"succeeded", "failed", "timed_out", "cancelled", "lost"} == TERMINAL
    assert all(status.is_terminal == (status in TERMINAL) for status in RunStatus)


@given(old=statuses)
def test_only_what_ended_and_not_well_can_be_resumed(old: RunStatus) -> None:
    if old in RESUMED:
        check_resumption(old)
        assert old in TERMINAL - {RunStatus.SUCCEEDED}
    else:
        with pytest.raises(IllegalTransition, match=f"that is {old} cannot become starting"):
            check_resumption(old)
        assert not old.is_terminal or old is RunStatus.SUCCEEDED


@given(old=statuses)
def test_only_what_is_being_started_is_handed_over(old: RunStatus) -> None:
    if old is RunStatus.STARTING:
        check_handing_over(old)
    else:
        with pytest.raises(IllegalTransition, match=f"that is {old} cannot become queued"):
            check_handing_over(old)


def test_success_comes_only_from_running() -> None:
    assert [status for status, after in TRANSITIONS.items() if RunStatus.SUCCEEDED in after] == [RunStatus.RUNNING]


def test_every_status_can_be_reached_and_can_end() -> None:
    reached = {RunStatus.QUEUED}
    while new := {after for status in reached for after in TRANSITIONS[status]} - reached:
        reached |= new
    assert reached == set(RunStatus)
    assert all(TRANSITIONS[status] & TERMINAL for status in RunStatus if not status.is_terminal)
