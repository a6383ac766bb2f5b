"""How the schedules of a project do: what each did last and does next, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from kit._durations import rough_duration
from kit.errors import KitError
from kit.fires import Fire, FireKey, FireOrigin, ScheduleState
from kit.project import Project
from kit.schedule import Schedule
from kit.schedules import Loaded
from kit.states import FireStatus
from kit.triggers import Trigger, latest_due, next_after

__all__ = ["STREAK_LIMIT", "Health", "ScheduleHealth", "Streak", "look", "look_at"]

STREAK_LIMIT = 10
"""So far back is looked; a longer streak is at least as long."""
_ENDS = frozenset({FireStatus.SUCCEEDED, FireStatus.FAILED})


class Health(StrEnum):
    """How a schedule does, the worst thing about it."""

    BROKEN = "broken"
    """Its file cannot be used."""
    DISABLED = "disabled"
    """Its file says so."""
    PAUSED = "paused"
    """Somebody paused it."""
    LATE = "late"
    """Something was due by the clock and has not started."""
    FAILING = "failing"
    """The last fire that ended failed."""
    RETRYING = "retrying"
    """An attempt failed; another one is to come."""
    NEW = "new"
    """It has not run yet."""
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Streak:
    """The last fires that succeeded or failed, as far back as they ended alike.

    Attributes:
        count: Negative if they failed; 0 if there are none.
        more: Whether it may be longer.
    """

    count: int = 0
    more: bool = False

    def __str__(self) -> str:
        if not self.count:
            return ""
        return f"{abs(self.count)}{'+' if self.more else ''} {'ok' if self.count > 0 else 'failed'}"


@dataclass(frozen=True, slots=True)
class ScheduleHealth:
    """One schedule.

    Attributes:
        schedule: None if its file cannot be used.
        state: None if no scheduler has seen it yet.
        why: What there is to say about `health`, in one line.
        fix: What to do about it.
        next_at: When it is due next by the clock.
        last: The last fire, whatever became of it.
        last_success: The last instant that it was run for with success.
    """

    name: str
    health: Health
    schedule: Schedule | None = None
    state: ScheduleState | None = None
    why: str | None = None
    fix: str | None = None
    next_at: datetime | None = None
    last: Fire | None = None
    last_success: datetime | None = None
    streak: Streak = field(default_factory=Streak)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the store knows of all schedules, by name; the latest fire first."""

    states: Mapping[str, ScheduleState]
    last: Mapping[str, Sequence[Fire]]
    ended: Mapping[str, Sequence[Fire]]
    succeeded: Mapping[str, Sequence[Fire]]
    active: Mapping[str, Collection[Fire]]
    is_claimed: Callable[[FireKey], bool]


def look(project: Project, loaded: Loaded, now: datetime) -> tuple[ScheduleHealth, ...]:
    """Every schedule that there is a file of, in the order of their names.

    Raises:
        HostError: If the store cannot be used.
    """
    fires = project.store.fires
    active: dict[str, list[Fire]] = {}
    for item in fires.active():
        active.setdefault(item.fire.schedule, []).append(item.fire)
    facts = _Facts(
        states=fires.states(),
        last=fires.latest(1),
        ended=fires.latest(STREAK_LIMIT, _ENDS),
        succeeded=fires.latest(1, {FireStatus.SUCCEEDED}),
        active=active,
        is_claimed=lambda key: fires.fire(key) is not None,
    )
    nexts: dict[Trigger, datetime | None] = {}  # of ten thousand schedules, many are due at the same times
    found = [_broken(name, error, facts) for name, error in loaded.broken.items()]
    for schedule in loaded.schedules.values():
        if schedule.trigger not in nexts:
            nexts[schedule.trigger] = next_after(schedule.trigger, now)
        found.append(_judged(schedule, facts, nexts[schedule.trigger], now))
    return tuple(sorted(found, key=lambda health: health.name))


def look_at(project: Project, schedule: Schedule, now: datetime) -> ScheduleHealth:
    """One schedule.

    Raises:
        HostError: If the store cannot be used.
    """
    return look(project, Loaded({schedule.name: schedule}, {}), now)[0]


def _broken(name: str, error: KitError, facts: _Facts) -> ScheduleHealth:
    return ScheduleHealth(
        name,
        Health.BROKEN,
        state=facts.states.get(name),
        why=" ".join((error.what if error.where is None else f"{error.what} ({error.where})").split()),
        fix=None if error.fix is None else " ".join(error.fix.split()),
        last=_first(facts.last.get(name)),
        last_success=_instant(_first(facts.succeeded.get(name))),
        streak=_streak(facts.ended.get(name, ())),
    )


def _judged(schedule: Schedule, facts: _Facts, next_at: datetime | None, now: datetime) -> ScheduleHealth:
    name = schedule.name
    health, why, fix = _judge(schedule, facts, now)
    return ScheduleHealth(
        name,
        health,
        schedule,
        facts.states.get(name),
        why,
        fix,
        next_at=None if health in {Health.DISABLED, Health.PAUSED} else next_at,
        last=_first(facts.last.get(name)),
        last_success=_instant(_first(facts.succeeded.get(name))),
        streak=_streak(facts.ended.get(name, ())),
    )


def _judge(schedule: Schedule, facts: _Facts, now: datetime) -> tuple[Health, str | None, str | None]:
    name = schedule.name
    state, ended = facts.states.get(name), facts.ended.get(name, ())
    history = f"See what became of it: `kit schedule history {name}`."
    if not schedule.enabled:
        return Health.DISABLED, "its file says `enabled: false`", None
    if state is not None and state.paused_at is not None:
        why = f": {state.paused_why}" if state.paused_why else ""
        return Health.PAUSED, f"since {_show(state.paused_at)}{why}", f"Go on with it: `kit schedule resume {name}`."
    if (late := _late(schedule, state, facts, now)) is not None:
        return Health.LATE, late, history
    if ended and ended[0].status is FireStatus.FAILED:
        return Health.FAILING, _failing(ended), history
    if (retrying := next((f for f in facts.active.get(name, ()) if f.status is FireStatus.RETRYING), None)) is not None:
        tried = f"attempt {retrying.attempt - 1} of {_show(retrying.scheduled_at)} failed"
        return Health.RETRYING, f"{tried}; the next is due {_show(retrying.due_at)}", history
    return (Health.OK if ended else Health.NEW), None, None


def _late(schedule: Schedule, state: ScheduleState | None, facts: _Facts, now: datetime) -> str | None:
    """What was due by the clock and has not started, by more than the schedule tolerates.

    What was due before any scheduler saw the schedule is nobody's, and a changed trigger counts once it was seen.
    """
    if state is None or not state.enabled:
        return None
    in_time = now - timedelta(seconds=schedule.catch_up.tolerance)
    waiting = [
        fire.scheduled_at
        for fire in facts.active.get(schedule.name, ())
        if fire.status is FireStatus.PENDING and fire.origin is FireOrigin.CLOCK and fire.scheduled_at < in_time
    ]
    if waiting:
        return _overdue(min(waiting), "it waits for its turn", now)
    due = latest_due(state.trigger, in_time - datetime.resolution)
    # One that was claimed before any scheduler came to it was asked for: `kit run --schedule NAME --at due`.
    if due is None or due <= state.cursor or facts.is_claimed((schedule.name, due)):
        return None
    return _overdue(due, "nobody has begun it", now)


def _overdue(due: datetime, what: str, now: datetime) -> str:
    return f"due {_show(due)}, {rough_duration((now - due).total_seconds())} ago: {what}"


def _failing(ended: Sequence[Fire]) -> str:
    streak, last = _streak(ended), ended[0]
    times = f"{streak} in a row; the last" if streak.count < -1 else "its last fire failed"
    return f"{times} ({_show(last.scheduled_at)}): {last.reason or 'no reason given'}"


def _streak(ended: Sequence[Fire]) -> Streak:
    """Of fires that succeeded or failed, the latest first."""
    count = 0
    for fire in ended:
        if fire.status is not ended[0].status:
            return Streak(count)
        count += 1 if fire.status is FireStatus.SUCCEEDED else -1
    return Streak(count, more=len(ended) >= STREAK_LIMIT)


def _first(fires: Sequence[Fire] | None) -> Fire | None:
    return fires[0] if fires else None


def _instant(fire: Fire | None) -> datetime | None:
    return None if fire is None else fire.scheduled_at


def _show(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
