"""Schedules whose runs may go on for ever."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._configs import planned, schedule_file, schedules
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError

__all__ = ["RULE"]


def check(tree: Tree) -> Iterator[Finding]:
    limited = {
        one.schedule
        for one in planned(tree)
        if not isinstance(one.result, KitError) and one.result.config.get("timeout") is not None
    }
    for name, schedule in schedules(tree).schedules.items():
        if schedule.timeout is None and name not in limited:
            hint = "Add `timeout: 2 h`, or however long it may take at most."
            yield Finding(schedule_file(tree, name), "no timeout: what hangs, hangs until somebody looks", hint=hint)


RULE = Rule(
    "KIT110",
    "schedule-without-timeout",
    "A schedule's runs have no time limit",
    Severity.INFO,
    check,
    scope="project",
)
