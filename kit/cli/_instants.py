"""Instants as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime

from kit import _zones
from kit.errors import UserError
from kit.schedule import Schedule
from kit.triggers import Cron

__all__ = ["parse_instant", "show_instant"]


def parse_instant(text: str, schedule: Schedule) -> datetime:
    """An instant in ISO 8601; without an offset it is the wall clock's where the schedule's trigger lives, else UTC's.

    Returns:
        In UTC.

    Raises:
        UserError: If it is none.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        if found.utcoffset() is not None:
            return found.astimezone(UTC)
        zone = schedule.trigger.timezone if isinstance(schedule.trigger, Cron) else "UTC"
        return _zones.to_instant(zone, found)
    except (ValueError, OverflowError) as error:  # the years 1 and 9999 end where UTC's do
        raise UserError(
            f"{text!r} is not an instant",
            where="command line",
            fix="Write it as 2026-12-01 or 2026-12-01T02:00:00+01:00.",
        ) from error


def show_instant(instant: datetime) -> str:
    """Local time with its offset, to the second."""
    return instant.astimezone().strftime("%Y-%m-%d %H:%M:%S%z")
