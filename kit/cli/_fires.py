"""How schedules, their fires and what was passed over look: as words, and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from kit._durations import format_duration
from kit.fires import Fire, FireOrigin, Gap
from kit.health import Health, ScheduleHealth
from kit.models import to_json
from kit.schedule import Schedule, masked
from kit.states import FireStatus
from kit.triggers import After, Cron, Interval, Once, OnData, Trigger

__all__ = [
    "FIRE_STYLES",
    "HEALTH_STYLES",
    "event_json",
    "health_json",
    "lateness",
    "local",
    "local_and_utc",
    "origin_words",
    "schedule_json",
    "took",
    "trigger_words",
]

FIRE_STYLES = {
    FireStatus.PENDING: "dim",
    FireStatus.RUNNING: "cyan",
    FireStatus.RETRYING: "yellow",
    FireStatus.SUCCEEDED: "green",
    FireStatus.FAILED: "red",
    FireStatus.SKIPPED: "dim",
    FireStatus.MISSED: "yellow",
    FireStatus.CANCELLED: "yellow",
}
HEALTH_STYLES = {
    Health.BROKEN: "bold red",
    Health.LATE: "bold red",
    Health.FAILING: "red",
    Health.RETRYING: "yellow",
    Health.PAUSED: "yellow",
    Health.DISABLED: "dim",
    Health.NEW: "dim",
    Health.OK: "green",
}
_ORIGINS = {
    FireOrigin.CLOCK: "",
    FireOrigin.CATCH_UP: "caught up",
    FireOrigin.DATA: "new data",
    FireOrigin.AFTER: "after another",
    FireOrigin.BACKFILL: "backfill",
    FireOrigin.REQUEST: "asked for",
}


def trigger_words(trigger: Trigger) -> str:
    """`0 2 * * * Europe/Berlin`, `every 15 m`, `once 2026-12-01 02:00`, `new data/flights`, `after nightly`."""
    match trigger:
        case Cron(expression=expression, timezone=timezone):
            return f"{expression} {timezone}"
        case Interval(every=every):
            return f"every {format_duration(every)}"
        case Once(at=at):
            return f"once {local(at)}"
        case OnData(path=path, rev=rev, remote=remote):
            place = "" if rev is None else f" of {rev if remote is None else f'{remote}/{rev}'}"
            return f"new {path}{place}"
        case After(schedule=schedule):
            return f"after {schedule}"


def origin_words(fire: Fire) -> str:
    """Why there is the fire; nothing if it was simply due."""
    return _ORIGINS[fire.origin]


def local(instant: datetime) -> str:
    """Wall-clock time of this machine, with seconds if there are any."""
    return f"{instant.astimezone():{_format(instant)}}"


def local_and_utc(instant: datetime) -> str:
    """`2026-03-01 03:00 (02:00 UTC)`; with UTC's day where that is another, and once where both are the same."""
    here, utc = instant.astimezone(), instant.astimezone(UTC)
    if not here.utcoffset():
        return f"{utc:{_format(utc)}} UTC"
    known = "%Y-" if utc.year == here.year else ""
    known += "%m-%d " if utc.date() == here.date() else ""
    return f"{local(instant)} ({utc:{_format(utc).removeprefix(known)}} UTC)"


def _format(instant: datetime) -> str:
    return "%Y-%m-%d %H:%M:%S" if instant.second else "%Y-%m-%d %H:%M"


def lateness(fire: Fire) -> float | None:
    """Seconds from when it was due by the clock to when it was started; None if it was not, or has not."""
    if fire.started_at is None or fire.origin not in {FireOrigin.CLOCK, FireOrigin.CATCH_UP}:
        return None
    return max(0.0, (fire.started_at - fire.scheduled_at).total_seconds())


def took(fire: Fire, now: datetime) -> float | None:
    """Seconds from its first attempt's start to its end, or to now."""
    if fire.started_at is None:
        return None
    return max(0.0, ((fire.ended_at or now) - fire.started_at).total_seconds())


def schedule_json(schedule: Schedule) -> dict[str, Any]:
    """What the file says, without secrets."""
    plain: dict[str, Any] = json.loads(to_json(masked(schedule)))
    return plain


def health_json(health: ScheduleHealth) -> dict[str, Any]:
    """How a schedule does."""
    state = health.state
    return {
        "name": health.name,
        "health": health.health.value,
        "why": health.why,
        "fix": health.fix,
        "trigger": None if health.schedule is None else trigger_words(health.schedule.trigger),
        "enabled": None if health.schedule is None else health.schedule.enabled,
        "next_at": _iso(health.next_at),
        "last": None if health.last is None else event_json(health.last),
        "last_success_at": _iso(health.last_success),
        "streak": health.streak.count,
        "streak_may_be_longer": health.streak.more,
        "paused_at": None if state is None else _iso(state.paused_at),
        "paused_why": None if state is None else state.paused_why,
    }


def event_json(event: Fire | Gap) -> dict[str, Any]:
    """A fire, or instants that were passed over."""
    if isinstance(event, Gap):
        return {
            "schedule": event.schedule,
            "status": event.status.value,
            "first_at": _iso(event.first),
            "last_at": _iso(event.last),
            "count": event.count,
            "reason": event.reason,
            "noted_at": _iso(event.noted_at),
        }
    return {
        "schedule": event.schedule,
        "scheduled_at": _iso(event.scheduled_at),
        "status": event.status.value,
        "origin": event.origin.value,
        "attempts": event.attempt,
        "run_id": event.run_id,
        "started_at": _iso(event.started_at),
        "ended_at": _iso(event.ended_at),
        "late_seconds": lateness(event),
        "seconds": None if event.ended_at is None else took(event, event.ended_at),
        "reason": event.reason,
        "cause": event.cause,
    }


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()
