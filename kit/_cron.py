"""Cron by a zone's wall clock: which instants an expression means. Pure functions; cronsim matches the calendar.

Daylight saving follows Debian's cron(8), https://manpages.debian.org/cron.8:

- An expression whose minute and hour are both given (`30 2 * * *`) means *times of day*. One that a night skips runs
  when the gap ends, once, however many were skipped; one that comes twice runs the first time.
- One whose minute or hour begins with `*` (`*/30 * * * *`) means *stretches of real time*: it runs at every minute that
  the clocks show and that matches, so twice in an hour that comes twice, and never in an hour that does not come.

cronsim only ever sees naive wall-clock times here. Given aware ones, 2.8 loses 02:00 of `0 */2 * * *` when Lord Howe's
clocks go back half an hour, runs `*/30 0 * * 0` at Santiago's midnight that does not exist, and in an hour's second
coming gives an instant that has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from kit._zones import Change, changes, offset_at, to_instant, to_wall, wall_reached
from kit.errors import UserError

__all__ = ["Parts", "backward", "check", "count", "forward", "note", "parts", "unsettled"]

_SECOND = timedelta(seconds=1)
_SOME_WALL = datetime(2000, 1, 1)  # noqa: DTZ001 a wall-clock time
_YEARS = range(100, 9900)
"""cronsim looks 50 years ahead, and a datetime ends with the year 9999."""

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIVE = (
    "Give five fields, as `0 2 * * *`: "
    "minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)."
)
_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")


@lru_cache(maxsize=16384)
def check(expression: str) -> None:
    """Refuse what is not a cron expression, or one that never runs, such as `0 0 30 2 *`.

    Raises:
        UserError: With the field that is wrong.
    """
    text = _NICKNAMES.get(expression.strip().lower(), expression)
    parts = text.split()
    if text.startswith("@"):
        raise UserError(f"no cron nickname {expression!r}", fix=f"Use one of {', '.join(_NICKNAMES)}, or five fields.")
    if len(parts) != 5:
        more = " kit's cron has no seconds: use `interval` for less than a minute." if len(parts) == 6 else ""
        raise UserError(f"cron {expression!r} has {len(parts)} fields, not 5", fix=_FIVE + more)
    try:
        sim = CronSim(text, _SOME_WALL)
    except CronSimError as error:
        raise _wrong_field(expression, parts, str(error)) from error
    if next(sim, None) is None:
        raise _never(expression)


def _wrong_field(expression: str, parts: list[str], complaint: str) -> UserError:
    field = complaint.removeprefix("Bad ")
    if field == "day-of-month":
        try:
            CronSim(" ".join([*parts[:3], "*", *parts[4:]]), _SOME_WALL)
            return _never(expression)  # the day is one in another month
        except CronSimError:
            pass
    value = parts[_FIELDS.index(field)] if field in _FIELDS else expression
    return UserError(f"cron {expression!r}: {value!r} is no {field.replace('-', ' ')}", fix=_FIVE)


def _never(expression: str) -> UserError:
    return UserError(
        f"cron {expression!r} would never run: there is no such date", fix="Change the day of month or the month."
    )


def forward(expression: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """The instants (UTC) later than `after`, without end, in order, none twice."""
    if _is_fixed(expression):
        return _fixed_forward(expression, timezone, after)
    return _real_forward(expression, timezone, after)


def backward(expression: str, timezone: str, until: datetime) -> Iterator[datetime]:
    """The instants (UTC) at or before `until`, latest first, none twice."""
    if _is_fixed(expression):
        return _fixed_backward(expression, timezone, until)
    return _real_backward(expression, timezone, until)


def count(expression: str, timezone: str, after: datetime, until: datetime) -> int:
    """How many instants lie in (after, until], by arithmetic: a year of minutes costs 365 steps."""
    if until <= after:
        return 0
    found = list(changes(timezone, after, until))
    if not _is_fixed(expression):
        return _count_real(expression, timezone, (after, until), found)
    total = _count_walls(expression, wall_reached(timezone, after), wall_reached(timezone, until))
    for gap in filter(
        lambda change: change.is_gap, found
    ):  # all that fall into it run once, with what is due at its end
        same = _count_walls(expression, gap.wall_before - _SECOND, gap.wall_after)
        total -= max(0, same - 1)
    return total


def note(expression: str, timezone: str, instant: datetime) -> str | None:
    """What is unusual about that instant of the expression; None on all but two nights a year.

    Args:
        instant: One that `forward` gave.
    """
    wall = to_wall(timezone, instant)
    for change in changes(timezone, instant - timedelta(days=1), instant):
        if change.is_gap and change.at == instant:
            return _gap_note(expression, change)
    if to_instant(timezone, wall) != instant:
        return f"{wall:%H:%M} comes twice that night: this is the second time"
    if _comes_again(timezone, wall, instant):
        once = "runs the first time only" if _is_fixed(expression) else "this is the first time"
        return f"{wall:%H:%M} comes twice that night: {once}"
    return None


def _comes_again(timezone: str, wall: datetime, instant: datetime) -> bool:
    later = changes(timezone, instant, instant + timedelta(days=1))
    return any(change.wall_after <= wall < change.wall_before for change in later)


def _gap_note(expression: str, gap: Change) -> str | None:
    skipped = []
    for wall in _walls(expression, gap.wall_before - _SECOND):
        if wall >= gap.wall_after:
            break
        skipped.append(wall)
    end = f"{gap.wall_after:%H:%M}"
    if not skipped or not _is_fixed(expression):
        return f"{gap.wall_before:%H:%M} to {end} does not exist that night"
    if len(skipped) == 1:
        return f"{skipped[0]:%H:%M} does not exist that night: runs at {end}"
    return f"{skipped[0]:%H:%M} to {skipped[-1]:%H:%M} do not exist that night: runs once, at {end}"


@dataclass(frozen=True, slots=True)
class Parts:
    """What an expression matches, as numbers: what all crons agree on.

    Attributes:
        texts: The five fields as they are written, nicknames written out.
        weekdays: 0 is Sunday.
        both_days: Whether the day of the month and the weekday must both match; else one of them is enough.
    """

    texts: tuple[str, ...]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both_days: bool


def parts(expression: str) -> Parts | None:
    """The expression in numbers; None if it has `L` or `#`, which are no numbers."""
    sim = _sim(expression)
    if min(sim.days) < 1 or any(isinstance(day, tuple) for day in sim.weekdays):
        return None
    return Parts(
        texts=tuple(_text(expression).split()),
        minutes=frozenset(sim.minutes),
        hours=frozenset(sim.hours),
        days=frozenset(sim.days),
        months=frozenset(sim.months),
        weekdays=frozenset(day % 7 for day in sim.weekdays if isinstance(day, int)),
        both_days=sim.day_and,
    )


def unsettled(expression: str, timezone: str, after: datetime, until: datetime) -> Iterator[Change]:
    """The changes of the clocks in (after, until] at which one cron does not do what another one does.

    That is where the expression matches a time that is skipped or comes twice. Where clocks are changed by other than
    whole hours some fail for hours around it.
    """
    for change in changes(timezone, after, until):
        start, end = sorted((change.wall_before, change.wall_after))
        if (end - start) % timedelta(hours=1):
            start, end = start - timedelta(hours=3), end + timedelta(hours=3)
        if next(_walls(expression, start - _SECOND), end) < end:
            yield change


@lru_cache(maxsize=16384)
def _sim(expression: str, *, reverse: bool = False) -> CronSim:
    """Parsed once; copies are walked."""
    return CronSim(_text(expression), _SOME_WALL, reverse=reverse)


def _text(expression: str) -> str:
    return _NICKNAMES.get(expression.strip().lower(), expression)


@lru_cache(maxsize=16384)
def _is_fixed(expression: str) -> bool:
    minute, hour = _text(expression).split()[:2]
    return not minute.startswith("*") and not hour.startswith("*")


def _walls(expression: str, after: datetime) -> Iterator[datetime]:
    """Matching wall-clock times later than `after`."""
    sim = copy(_sim(expression))
    sim.dt = after.replace(microsecond=0)
    while sim.dt.year in _YEARS and (wall := next(sim, None)) is not None:
        yield wall


def _walls_back(expression: str, until: datetime) -> Iterator[datetime]:
    """Matching wall-clock times at or before `until`, latest first."""
    sim = copy(_sim(expression, reverse=True))
    sim.dt = until.replace(microsecond=0) + _SECOND  # it begins with a step back
    while sim.dt.year in _YEARS and (wall := next(sim, None)) is not None:
        yield wall


def _fixed_forward(expression: str, timezone: str, after: datetime) -> Iterator[datetime]:
    last = after
    for wall in _walls(expression, wall_reached(timezone, after)):
        instant = to_instant(timezone, wall)
        if instant > last:
            yield instant
            last = instant


def _fixed_backward(expression: str, timezone: str, until: datetime) -> Iterator[datetime]:
    last: datetime | None = None
    for wall in _walls_back(expression, wall_reached(timezone, until)):
        instant = to_instant(timezone, wall)
        if last is None or instant < last:
            yield instant
            last = instant


def _real_forward(expression: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Between two changes of the offset, wall clock and UTC run side by side: walk one stretch, then the next."""
    start, offset, wall = after, offset_at(timezone, after), to_wall(timezone, after)
    while True:
        change = None
        for found in _walls(expression, wall):
            instant = (found - offset).replace(tzinfo=UTC)
            change = next(changes(timezone, start, instant), None)
            if change is not None:
                break
            yield instant
            start = instant
        if change is None:
            return
        start, offset, wall = change.at, change.after, change.wall_after - _SECOND


def _real_backward(expression: str, timezone: str, until: datetime) -> Iterator[datetime]:
    end, offset, wall = until, offset_at(timezone, until), to_wall(timezone, until)
    while True:
        change = None
        for found in _walls_back(expression, wall):
            instant = (found - offset).replace(tzinfo=UTC)
            change = next(iter(list(changes(timezone, instant, end))[::-1]), None)
            if change is not None:
                break
            yield instant
            end = instant
        if change is None:
            return
        end, offset, wall = change.at - _SECOND, change.before, change.wall_before - _SECOND


def _count_real(expression: str, timezone: str, span: tuple[datetime, datetime], found: list[Change]) -> int:
    after, until = span
    total, wall = 0, to_wall(timezone, after)
    for change in found:
        total += _count_walls(expression, wall, change.wall_before - _SECOND)
        wall = change.wall_after - _SECOND
    return total + _count_walls(expression, wall, to_wall(timezone, until))


def _count_walls(expression: str, after: datetime, until: datetime) -> int:
    """Matching wall-clock times in (after, until]."""
    if until <= after:
        return 0
    sim = _sim(expression)

    def by(wall: datetime) -> int:
        """How many that day up to and with `wall`."""
        if not _matches(sim, wall.date()):
            return 0
        full = sum(hour < wall.hour for hour in sim.hours) * len(sim.minutes)
        return full + (wall.hour in sim.hours) * sum(minute <= wall.minute for minute in sim.minutes)

    days = range(after.toordinal(), until.toordinal())
    whole = sum(_matches(sim, date.fromordinal(day)) for day in days)
    return whole * len(sim.hours) * len(sim.minutes) - by(after) + by(until)


def _matches(sim: CronSim, day: date) -> bool:
    return day.month in sim.months and sim.match_day(day)
