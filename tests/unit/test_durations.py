"""Lengths of time as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit._durations import format_duration, parse_duration, rough_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90 s", 90), ("90s", 90), ("90", 90), (90, 90), (1.5, 1.5), ("2 h", 7200), ("1 d", 86400), ("2 w", 1209600),
        ("1 h 30 m", 5400), ("1h30m", 5400), ("1 Day", 86400), ("2 hours 5 minutes", 7500), ("0.5 h", 1800), ("0", 0),
        ("15 min", 900), ("3 secs", 3),
    ],
)  # fmt: skip
def test_what_people_write(text: float | str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "h", "2 x", "1 month", "1 y", "-1 s", -1, "30 m 1 h", "1 h 1 h", "1,5 h", "nan", "1e400",
             float("nan"), "1 h 30",
             float("inf"), True, "9" * 400 + " s"],
)  # fmt: skip
def test_what_has_no_length(text: float | str) -> None:
    with pytest.raises(ValueError, match="length of time"):
        parse_duration(text)


@given(st.floats(0, 1e9))
def test_what_is_shown_can_be_read(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


def test_what_is_shown() -> None:
    shown = [format_duration(seconds) for seconds in (0, 0.25, 59.9999999, 90, 5400, 86400, 7 * 86400 + 61)]
    assert shown == ["0 s", "0.25 s", "1 m", "1 m 30 s", "1 h 30 m", "1 d", "7 d 1 m 1 s"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (47 * 3600, "47 h"),
     (48 * 3600, "2 d"), (100 * 86400, "100 d")],
)  # fmt: skip
def test_what_one_would_say(seconds: float, text: str) -> None:
    assert rough_duration(seconds) == text
