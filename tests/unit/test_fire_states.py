"""The table of a fire's life."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.states import (
    FIRE_BEGINNINGS,
    FIRE_TERMINAL,
    FIRE_TRANSITIONS,
    FireStatus,
    IllegalTransition,
    check_fire_history,
    check_fire_transition,
)

statuses = st.sampled_from(FireStatus)
RAN = {FireStatus.SUCCEEDED, FireStatus.FAILED, FireStatus.CANCELLED}


@given(old=statuses, new=statuses)
def test_only_the_table_lets_a_fire_move(old: FireStatus, new: FireStatus) -> None:
    if new in FIRE_TRANSITIONS[old]:
        check_fire_transition(old, new)
    else:
        with pytest.raises(IllegalTransition, match=f"a fire that is {old} cannot become {new}"):
            check_fire_transition(old, new)


@given(begin=st.sampled_from(sorted(FIRE_BEGINNINGS)), moves=st.lists(statuses, max_size=30))
def test_a_fire_that_was_settled_never_moves_again(begin: FireStatus, moves: list[FireStatus]) -> None:
    life = [begin]
    for wanted in moves:
        if wanted in FIRE_TRANSITIONS[life[-1]]:
            life.append(wanted)
    assert not RAN & set(life[:-1])
    assert FireStatus.PENDING in life or not RAN & set(life)


def test_what_never_ran_can_be_asked_for_and_nothing_else_comes_back() -> None:
    back = {status for status in FIRE_TERMINAL if FIRE_TRANSITIONS[status]}
    assert back == {FireStatus.SKIPPED, FireStatus.MISSED}
    assert all(FIRE_TRANSITIONS[status] == {FireStatus.PENDING} for status in back)


def test_a_run_that_was_under_way_is_never_called_skipped_or_missed() -> None:
    for status in (FireStatus.RUNNING, FireStatus.RETRYING):
        assert not FIRE_TRANSITIONS[status] & {FireStatus.SKIPPED, FireStatus.MISSED}


def test_success_comes_only_from_running() -> None:
    sources = [status for status, after in FIRE_TRANSITIONS.items() if FireStatus.SUCCEEDED in after]
    assert sources == [FireStatus.RUNNING]


def test_every_status_can_be_reached_and_can_end() -> None:
    reached = set(FIRE_BEGINNINGS)
    while new := {after for status in reached for after in FIRE_TRANSITIONS[status]} - reached:
        reached |= new
    assert reached == set(FireStatus) == set(FIRE_TRANSITIONS)
    assert all(FIRE_TRANSITIONS[status] & FIRE_TERMINAL for status in FireStatus if not status.is_terminal)


def ways(old: FireStatus) -> set[FireStatus]:
    """What a fire can become in any number of steps, none included."""
    reached = {old}
    while new := {after for status in reached for after in FIRE_TRANSITIONS[status]} - reached:
        reached |= new
    return reached


@pytest.mark.parametrize("old", FireStatus)
@pytest.mark.parametrize("new", FireStatus)
def test_several_steps_at_once_are_steps_of_the_table(old: FireStatus, new: FireStatus) -> None:
    if new in ways(old):
        check_fire_history(old, new)
    else:
        with pytest.raises(IllegalTransition, match=f"a fire that is {old} cannot become {new}"):
            check_fire_history(old, new)


@pytest.mark.parametrize("new", FireStatus)
def test_a_new_fire_begins_as_one_and_may_have_gone_on_at_once(new: FireStatus) -> None:
    check_fire_history(None, new)  # PENDING leads everywhere


@pytest.mark.parametrize("old", sorted(RAN))
def test_what_ran_stays_what_it_is(old: FireStatus) -> None:
    assert ways(old) == {old}
    check_fire_history(old, old)  # told again, or noted as followed


def test_what_was_skipped_can_be_asked_for_and_end_in_one_step() -> None:
    check_fire_history(FireStatus.SKIPPED, FireStatus.RUNNING)
    check_fire_history(FireStatus.MISSED, FireStatus.FAILED)
    with pytest.raises(IllegalTransition):
        check_fire_history(FireStatus.RUNNING, FireStatus.SKIPPED)
