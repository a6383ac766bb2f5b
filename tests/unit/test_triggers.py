"""When a schedule is due, in every zone there is: no instant that does not exist, none twice, none lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from time import perf_counter
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import _zones
from kit.errors import UserError
from kit.triggers import (
    EPOCH,
    After,
    Cron,
    Interval,
    Once,
    OnData,
    Trigger,
    count_between,
    due_between,
    iter_due,
    iter_due_back,
    latest_due,
    next_after,
    note,
)

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def walls(trigger: Cron, after: str, number: int) -> list[str]:
    """The next instants as the zone's clocks show them, with the offset."""
    due = islice(iter_due(trigger, at(after)), number)
    return [instant.astimezone(ZoneInfo(trigger.timezone)).isoformat(" ", "minutes") for instant in due]


# Every zone, against a walk of minutes

# Written twice, once as cron and once as Python, so that neither checks itself.
Matches = Callable[[datetime], bool]
EXPRESSIONS: tuple[tuple[str, Matches], ...] = (
    ("* * * * *", lambda _: True),
    ("*/30 * * * *", lambda wall: wall.minute % 30 == 0),
    ("0 */2 * * *", lambda wall: wall.minute == 0 and wall.hour % 2 == 0),
    ("*/15 0-2 * * *", lambda wall: wall.minute % 15 == 0 and wall.hour <= 2),
    ("*/20 0 * * 0", lambda wall: wall.minute % 20 == 0 and wall.hour == 0 and wall.weekday() == 6),
    ("30 2 * * *", lambda wall: wall.minute == 30 and wall.hour == 2),
    ("0,30 0-3,23 * * *", lambda wall: wall.minute % 30 == 0 and wall.hour in {0, 1, 2, 3, 23}),
    ("15 1 * 3-10 *", lambda wall: wall.minute == 15 and wall.hour == 1 and 3 <= wall.month <= 10),
)


def expected(expression: str, matches: Matches, minutes: list[datetime], shown: list[datetime]) -> list[datetime]:
    """What a walk over every minute says: by real time for `*`, by time of day otherwise."""
    if any(field.startswith("*") for field in expression.split()[:2]):
        return [instant for instant, wall in zip(minutes, shown, strict=True) if matches(wall)]
    found, latest = set(), shown[0] - MINUTE
    for instant, wall in zip(minutes, shown, strict=True):
        while latest < wall:  # a clock that is put back shows nothing new for a while; one put forward skips
            latest += MINUTE
            if matches(latest):
                found.add(instant)
    return sorted(found)


@pytest.mark.parametrize("year", [pytest.param(2011, marks=pytest.mark.exhaustive), 2026])
def test_every_change_of_every_zone_agrees_with_a_walk_over_its_minutes(year: int) -> None:
    walked = 0
    for key in ZONES:
        for change in _zones.changes(key, datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)):
            around = max(3 * HOUR, abs(change.after - change.before) + HOUR)
            after, until = change.at - around, change.at + around
            minutes = [after + MINUTE * i for i in range(1, int((until - after) / MINUTE) + 1)]
            shown = [instant.astimezone(ZoneInfo(key)).replace(tzinfo=None) for instant in minutes]
            for expression, matches in EXPRESSIONS:
                trigger = Cron(expression, key)
                wanted = tuple(expected(expression, matches, minutes, shown))
                what = f"{expression} in {key} at {change.at}"
                assert due_between(trigger, after, until, limit=9999) == wanted, what
                assert count_between(trigger, after, until) == len(wanted), what
                assert tuple(islice(iter_due_back(trigger, until), len(wanted)))[::-1] == wanted, what
                within = change.at + abs(change.after - change.before) / 3  # where hours come again
                so_far = [instant for instant in wanted if instant <= within]
                assert count_between(trigger, after, within) == len(so_far), what
                if so_far:
                    assert latest_due(trigger, within) == so_far[-1], what
                if len(so_far) < len(wanted):
                    assert next_after(trigger, within) == wanted[len(so_far)], what
                walked += 1
    assert walked > 1000


def test_the_changes_of_every_zone_explain_its_offset_all_year() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    for key in ZONES:
        changes = list(_zones.changes(key, start, end))
        offset = _zones.offset_at(key, start)
        for before, after in pairwise([start, *(change.at for change in changes), end]):
            step = timedelta(days=3, hours=5)
            probes = [before + step * i for i in range(int((after - before) / step) + 1)]
            assert {_zones.offset_at(key, probe) for probe in [*probes, after - MINUTE / 60]} == {offset}, key
            offset = _zones.offset_at(key, after)


def fields(top: int, low: int = 0) -> st.SearchStrategy[str]:
    number = st.integers(low, top)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.integers(2, max(2, top // 2)).map(lambda step: f"*/{step}"),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.lists(number, min_size=2, max_size=3, unique=True).map(lambda many: ",".join(map(str, many))),
    )


crons = st.builds(
    lambda *parts: " ".join(parts),
    fields(59), fields(23), st.one_of(st.just("*"), fields(28, 1)), st.one_of(st.just("*"), fields(12, 1)), fields(6),
)  # fmt: skip
instants = st.datetimes(datetime(1971, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
triggers = st.one_of(
    st.builds(Cron, crons, st.sampled_from(ZONES)),
    st.builds(Interval, st.floats(1, 1e6), st.none() | instants),
    st.builds(Once, instants),
)


@settings(max_examples=150, deadline=None)
@given(trigger=triggers, after=instants)
def test_one_follows_the_other_and_going_back_finds_the_same(trigger: Trigger, after: datetime) -> None:
    due = list(islice(iter_due(trigger, after), 12))
    assert all(one < other for one, other in pairwise([after, *due]))
    if due:
        assert list(islice(iter_due_back(trigger, due[-1]), len(due)))[::-1] == due
        assert count_between(trigger, after, due[-1]) == len(due)
        assert latest_due(trigger, due[-1]) == due[-1]
        before = latest_due(trigger, due[0] - timedelta(microseconds=1))
        assert before is None or before <= after


@settings(max_examples=150, deadline=None)
@given(trigger=triggers, after=instants, data=st.data())
def test_spans_that_meet_lose_nothing_and_share_nothing(trigger: Trigger, after: datetime, data: st.DataObject) -> None:
    whole = due_between(trigger, after, after + 400 * DAY, limit=12)
    until = whole[-1] if whole else after + DAY
    cut = data.draw(
        st.one_of(st.sampled_from(whole or (until,)), st.floats(0, 1).map(lambda x: after + (until - after) * x))
    )
    parts = due_between(trigger, after, cut, limit=99) + due_between(trigger, cut, until, limit=99)
    assert parts == whole
    chain, instant = [], after
    while (instant := next_after(trigger, instant) or until + DAY) <= until:
        chain.append(instant)
    assert tuple(chain) == whole


@settings(max_examples=150, deadline=None)
@given(zone=st.sampled_from(ZONES), wall=st.datetimes(datetime(1971, 1, 1), datetime(2036, 1, 1)))  # noqa: DTZ001
def test_a_wall_clock_time_comes_first_at_its_instant(zone: str, wall: datetime) -> None:
    instant = _zones.to_instant(zone, wall)
    assert _zones.to_wall(zone, instant) >= wall
    assert _zones.to_wall(zone, instant - timedelta(microseconds=1)) < wall


# The nights everybody asks about


def test_half_past_two_in_spring_runs_at_three() -> None:
    nightly = Cron("30 2 * * *", "Europe/Berlin")
    assert walls(nightly, "2026-03-28T00:00Z", 3) == [
        "2026-03-28 02:30+01:00",
        "2026-03-29 03:00+02:00",
        "2026-03-30 02:30+02:00",
    ]
    assert note(nightly, at("2026-03-29T01:00Z")) == "02:30 does not exist that night: runs at 03:00"
    assert note(nightly, at("2026-03-28T01:30Z")) is None
    often = Cron("0,30 2,3 * * *", "Europe/Berlin")
    assert walls(often, "2026-03-29T00:00Z", 2) == ["2026-03-29 03:00+02:00", "2026-03-29 03:30+02:00"]
    assert note(often, at("2026-03-29T01:00Z")) == "02:00 to 02:30 do not exist that night: runs once, at 03:00"


def test_half_past_two_in_autumn_runs_once() -> None:
    nightly = Cron("30 2 * * *", "Europe/Berlin")
    assert walls(nightly, "2026-10-24T12:00Z", 2) == ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"]
    assert walls(nightly, "2026-10-25T01:10Z", 1) == ["2026-10-26 02:30+01:00"]  # 02:10, the second time
    assert latest_due(nightly, at("2026-10-25T01:10Z")) == at("2026-10-25T00:30Z")
    assert count_between(nightly, at("2026-10-24T12:00Z"), at("2026-10-25T01:10Z")) == 1
    assert note(nightly, at("2026-10-25T00:30Z")) == "02:30 comes twice that night: runs the first time only"


def test_stretches_of_time_run_in_both_of_the_same_hours_and_in_none_that_is_skipped() -> None:
    often = Cron("*/30 2 * * *", "Europe/Berlin")
    assert walls(often, "2026-10-24T12:00Z", 4) == [
        "2026-10-25 02:00+02:00",
        "2026-10-25 02:30+02:00",
        "2026-10-25 02:00+01:00",
        "2026-10-25 02:30+01:00",
    ]
    assert note(often, at("2026-10-25T00:30Z")) == "02:30 comes twice that night: this is the first time"
    assert note(often, at("2026-10-25T01:30Z")) == "02:30 comes twice that night: this is the second time"
    assert walls(often, "2026-03-28T12:00Z", 1) == ["2026-03-30 02:00+02:00"]
    hourly = Cron("@hourly", "Europe/Berlin")
    assert walls(hourly, "2026-03-29T00:00Z", 2) == ["2026-03-29 03:00+02:00", "2026-03-29 04:00+02:00"]
    assert note(hourly, at("2026-03-29T01:00Z")) == "02:00 to 03:00 does not exist that night"


def test_lord_howe_shifts_by_half_an_hour() -> None:
    assert walls(Cron("0 */2 * * *", "Australia/Lord_Howe"), "2026-04-04T12:30Z", 3) == [
        "2026-04-05 00:00+11:00",
        "2026-04-05 02:00+10:30",  # cronsim by itself loses it
        "2026-04-05 04:00+10:30",
    ]
    assert walls(Cron("15 2 * * *", "Australia/Lord_Howe"), "2026-10-03T12:00Z", 2) == [
        "2026-10-04 02:30+11:00",
        "2026-10-05 02:15+11:00",
    ]


def test_santiago_has_a_day_without_midnight() -> None:
    daily = Cron("@daily", "America/Santiago")
    assert walls(daily, "2026-09-05T12:00Z", 2) == ["2026-09-06 01:00-03:00", "2026-09-07 00:00-03:00"]
    assert note(daily, at("2026-09-06T04:00Z")) == "00:00 does not exist that night: runs at 01:00"
    sundays = Cron("*/30 0 * * 0", "America/Santiago")
    assert walls(sundays, "2026-09-05T12:00Z", 1) == ["2026-09-13 00:00-03:00"]


def test_apia_had_no_30th_of_december() -> None:
    assert walls(Cron("0 12 * * *", "Pacific/Apia"), "2011-12-29T12:00Z", 3) == [
        "2011-12-29 12:00-10:00",
        "2011-12-31 00:00+14:00",
        "2011-12-31 12:00+14:00",
    ]


def test_a_leap_day_comes_every_four_years_but_not_in_2100() -> None:
    due = due_between(Cron("0 0 29 2 *"), at("2095-01-01T00:00Z"), at("2109-01-01T00:00Z"), limit=9)
    assert [instant.year for instant in due] == [2096, 2104, 2108]


# A year down


def test_a_year_of_minutes_is_counted_and_its_last_found_without_making_them() -> None:
    minutely, back = Cron("* * * * *", "Europe/Berlin"), NOW - 365 * DAY
    began = perf_counter()
    assert count_between(minutely, back, NOW) == 525_600
    assert latest_due(minutely, NOW + timedelta(seconds=30)) == NOW
    assert next_after(minutely, back) == back + MINUTE
    assert len(due_between(minutely, back, NOW, limit=10)) == 10
    assert perf_counter() - began < 2  # some milliseconds; half a million instants take 10 s
    assert count_between(Interval(60), back, NOW) == 525_600


def test_a_fixed_time_is_counted_over_the_years() -> None:
    nightly = Cron("0,30 2-3 * * *", "Europe/Berlin")
    after, until = at("2020-01-01T00:00Z"), at("2026-01-01T00:00Z")
    assert count_between(nightly, after, until) == len(due_between(nightly, after, until, limit=99_999))


# The other triggers


def test_an_interval_does_not_drift() -> None:
    tenth = Interval(1.1, anchor=EPOCH)
    assert next_after(tenth, EPOCH + timedelta(seconds=1_100_000_000)) == EPOCH + timedelta(seconds=1_100_000_001.1)
    assert next_after(Interval(7200), NOW) == NOW + 2 * HOUR
    assert next_after(Interval(7200), NOW, anchor=NOW + MINUTE) == NOW + MINUTE


def test_an_interval_begins_at_its_own_anchor() -> None:
    hourly = Interval(3600, anchor=NOW)
    assert due_between(hourly, NOW - DAY, NOW + HOUR, limit=9) == (NOW, NOW + HOUR)
    assert latest_due(hourly, NOW - MINUTE) is None
    assert count_between(hourly, NOW - DAY, NOW + HOUR) == 2
    assert next_after(hourly, datetime.max.replace(tzinfo=UTC)) is None


def test_once_is_once() -> None:
    once = Once(NOW)
    assert next_after(once, NOW - MINUTE) == latest_due(once, NOW) == NOW
    assert next_after(once, NOW) is latest_due(once, NOW - MINUTE) is None
    assert (count_between(once, NOW - MINUTE, NOW), count_between(once, NOW, NOW + MINUTE)) == (1, 0)


@pytest.mark.parametrize("trigger", [OnData("data/raw"), After("ingest")])
def test_what_the_clock_does_not_say_is_never_due_by_it(trigger: Trigger) -> None:
    assert (next_after(trigger, NOW), latest_due(trigger, NOW), note(trigger, NOW)) == (None, None, None)
    assert (due_between(trigger, EPOCH, NOW, limit=1), count_between(trigger, EPOCH, NOW)) == ((), 0)


def test_a_span_that_ends_before_it_begins_is_empty() -> None:
    for trigger in (Cron("* * * * *"), Cron("0 2 * * *", "Europe/Berlin"), Interval(60), Once(NOW)):
        assert due_between(trigger, NOW + DAY, NOW, limit=5) == ()
        assert count_between(trigger, NOW + DAY, NOW) == 0


def test_an_instant_needs_a_zone() -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(ValueError, match="no time zone"):
        next_after(Cron("0 2 * * *"), naive)
    for make in (lambda: Once(naive), lambda: Interval(60, naive)):
        with pytest.raises(UserError, match="no time zone"):
            make()


@pytest.mark.parametrize(
    "trigger", [Cron("0 2 * * *", "Asia/Tokyo"), Interval(5.5, NOW), Once(NOW), OnData("d", "main"), After("x")]
)
def test_a_trigger_comes_back_from_json_as_it_was(trigger: Trigger) -> None:
    assert msgspec.json.decode(msgspec.json.encode(trigger), type=Trigger) == trigger


# Mistakes


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 0 30 2 *", "would never run"),
        ("0 0 31 4,6,9,11 *", "would never run"),
        ("0 0 */30 2 MON#5", "would never run"),
        ("61 * * * *", "'61' is no minute"),
        ("0 0 32 * *", "'32' is no day of month"),
        ("0 0 * * ?", "'?' is no day of week"),
        ("0 2 * * * *", "has 6 fields.*interval"),
        ("", "has 0 fields"),
        ("@reboot", "Use one of @yearly"),
        ("٣ * * * *", "is no minute"),
        ("*/0 * * * *", "is no minute"),
    ],
)
def test_a_wrong_expression_is_refused(expression: str, words: str) -> None:
    with pytest.raises(UserError, match=words.replace("?", r"\?").replace("*/", r"\*/")) as caught:
        Cron(expression)
    assert caught.value.fix


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=20) | st.text("0123456789*/-,L#W ", max_size=20))
def test_any_text_is_an_expression_that_runs_or_a_users_mistake(text: str) -> None:
    try:
        trigger = Cron(text)
    except UserError:
        return
    assert next_after(trigger, NOW) is not None


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("berlin", "Did you mean 'Europe/Berlin'?"),
        ("europe/berlin", "Did you mean 'Europe/Berlin'?"),
        ("Europe/Berlni", "Did you mean 'Europe/Berlin'?"),
        ("New York", "Did you mean 'America/New_York'?"),
        ("utc", "Did you mean 'UTC'?"),
        ("zzzzzz", "IANA"),
        ("", "IANA"),
        ("../../etc/passwd", "IANA"),
        ("Europe", "Did you mean"),
        ("localtime", ""),
        ("right/UTC", ""),
        ("a\0b", "IANA"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(key: str, fix: str) -> None:
    with pytest.raises(UserError, match="no time zone") as caught:
        Cron("0 2 * * *", key)
    assert fix in (caught.value.fix or "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Interval(0.5),
        lambda: Interval(float("nan")),
        lambda: Interval(float("inf")),
        lambda: OnData(""),
        lambda: OnData("/etc"),
        lambda: OnData("a/../../b"),
        lambda: OnData("--help"),
        lambda: OnData("data", "--upload-pack=x"),
        lambda: OnData("data", remote="origin"),
        lambda: OnData("data", every=0),
    ],
)
def test_what_cannot_be_a_trigger_is_refused(make: Callable[[], Trigger]) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert caught.value.fix
