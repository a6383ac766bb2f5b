"""Schedules in five fields: the same instants as kit's own, by whatever clock counts them, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kit import _zones
from kit.errors import UserError
from kit.exports.ticks import Ticks, in_utc, of_trigger, same_clock, unsettled_nights
from kit.triggers import After, Cron, Interval, Once, OnData, Trigger, count_between, iter_due

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
YEAR = timedelta(days=370)
# With half hours, midnights that do not exist, a second summer time in winter, and clocks that are never changed.
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata",
    "Africa/Casablanca", "Europe/Dublin", "Pacific/Chatham", "America/Phoenix",
]  # fmt: skip
MINUTES = ["0", "30", "*/15", "*", "*/7", "5-20/5", "0,30"]
HOURS = ["*", "2", "0", "1-3", "*/2", "9-17", "0-23", "23"]
DAYS = ["*", "1", "1-31", "*/10", "28,30"]
WEEKDAYS = ["*", "mon-fri", "7", "sun,wed", "1-7"]


def due(trigger: Trigger, span: tuple[datetime, datetime]) -> list[datetime]:
    return list(takewhile(lambda instant: instant <= span[1], iter_due(trigger, span[0])))


def assert_same(one: Trigger, other: Trigger, timezone: str) -> None:
    """For a year: as many, and the same ones around each change of the clocks, and now."""
    assert count_between(one, NOW, NOW + YEAR) == count_between(other, NOW, NOW + YEAR)
    days = timedelta(days=2)
    around = [change.at for change in _zones.changes(timezone, NOW, NOW + YEAR)]
    for instant in (NOW, *around):
        span = (max(NOW, instant - days), instant + days)
        assert due(one, span) == due(other, span)


def naive_walk(ticks: Ticks) -> Iterator[datetime]:
    """The simplest clock there is: it looks at the wall every minute. Any cron is that, but on a few nights."""
    zone = _zones.zone(ticks.timezone)
    for number in range(int(YEAR / timedelta(minutes=30))):
        instant = NOW + number * timedelta(minutes=30)
        wall = instant.astimezone(zone)  # no zone changes its clocks at another minute than 0 and 30 of UTC
        for minute in range(30):
            shown = wall.minute + minute
            if shown % 60 in ticks.minutes:
                now = wall.replace(tzinfo=None) + timedelta(minutes=minute)
                if shows(ticks, now) and instant + timedelta(minutes=minute) > NOW:
                    yield instant + timedelta(minutes=minute)


def shows(ticks: Ticks, wall: datetime) -> bool:
    day, weekday = wall.day in ticks.days, wall.isoweekday() % 7 in ticks.weekdays
    dated = (day or weekday) if ticks.either else (day and weekday)
    return wall.hour in ticks.hours and wall.month in ticks.months and dated


@st.composite
def expressions(draw: st.DrawFn) -> str:
    fields = [draw(st.sampled_from(values)) for values in (MINUTES, HOURS, DAYS, ["*", "3,10", "2-4"], WEEKDAYS)]
    return " ".join(fields)


def ticks_of(trigger: Trigger) -> Ticks:
    found = of_trigger(trigger, NOW)
    assert found is not None
    return found


def try_ticks(trigger: Trigger) -> Ticks | None:
    try:
        return of_trigger(trigger, NOW)
    except UserError:
        return None


@given(expressions(), st.sampled_from(ZONES))
def test_what_is_written_means_the_same_to_kit_for_a_year(expression: str, timezone: str) -> None:
    trigger = Cron(expression, timezone)
    ticks = try_ticks(trigger)
    assume(ticks is not None)
    assert ticks is not None
    assert_same(Cron(ticks.expression, ticks.timezone), trigger, timezone)


@settings(max_examples=25)
@given(st.sampled_from(["30 2", "0 0", "*/30 *", "15 *", "0 */2", "0 0-23", "*/20 1-3", "0 12", "45 9-17"]),
       st.sampled_from(ZONES))  # fmt: skip
def test_a_settled_one_is_the_same_to_the_simplest_clock_for_a_year(times: str, timezone: str) -> None:
    trigger = Cron(f"{times} * * *", timezone)
    ticks = ticks_of(trigger)
    assume(not unsettled_nights(ticks, NOW))
    walked = list(naive_walk(ticks))
    assert walked == due(trigger, (NOW, walked[-1]))
    assert count_between(trigger, NOW, NOW + YEAR) - len(walked) in {0, 1}, "the very last minute is not walked"


@pytest.mark.parametrize(
    ("expression", "timezone", "nights"),
    [
        ("0 2 * * *", "Europe/Berlin", ["2027-03-28", "2027-10-31"]),
        ("0 2 * * *", "America/New_York", ["2027-03-14", "2028-03-12"]),
        ("30 1 * * *", "America/New_York", ["2027-11-07", "2028-11-05"]),
        ("0 3 * * *", "Europe/Berlin", []),
        ("0 0 * * *", "America/Santiago", ["2027-09-05", "2028-09-03"]),
        ("*/15 * * * *", "Europe/Berlin", []),
        ("*/15 * * * *", "Australia/Lord_Howe", ["2027-04-04", "2027-10-03"]),
        ("0 2 1 1 *", "Europe/Berlin", []),
        ("0 2 * * *", "Asia/Kolkata", []),
    ],
)
def test_nights_on_which_crons_differ_are_known(expression: str, timezone: str, nights: list[str]) -> None:
    found = unsettled_nights(ticks_of(Cron(expression, timezone)), NOW)
    assert [f"{_zones.to_wall(timezone, night.at):%Y-%m-%d}" for night in found] == nights


@pytest.mark.parametrize(
    ("expression", "timezone", "written"),
    [
        ("@daily", "UTC", "0 0 * * *"),
        ("0 2 * * mon-fri", "UTC", "0 2 * * 1-5"),
        ("0 2 * jan,feb,mar 7", "UTC", "0 2 * 1-3 0"),
        ("*/15 * * * *", "Asia/Kolkata", "*/15 * * * *"),
        ("10 * * * *", "Asia/Kolkata", "40 * * * *"),
        ("0 12 1-31 * 1", "UTC", "0 12 * * *"),
        ("0 12 13 * 5", "UTC", "0 12 13 * 5"),
        ("0 0-23 * * *", "UTC", "0 0-23 * * *"),
        ("5/20 9-17/4 * * *", "UTC", "5,25,45 9,13,17 * * *"),
    ],
)
def test_it_is_written_in_what_all_crons_know(expression: str, timezone: str, written: str) -> None:
    assert ticks_of(Cron(expression, timezone)).expression == written


@settings(max_examples=40)
@given(st.sampled_from([60, 300, 900, 1800, 3600, 7200, 6 * 3600, 12 * 3600, 86400, 7 * 86400]),
       st.none() | st.integers(0, 10**6))  # fmt: skip
def test_an_interval_is_the_same_instants(every: int, anchor: int | None) -> None:
    start = None if anchor is None else NOW - timedelta(minutes=anchor)
    trigger = Interval(float(every), start)
    ticks = ticks_of(trigger)
    assert_same(Cron(ticks.expression, ticks.timezone), trigger, "UTC")


@given(expressions(), st.sampled_from(["Asia/Kolkata", "America/Phoenix", "Asia/Tokyo", "Etc/GMT+5", "Asia/Kathmandu"]))
def test_in_utc_they_are_the_same_instants(expression: str, timezone: str) -> None:
    ticks = try_ticks(Cron(expression, timezone))
    assume(ticks is not None)
    assert ticks is not None
    refused = ""
    try:
        moved = in_utc(ticks, NOW)
    except UserError as error:
        refused = str(error)
    if refused:
        assert "no single cron expression" in refused
        return
    assert moved.timezone == "UTC"
    assert_same(Cron(moved.expression), Cron(expression, timezone), timezone)


def test_most_of_a_zone_without_summer_time_can_be_said_in_utc() -> None:
    found = in_utc(ticks_of(Cron("30 2 * * mon", "Asia/Kolkata")), NOW)
    assert (found.expression, found.timezone) == ("0 21 * * 0", "UTC")


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (Cron("0 0 L * *"), "L or #"),
        (Cron("0 0 * * fri#2"), "L or #"),
        (Cron("0 0 */2 * 1"), "both days must match"),
        (Interval(10.0), "cron has no seconds"),
        (Interval(3000.0), "divides no hour"),
        (Interval(2 * 86400.0), "divides no hour"),
        (Interval(3600.0, NOW + timedelta(days=1)), "is yet to come"),
        (Interval(3600.0, datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)), "cron has no seconds"),
        (OnData("data/raw"), "no clock says when there is a new version of data/raw"),
        (After("ingest"), "no clock says when ingest has succeeded"),
        (Once(NOW - timedelta(days=1)), "is over"),
    ],
)
def test_what_no_cron_can_say_is_refused(trigger: Trigger, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        of_trigger(trigger, NOW)
    assert caught.value.fix


def test_in_a_zone_whose_clocks_are_changed_utc_is_refused() -> None:
    with pytest.raises(UserError, match=r"move when clocks are changed in Europe/Berlin, as on 2027-03-28"):
        in_utc(ticks_of(Cron("0 12 * * *", "Europe/Berlin")), NOW)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Europe/Berlin", "Europe/Paris", True),
        ("Europe/Berlin", "Europe/London", False),
        ("UTC", "Africa/Abidjan", True),
        ("Europe/Lisbon", "UTC", False),
    ],
)
def test_clocks_that_show_the_same(one: str, other: str, same: bool) -> None:
    assert same_clock(one, other, NOW) is same


@pytest.mark.parametrize(
    ("expression", "minutes"), [("0 2 * * *", 60), ("*/4 * * * *", 4), ("58,1 * * * *", 3), ("0,58 1 * * *", 58)]
)
def test_the_shortest_time_between_two(expression: str, minutes: int) -> None:
    assert ticks_of(Cron(expression)).shortest_gap == minutes
