"""When a schedule is due. Pure functions over aware instants, which they give back in UTC.

A span of time is always (after, until]: whoever has dealt with everything up to an instant asks for what follows it,
and nothing is due twice or lost between two spans. Cron and its daylight saving: `kit._cron`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import msgspec

from kit import _cron, _zones
from kit.errors import UserError

__all__ = [
    "EPOCH",
    "After",
    "Cron",
    "Interval",
    "OnData",
    "Once",
    "Trigger",
    "count_between",
    "due_between",
    "iter_due",
    "iter_due_back",
    "latest_due",
    "next_after",
    "note",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Intervals without an anchor count from here: `1 d` means midnight UTC on every machine, also after a restart."""

_MIN_PERIOD, _MAX_PERIOD = 1.0, 10 * 366 * 86400.0


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """At the times of a cron expression, by a zone's wall clock.

    Attributes:
        expression: Five fields, `0 2 * * *`, or a nickname such as `@daily`.
        timezone: An IANA name.

    Raises:
        UserError: If the expression is not one or never runs, or there is no such zone.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _cron.check(self.expression)
        _zones.zone(self.timezone)


class Interval(msgspec.Struct, frozen=True, tag="interval"):
    """Every so many seconds of real time, at `anchor + k * every` for every whole k from 0 on: no drift.

    Attributes:
        every: Seconds, from 1 to 10 years; microseconds count, what is smaller is rounded.
        anchor: The first instant; None counts from whatever anchor the functions below are given, before it too.

    Raises:
        UserError: If `every` is out of bounds or the anchor has no time zone.
    """

    every: float
    anchor: datetime | None = None

    def __post_init__(self) -> None:
        if not _MIN_PERIOD <= self.every <= _MAX_PERIOD:
            raise UserError(f"an interval of {self.every:g} s", fix="Give from 1 s to 10 years (`3653 d`).")
        _need_zone(self.anchor)


class Once(msgspec.Struct, frozen=True, tag="once"):
    """At one instant.

    Raises:
        UserError: If it has no time zone.
    """

    at: datetime

    def __post_init__(self) -> None:
        _need_zone(self.at)


class OnData(msgspec.Struct, frozen=True, tag="data"):
    """When a path that DVC tracks has a version not seen before. Never due by the clock: somebody has to look.

    Attributes:
        path: Relative to the project root.
        rev: The git revision to look at, `main`; None looks at the working tree.
        remote: The git remote to fetch the revision from, `origin`; None does not fetch.
        every: Seconds between two looks.

    Raises:
        UserError: If the path leaves the project, a name could pass for an option, or `every` is out of bounds.
    """

    path: str
    rev: str | None = None
    remote: str | None = None
    every: float = 60.0

    def __post_init__(self) -> None:
        if not self.path.strip() or self.path.startswith(("/", "~")) or ".." in re.split(r"[/\\]", self.path):
            raise UserError(f"{self.path!r} is not a path in the project", fix="Give one relative to the project root.")
        for what, name in (("path", self.path), ("rev", self.rev), ("remote", self.remote)):
            if name is not None and (not name.strip() or name.startswith("-") or not name.isprintable()):
                raise UserError(f"{name!r} is no {what}", fix="Give a name that does not begin with '-'.")
        if self.remote is not None and self.rev is None:
            raise UserError("remote needs rev", fix="Add the branch to look at, as `rev: main`.")
        if not _MIN_PERIOD <= self.every <= _MAX_PERIOD:
            raise UserError(f"a look every {self.every:g} s", fix="Give from 1 s to 10 years (`3653 d`).")


class After(msgspec.Struct, frozen=True, tag="after"):
    """When another schedule's fire has succeeded. Never due by the clock."""

    schedule: str


Trigger = Cron | Interval | Once | OnData | After


def _need_zone(instant: datetime | None) -> None:
    if instant is not None and instant.utcoffset() is None:
        raise UserError(
            f"{instant.isoformat(sep=' ')} has no time zone", fix="Add one, as in 2026-12-01T02:00:00+01:00."
        )


def _utc(instant: datetime) -> datetime:
    if instant.utcoffset() is None:
        raise ValueError(f"{instant} has no time zone")
    return instant.astimezone(UTC)


def iter_due(trigger: Trigger, after: datetime, *, anchor: datetime = EPOCH) -> Iterator[datetime]:
    """Every instant later than `after`, in order, one at a time: cron and intervals do not end.

    Args:
        anchor: Where an interval that has none of its own counts from.
    """
    after = _utc(after)
    match trigger:
        case Cron(expression=expression, timezone=timezone):
            return _cron.forward(expression, timezone, after)
        case Interval():
            return _interval(trigger, after, _utc(anchor), 1)
        case Once(at=at):
            return iter([_utc(at)] if _utc(at) > after else [])
        case OnData() | After():
            return iter(())


def iter_due_back(trigger: Trigger, until: datetime, *, anchor: datetime = EPOCH) -> Iterator[datetime]:
    """Every instant at or before `until`, latest first, one at a time."""
    until = _utc(until)
    match trigger:
        case Cron(expression=expression, timezone=timezone):
            return _cron.backward(expression, timezone, until)
        case Interval():
            return _interval(trigger, until, _utc(anchor), -1)
        case Once(at=at):
            return iter([_utc(at)] if _utc(at) <= until else [])
        case OnData() | After():
            return iter(())


def _interval(trigger: Interval, instant: datetime, anchor: datetime, step: int) -> Iterator[datetime]:
    """`anchor + k * every`, in whole microseconds: the millionth is as exact as the first."""
    start = anchor if trigger.anchor is None else _utc(trigger.anchor)
    every = timedelta(seconds=trigger.every)
    index = (instant - start) // every + (step > 0)
    if trigger.anchor is not None and step > 0:
        index = max(index, 0)
    while index >= 0 or trigger.anchor is None:
        try:
            yield start + index * every
        except OverflowError:  # the year 9999
            return
        index += step


def next_after(trigger: Trigger, instant: datetime, *, anchor: datetime = EPOCH) -> datetime | None:
    """The first instant later than `instant`; None if there is none, or the clock does not say."""
    return next(iter_due(trigger, instant, anchor=anchor), None)


def latest_due(trigger: Trigger, now: datetime, *, anchor: datetime = EPOCH) -> datetime | None:
    """The last instant at or before `now`; as quick after a year as after a minute."""
    return next(iter_due_back(trigger, now, anchor=anchor), None)


def due_between(
    trigger: Trigger, after: datetime, until: datetime, *, limit: int, anchor: datetime = EPOCH
) -> tuple[datetime, ...]:
    """The first `limit` instants in (after, until], in order."""
    until = _utc(until)
    due = takewhile(lambda instant: instant <= until, iter_due(trigger, after, anchor=anchor))
    return tuple(islice(due, limit))


def count_between(trigger: Trigger, after: datetime, until: datetime, *, anchor: datetime = EPOCH) -> int:
    """How many instants lie in (after, until], without making them."""
    after, until = _utc(after), _utc(until)
    if until <= after:
        return 0
    match trigger:
        case Cron(expression=expression, timezone=timezone):
            return _cron.count(expression, timezone, after, until)
        case Interval(every=every, anchor=own):
            start, step = _utc(own or anchor), timedelta(seconds=every)
            low, high = (after - start) // step, (until - start) // step
            return high - low if own is None else max(high, -1) - max(low, -1)
        case Once(at=at):
            return int(after < _utc(at) <= until)
        case OnData() | After():
            return 0


def note(trigger: Trigger, instant: datetime) -> str | None:
    """What daylight saving does to an instant of the trigger, as `02:30 does not exist that night: runs at 03:00`.

    Args:
        instant: One at which the trigger is due.
    """
    if isinstance(trigger, Cron):
        return _cron.note(trigger.expression, trigger.timezone, _utc(instant))
    return None
