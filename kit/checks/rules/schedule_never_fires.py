"""Schedules whose time never comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from kit.checks._configs import schedule_file, schedules
from kit.checks._yaml import line_of
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.schedule import Schedule
from kit.triggers import After, Once, OnData, next_after

__all__ = ["RULE"]


def check(tree: Tree) -> Iterator[Finding]:
    from kit import _clock

    loaded, now = schedules(tree).schedules, _clock.now()
    for name, schedule in loaded.items():
        if schedule.enabled and (why := _why_never(schedule, loaded, now)):
            path = schedule_file(tree, name)
            hint = "Give it another trigger, or take the schedule out."
            yield Finding(path, f"it never fires: {why}", line_of(tree, path, "trigger"), hint=hint)


def _why_never(schedule: Schedule, others: Mapping[str, Schedule], now: datetime) -> str | None:
    trigger = schedule.trigger
    if isinstance(trigger, OnData):
        return None
    if isinstance(trigger, After):
        before = others.get(trigger.schedule)
        return None if before is None or before.enabled else f"{trigger.schedule!r}, which it comes after, is disabled"
    if next_after(trigger, now) is not None:
        return None
    return "its time is over" if isinstance(trigger, Once) else "no day is like that"


RULE = Rule(
    "KIT109",
    "schedule-never-fires",
    "A schedule's trigger has no next time",
    Severity.WARNING,
    check,
    scope="project",
)
