"""What comes next of schedules, and what those wait for that the clock does not start. Pure functions."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from kit._durations import format_duration
from kit.schedule import Schedule
from kit.triggers import After, Cron, OnData, iter_due, note

__all__ = ["Upcoming", "upcoming", "waits_for"]


@dataclass(frozen=True, slots=True)
class Upcoming:
    """An instant at which a schedule will be due.

    Attributes:
        at: In UTC.
        timezone: The IANA name of the zone that its trigger goes by; None where it has none.
        note: What daylight saving does to it.
    """

    schedule: str
    at: datetime
    timezone: str | None
    note: str | None


def upcoming(schedules: Iterable[Schedule], now: datetime, *, limit: int) -> list[Upcoming]:
    """The next instants after `now` of all of them together, in order."""
    return list(islice(heapq.merge(*(_of(schedule, now) for schedule in schedules), key=lambda due: due.at), limit))


def _of(schedule: Schedule, now: datetime) -> Iterator[Upcoming]:
    trigger = schedule.trigger
    timezone = trigger.timezone if isinstance(trigger, Cron) else None
    for instant in iter_due(trigger, now):
        yield Upcoming(schedule.name, instant, timezone, note(trigger, instant))


def waits_for(schedule: Schedule) -> str | None:
    """What starts it if the clock does not, in words."""
    match schedule.trigger:
        case OnData(path=path, rev=rev, remote=remote, every=every):
            place = f" at {rev}" if rev else ""
            origin = f" of {remote}" if remote else ""
            return f"a new version of {path}{place}{origin}, looked for every {format_duration(every)}"
        case After(schedule=other):
            return f"a success of {other}"
        case _:
            return None
