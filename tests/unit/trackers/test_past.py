"""What was logged before, told step by step, whatever the steps are; and held in little room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from kit.models import MetricPoint
from kit.trackers.past import Past, _Steps

_EXTREME = [-(2**63), -1, 0, 1, 2**63 - 1]
steps = st.lists(st.one_of(st.integers(0, 6), st.integers(-(2**63), 2**63 - 1), st.sampled_from(_EXTREME)), max_size=40)
stretches = st.lists(
    st.tuples(st.integers(-5, 30), st.integers(0, 5), st.integers(1, 9)).map(
        lambda it: [it[0] + it[1] * n for n in range(it[2])]
    ),
    max_size=6,
).map(lambda parts: [step for part in parts for step in part])


def kept(given: Iterable[int]) -> _Steps:
    made = _Steps()
    for step in given:
        made.add(step)
    return made


@given(given=st.one_of(steps, stretches))
def test_every_step_has_as_many_values_as_it_was_given(given: list[int]) -> None:
    expected = Counter(given)
    made = kept(given)
    for step in {*given, *range(-6, 80), *_EXTREME}:
        assert made.count(step) == expected[step]


@given(past=stretches, again=stretches)
def test_as_many_are_passed_over_as_there_are(past: list[int], again: list[int]) -> None:
    known = Past(MetricPoint("loss", 0.0, step, 1.5) for step in past)
    left = Counter(past)
    for step in again:
        assert known.has("loss", step) == (left[step] > 0)
        left[step] -= 1
    assert not known.has("other", 0)


def test_a_million_points_take_no_more_room_than_ten() -> None:
    def held(points: int) -> tuple[int, int]:
        made = kept([*range(points), *range(points, 100 * points, 100)])
        for step in range(100):
            made.add(step)  # begins anew, as each epoch may
        return len(made._from), len(made._others)

    assert held(10**6) == held(1000) == (2, 100)


def test_what_is_logged_once_more_takes_no_more_room() -> None:
    past = Past(MetricPoint("loss", 0.0, step, 1.5) for step in range(10**5))
    assert all(past.has("loss", step) for step in range(10**5))
    assert not past.has("loss", 3)
    assert (len(past._met["loss"]._from), len(past._met["loss"]._others)) == (1, 0)
