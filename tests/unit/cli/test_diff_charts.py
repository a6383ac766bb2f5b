"""Lines for small charts, whatever the values are."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kit.cli._diff_charts import BOTTOM, LEFT, RIGHT, TOP, Chart, chart, ticks


def drawn(old: list[tuple[int, float]], new: list[tuple[int, float]]) -> Chart:
    found = chart("loss", old, new)
    assert found is not None
    return found


def positions(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.e]+) ([-\d.e]+)", path)]


def test_a_line_goes_from_the_first_step_to_the_last() -> None:
    found = drawn([(0, 1.0), (10, 0.0)], [(0, 0.5), (5, 0.5)])
    assert positions(found.old) == [(LEFT, TOP), (RIGHT, BOTTOM)]
    assert positions(found.new)[-1][0] == pytest.approx((LEFT + RIGHT) / 2)
    assert [tick.label for tick in found.steps] == ["0", "10"]
    assert [(tick.at, tick.label) for tick in found.values] == [(BOTTOM, "0"), ((TOP + BOTTOM) / 2, "0.5"), (TOP, "1")]


def test_one_value_is_no_line() -> None:
    assert chart("score", [(0, 1.0)], [(0, 2.0)]) is None
    assert chart("score", [], []) is None
    assert chart("score", [(0, math.nan), (1, math.inf)], []) is None


def test_a_metric_that_one_run_alone_has_is_drawn() -> None:
    found = drawn([], [(0, 1.0), (1, 2.0)])
    assert (found.old, bool(found.new)) == ("", True)


def test_a_level_line_runs_within_the_chart() -> None:
    for value in (0.0, 1.0, -5.0, 1e300):
        heights = {height for _, height in positions(drawn([(0, value), (1, value)], []).old)}
        assert len(heights) == 1
        assert TOP < heights.pop() < BOTTOM


def test_a_line_stops_where_there_is_no_number() -> None:
    found = drawn([(0, 1.0), (1, math.nan), (2, 3.0), (3, 2.0)], [])
    assert (found.old.count("M"), found.old.count("L")) == (2, 1)


def test_steps_are_in_order_however_they_were_logged() -> None:
    assert [x for x, _ in positions(drawn([(2, 1.0), (0, 2.0), (1, 3.0)], []).old)] == [LEFT, (LEFT + RIGHT) / 2, RIGHT]


def test_no_peak_of_a_long_line_is_lost() -> None:
    values = [(step, 100.0 if step == 51_234 else float(step % 7)) for step in range(100_000)]
    path = positions(drawn(values, []).old)
    assert len(path) <= 300
    assert min(y for _, y in path) == TOP
    assert [x for x, _ in path] == sorted(x for x, _ in path)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0.017, 2.03, [0, 1, 2, 3]),
        (-3, 5, [-4, -2, 0, 2, 4, 6]),
        (0.6, 0.81, [0.6, 0.7, 0.8, 0.9]),
    ],
)
def test_marks_are_round_numbers_around_the_values(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


_VALUES = st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats(width=64)), max_size=30)


@given(_VALUES, _VALUES)
@example([], [(15_230_060_338_422_675, 0.0)] * 2)
def test_whatever_is_logged_lies_within_the_chart(old: list[tuple[int, float]], new: list[tuple[int, float]]) -> None:
    found = chart("x", old, new)
    if found is None:
        return
    for path in (found.old, found.new):
        assert not re.search(r"nan|inf", path)
        for x, y in positions(path):
            assert LEFT <= x <= RIGHT
            assert TOP <= y <= BOTTOM
    assert len(found.values) <= 12
    assert all(TOP <= tick.at <= BOTTOM for tick in found.values)
