"""Instants as they are typed and as they are shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from kit.cli._instants import parse_instant, show_instant
from kit.errors import UserError
from kit.schedule import Schedule
from kit.triggers import Cron, Interval, OnData, Trigger

BERLIN = Schedule("nightly", Cron("0 2 * * *", "Europe/Berlin"))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-12-01T02:00:00+01:00", utc(2026, 12, 1, 1)),
        ("2026-12-01T02:00:00Z", utc(2026, 12, 1, 2)),
        ("2026-12-01 02:00:00.25-05:30", utc(2026, 12, 1, 7, 30, 0, 250_000)),
        ("2026-12-01T02:00", utc(2026, 12, 1, 1)),
        ("2026-07-01T02:00", utc(2026, 7, 1)),
        ("2026-12-01", utc(2026, 11, 30, 23)),
        ("  2026-12-01\n", utc(2026, 11, 30, 23)),
        ("20261201T020000", utc(2026, 12, 1, 1)),
    ],
)
def test_an_instant_has_its_own_offset_or_that_of_the_schedules_clock(text: str, instant: datetime) -> None:
    found = parse_instant(text, BERLIN)
    assert found == instant
    assert found.tzinfo is UTC


def test_a_time_that_a_night_does_not_have_is_the_end_of_the_gap() -> None:
    assert parse_instant("2026-03-29T02:30", BERLIN) == utc(2026, 3, 29, 1)  # clocks go from 02:00 to 03:00
    assert parse_instant("2026-03-29T01:59:59", BERLIN) == utc(2026, 3, 29, 0, 59, 59)
    assert parse_instant("2026-03-29T03:00", BERLIN) == utc(2026, 3, 29, 1)


def test_a_time_that_a_night_has_twice_is_the_first_and_an_offset_chooses() -> None:
    assert parse_instant("2026-10-25T02:30", BERLIN) == utc(2026, 10, 25, 0, 30)
    assert parse_instant("2026-10-25T02:30+02:00", BERLIN) == utc(2026, 10, 25, 0, 30)
    assert parse_instant("2026-10-25T02:30+01:00", BERLIN) == utc(2026, 10, 25, 1, 30)


@pytest.mark.parametrize("trigger", [Interval(60), OnData("data/flights")])
def test_where_the_trigger_has_no_clock_of_its_own_it_is_utc(trigger: Trigger) -> None:
    assert parse_instant("2026-07-01T02:00", Schedule("s", trigger)) == utc(2026, 7, 1, 2)


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "02:00", "2026-13-01", "2026-02-30", "2026-12-01T25:00", "1767225600", "Due",
     "0001-01-01T00:00+14:00", "9999-12-31T23:00-05:00", "0001-01-01T00:00"],
)  # fmt: skip
def test_what_is_no_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="is not an instant") as caught:
        parse_instant(text, BERLIN)
    assert repr(text) in caught.value.what
    assert "2026-12-01T02:00:00+01:00" in str(caught.value.fix)


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("new_york")
def test_an_instant_is_shown_by_this_machines_clock_with_its_offset() -> None:
    assert show_instant(utc(2026, 12, 1, 2)) == "2026-11-30 21:00:00-0500"
    assert show_instant(utc(2026, 7, 1, 2)) == "2026-06-30 22:00:00-0400"
    assert show_instant(datetime(2026, 7, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-06-30 20:00:00-0400"


@pytest.mark.usefixtures("new_york")
def test_what_is_shown_can_be_typed_again() -> None:
    for instant in (utc(2026, 11, 1, 5, 30), utc(2026, 11, 1, 6, 30), utc(2026, 3, 8, 7)):
        assert parse_instant(show_instant(instant), BERLIN) == instant
