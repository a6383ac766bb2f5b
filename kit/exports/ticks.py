"""When a schedule is due, in what all crons have in common: five fields of numbers and a time zone. Pure functions.

Crons differ in names and in Sundays (`7`), in what two restricted days mean, and in what becomes of a time that the
clocks skip or show twice. What is written here means the same to each of them; what cannot be written so is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from kit import _cron, _zones
from kit._durations import format_duration
from kit.errors import UserError
from kit.triggers import EPOCH, After, Cron, Interval, Once, OnData, Trigger

__all__ = ["Ticks", "in_utc", "minutes_ahead", "of_trigger", "same_clock", "unsettled_nights"]

_AHEAD = timedelta(days=3653)
"""How far the rules of a zone are looked at; they change more often than that."""
_ALL = (frozenset(range(60)), frozenset(range(24)), frozenset(range(1, 32)), frozenset(range(1, 13)))
_WEEK = frozenset(range(7))
_HOUR, _DAY, _MINUTES_A_WEEK = 60, 24 * 60, 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Ticks:
    """Minutes of a zone's wall clock.

    Attributes:
        weekdays: 0 is Sunday.
        either: Whether one of two restricted days is enough; where it is false, one of them is not restricted.
        starred: Whether the expression began its minute or hour with `*`: it means real time, not times of day.
    """

    minutes: frozenset[int]
    hours: frozenset[int] = _ALL[1]
    days: frozenset[int] = _ALL[2]
    months: frozenset[int] = _ALL[3]
    weekdays: frozenset[int] = _WEEK
    timezone: str = "UTC"
    either: bool = False
    starred: bool = True

    @property
    def expression(self) -> str:
        """Five fields: `*`, `*/15`, and lists of numbers and ranges."""
        return " ".join(
            [
                _starred(self.minutes, _ALL[0]) if self.starred else _listed(self.minutes),
                _starred(self.hours, _ALL[1]) if self.starred else _listed(self.hours),
                *("*" if found == all_ else _listed(found) for found, all_ in self._dates),
            ]
        )

    @property
    def _dates(self) -> list[tuple[frozenset[int], frozenset[int]]]:
        return [(self.days, _ALL[2]), (self.months, _ALL[3]), (self.weekdays, _WEEK)]

    @property
    def is_every_hour(self) -> bool:
        """Whether only the minute says anything, and clocks that are changed do not matter."""
        return self.starred and self.hours == _ALL[1] and self.is_every_day

    @property
    def is_every_day(self) -> bool:
        return all(found == all_ for found, all_ in self._dates)

    @property
    def shortest_gap(self) -> int:
        """Minutes between two of them, where they are closest."""
        minutes = sorted(self.minutes)
        gaps = [later - earlier for earlier, later in pairwise(minutes)]
        hours = sorted(self.hours)
        follow = any((hour + 1) % 24 in self.hours for hour in hours)
        gaps += [minutes[0] + _HOUR - minutes[-1]] if follow else []
        return min(gaps, default=_HOUR)


def _starred(found: frozenset[int], all_: frozenset[int]) -> str:
    """`*` or `*/15`, where it can be."""
    if found == all_:
        return "*"
    numbers = sorted(found)
    if numbers[0] == 0 and len(numbers) > 1 and numbers == list(range(0, len(all_), numbers[1])):
        return f"*/{numbers[1]}"
    return _listed(found)


def _listed(chosen: frozenset[int]) -> str:
    """`0,15`, `9-17`."""
    numbers = sorted(chosen)
    found: list[str] = []
    start = 0
    for index, number in enumerate(numbers):
        if index + 1 == len(numbers) or numbers[index + 1] != number + 1:
            run = numbers[start : index + 1]
            found += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
            start = index + 1
    return ",".join(found)


def of_trigger(trigger: Trigger, now: datetime) -> Ticks | None:
    """When it is due; None for the trigger of one instant, which is no cron's.

    Raises:
        UserError: If no five fields say that.
    """
    match trigger:
        case Cron():
            return _settled(_of_cron(trigger), now)
        case Interval():
            return _of_interval(trigger, now)
        case Once(at=at):
            if at <= now:
                raise UserError(f"{at.isoformat(sep=' ')} is over", fix="Leave this one out.")
            return None
        case OnData(path=path):
            raise UserError(
                f"no clock says when there is a new version of {path}", fix="Have `kit scheduler` run this one."
            )
        case After(schedule=other):
            raise UserError(
                f"no clock says when {other} has succeeded", fix="Have `kit scheduler` run this one, or both."
            )


def _of_cron(trigger: Cron) -> Ticks:
    parts = _cron.parts(trigger.expression)
    if parts is None:
        raise UserError(
            f"cron {trigger.expression!r} has L or #, which other crons do not know or read differently",
            fix="Have `kit scheduler` run this one, or give days in numbers.",
        )
    days, weekdays, either = parts.days, parts.weekdays, False
    if not parts.both_days:  # one of them is enough, and if one is every day that is every day
        either = days != _ALL[2] and weekdays != _WEEK
        days, weekdays = (days, weekdays) if either else (_ALL[2], _WEEK)
    elif days != _ALL[2] and weekdays != _WEEK:
        raise UserError(
            f"cron {trigger.expression!r}: both days must match, and to other crons one of them is enough",
            fix="Have `kit scheduler` run this one, or let `*` be one of the days.",
        )
    starred = any(text.startswith("*") for text in parts.texts[:2])
    return Ticks(parts.minutes, parts.hours, days, parts.months, weekdays, trigger.timezone, either, starred)


def _settled(ticks: Ticks, now: datetime) -> Ticks:
    """In UTC, if all that the zone does is to move the minutes, always by as many: no clock is ever changed there."""
    shift = minutes_ahead(ticks.timezone, now) if ticks.is_every_hour else None
    if shift is None or _is_utc(ticks.timezone):
        return ticks
    return Ticks(frozenset((minute - shift) % _HOUR for minute in ticks.minutes))


def minutes_ahead(timezone: str, now: datetime) -> int | None:
    """How far the zone's minute hand is ahead of UTC's, from 0 to 59; None if that is not always the same."""
    shifts = {change.after for change in _changes(timezone, now)} | {_zones.offset_at(timezone, now)}
    minutes = {shift % timedelta(hours=1) for shift in shifts}
    found = minutes.pop()
    return None if minutes or found % timedelta(minutes=1) else found // timedelta(minutes=1)


def _changes(timezone: str, now: datetime) -> list[_zones.Change]:
    return list(_zones.changes(timezone, now, now + _AHEAD))


def _is_utc(timezone: str) -> bool:
    return timezone in {"UTC", "Etc/UTC"}


def _of_interval(trigger: Interval, now: datetime) -> Ticks:
    start = (trigger.anchor or EPOCH).astimezone(UTC)
    if trigger.anchor is not None and start > now:
        raise UserError(f"its first instant, {start.isoformat(sep=' ')}, is yet to come", fix="Export it then.")
    minutes, rest = divmod(trigger.every, 60)
    every, words = int(minutes), format_duration(trigger.every)
    if rest or start.second or start.microsecond:
        raise UserError(f"every {words}: cron has no seconds", fix="Have `kit scheduler` run this one.")
    if every < _HOUR and _HOUR % every == 0:
        return Ticks(frozenset(range(start.minute % every, _HOUR, every)))
    hours = every // _HOUR
    if every % _HOUR == 0 and 24 % hours == 0:
        return Ticks(frozenset({start.minute}), frozenset(range(start.hour % hours, 24, hours)))
    if every == _MINUTES_A_WEEK:
        weekday = frozenset({start.isoweekday() % 7})
        return Ticks(frozenset({start.minute}), frozenset({start.hour}), weekdays=weekday)
    raise UserError(
        f"every {words}: cron cannot say that, since it divides no hour and no day",
        fix="Give an interval that does (`30 m`, `6 h`, `1 d`), or have `kit scheduler` run this one.",
    )


def unsettled_nights(ticks: Ticks, now: datetime) -> tuple[_zones.Change, ...]:
    """The next two changes of the clocks at which one cron may do another thing than kit does."""
    return tuple(islice(_cron.unsettled(ticks.expression, ticks.timezone, now, now + _AHEAD), 2))


def same_clock(one: str, other: str, now: datetime) -> bool:
    """Whether clocks show the same in both zones, now and for years."""
    return _zones.offset_at(one, now) == _zones.offset_at(other, now) and _changes(one, now) == _changes(other, now)


def in_utc(ticks: Ticks, now: datetime) -> Ticks:
    """The same instants for a clock that knows UTC only.

    Raises:
        UserError: If they are not at the same times of UTC all year, or no five fields say which.
    """
    if _is_utc(ticks.timezone):
        return ticks
    changes = _changes(ticks.timezone, now)
    if changes:
        raise UserError(
            f"in UTC its times move when clocks are changed in {ticks.timezone}, as on {changes[0].at:%Y-%m-%d}",
            fix="Give `timezone: UTC` and times of UTC, or have something run it that knows time zones.",
        )
    return _moved(ticks, _zones.offset_at(ticks.timezone, now) // timedelta(minutes=1))


def _moved(ticks: Ticks, ahead: int) -> Ticks:
    """So many minutes earlier."""
    moved = {divmod(hour * _HOUR + minute - ahead, _DAY) for hour in ticks.hours for minute in ticks.minutes}
    minutes = frozenset(left % _HOUR for _, left in moved)
    hours = frozenset(left // _HOUR for _, left in moved)
    by = {days for days, _ in moved}
    whole_days = by == {0} or ticks.is_every_day or (len(by) == 1 and (ticks.days, ticks.months) == _ALL[2:])
    if len(moved) != len(minutes) * len(hours) or not whole_days:
        raise UserError(f"its times of {ticks.timezone} are no single cron expression in UTC", fix="Make two of it.")
    days = by.pop() if len(by) == 1 else 0
    weekdays = frozenset((day + days) % 7 for day in ticks.weekdays)
    return Ticks(minutes, hours, ticks.days, ticks.months, weekdays, "UTC", ticks.either, ticks.starred)
