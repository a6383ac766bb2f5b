"""Schedules, who runs them, and what waits for its turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from kit import serving
from kit._durations import rough_duration
from kit.fires import FireOrigin, Gap, SchedulerRecord
from kit.health import Health, ScheduleHealth
from kit.project import Project
from kit.schedules import Loaded
from kit.states import FireStatus
from kit.status._check import DAY, Check, State, age, ago, show

__all__ = ["check_missed", "check_queue", "check_scheduler", "check_schedules"]

_LONG_WAIT = 3600.0
_ISO = "%Y-%m-%dT%H:%M:%SZ"
_BAD = frozenset({Health.BROKEN, Health.LATE, Health.FAILING})
_ODD = frozenset({Health.PAUSED, Health.RETRYING})


def check_scheduler(project: Project, loaded: Loaded, schedules: Sequence[ScheduleHealth], now: datetime) -> Check:
    """Whether there is a scheduler, if there is anything for one to do."""
    records = [record for record in project.store.fires.schedulers() if not record.scope]
    running = [record for record in records if record.stopped_at is None]
    values: dict[str, float | str | None] = {"running": len(running)}
    if records:
        values["heartbeat_age_seconds"] = age(records[0].heartbeat_at, now)
    if running:
        return _running_scheduler(running, values, now)
    waiting = [item for item in project.store.fires.active() if item.fire.schedule in loaded.schedules]
    needed = bool(waiting) or any(map(_needs_scheduler, schedules))
    what = _why_none(records[0] if records else None, now)
    turns = bool(records) and records[0].reason == serving.ONE_TURN and age(records[0].heartbeat_at, now) < DAY
    if turns or not needed:
        return Check("scheduler", State.OK, what, values=values)
    return Check("scheduler", State.BAD, what, "Start it: `kit scheduler`. To keep it: `--install systemd`.", values)


def _needs_scheduler(schedule: ScheduleHealth) -> bool:
    """Whether nothing is known to begin it otherwise: another clock asks for every instant, `kit run --schedule`."""
    if schedule.health in {Health.DISABLED, Health.PAUSED, Health.BROKEN}:
        return False
    asked_for = schedule.last is not None and schedule.last.origin is FireOrigin.REQUEST
    return not asked_for or schedule.health is Health.LATE


def _running_scheduler(
    running: Sequence[SchedulerRecord], values: Mapping[str, float | str | None], now: datetime
) -> Check:
    newest = running[0]
    who = f"pid {newest.process.pid} on {newest.host}"
    if now - newest.heartbeat_at > serving.SILENT:
        fix = f"See what it does, or end it with `kill -9 {newest.process.pid}` and start another; runs go on."
        return Check("scheduler", State.BAD, f"{who} hangs: last heard of {ago(newest.heartbeat_at, now)}", fix, values)
    more = "" if len(running) == 1 else f"; {len(running) - 1} more"
    since = f"since {show(newest.started_at)}"
    what = f"{who}, {since}, last heard of {ago(newest.heartbeat_at, now)}{more}"
    return Check("scheduler", State.OK, what, values=values)


def _why_none(last: SchedulerRecord | None, now: datetime) -> str:
    if last is None:
        return "none is running, and none ever was"
    heard = ago(last.heartbeat_at, now)
    if last.reason == serving.ONE_TURN:
        return f"takes turns when it is called (--once); the last was {heard}"
    if last.reason is not None:
        return f"none is running: {last.reason}, last heard of {heard} (pid {last.process.pid} on {last.host})"
    return f"none is running: it was stopped {heard} (on {last.host})"


def check_schedules(schedules: Sequence[ScheduleHealth], now: datetime) -> Iterator[Check]:
    """One check for all of them, and one for each that is not as it should be, the worst first."""
    counts = Counter(schedule.health for schedule in schedules)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in reversed(Health) if counts[kind])
    coming = [schedule for schedule in schedules if schedule.next_at is not None]
    following = min(coming, key=lambda schedule: (schedule.next_at, schedule.name), default=None)
    after = ""
    if following is not None and following.next_at is not None:
        wait = rough_duration((following.next_at - now).total_seconds())
        after = f"; next: {following.name} in {wait}"
    yield Check(
        "schedules",
        State.OK,
        f"{told}{after}" if told else "there are none",
        values={str(kind): number for kind, number in counts.items()},
    )
    for states, kinds in ((State.BAD, _BAD), (State.WARNING, _ODD)):
        for schedule in schedules:
            if schedule.health in kinds:
                what = f"{schedule.name} {_is(schedule.health)}: {schedule.why}"
                values = {"schedule": schedule.name, "health": schedule.health.value}
                yield Check("schedules", states, what, schedule.fix, values)


def _is(kind: Health) -> str:
    return "fails" if kind is Health.FAILING else "tries again" if kind is Health.RETRYING else f"is {kind}"


def check_missed(gaps: Sequence[Gap], schedules: Collection[str], now: datetime) -> Iterator[Check]:
    """What was missed is past mending, but not past telling for a day, or until its schedule is removed."""
    missed = [gap for gap in gaps if gap.status is FireStatus.MISSED and gap.schedule in schedules]
    found = [gap for gap in missed if age(gap.noted_at, now) < DAY]
    if found:
        count, last = sum(gap.count for gap in found), max(found, key=lambda gap: gap.noted_at)
        names = _listed(sorted({gap.schedule for gap in found}))
        what = f"{count} {'fire' if count == 1 else 'fires'} of {names} missed; found {ago(last.noted_at, now)}"
        since = min(gap.first for gap in found if gap.schedule == last.schedule)
        span = f"--from {since:{_ISO}} --to {last.last + timedelta(seconds=1):{_ISO}}"
        fix = f"Make up for it, if it matters: `kit schedule backfill {last.schedule} {span}`."
        yield Check("schedules", State.WARNING, f"{what}: {last.reason}", fix, {"missed": count})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_queue(project: Project, schedules: Sequence[ScheduleHealth], now: datetime) -> Check:
    """Fires that could start if it were their turn. One of a paused schedule waits for somebody to resume it."""
    paused = {schedule.name for schedule in schedules if schedule.health is Health.PAUSED}
    waiting = [
        fire
        for fire in (item.fire for item in project.store.fires.active())
        if fire.status is FireStatus.PENDING and fire.due_at <= now and (fire.requested or fire.schedule not in paused)
    ]
    if not waiting:
        return Check("queue", State.OK, "nothing waits", values={"waiting": 0, "longest_wait_seconds": 0})
    first = min(waiting, key=lambda fire: fire.due_at)
    wait = age(first.due_at, now)
    values = {"waiting": len(waiting), "longest_wait_seconds": wait}
    verb = "waits" if len(waiting) == 1 else "wait"
    what = f"{len(waiting)} {verb}, {first.schedule} the longest: {rough_duration(wait)}"
    if wait <= _LONG_WAIT:
        return Check("queue", State.OK, what, values=values)
    fix = "See `kit runs`; slots and `max-runs` are set in pyproject.toml, [tool.kit]."
    return Check("queue", State.WARNING, what, fix, values)
