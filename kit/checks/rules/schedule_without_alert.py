"""Schedules that fail in silence where others tell somebody."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._configs import schedule_file, schedules
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def check(tree: Tree) -> Iterator[Finding]:
    loaded = schedules(tree).schedules
    telling = [name for name, schedule in loaded.items() if schedule.alert.to]
    if not telling:  # a project that tells nobody anything looks at `kit status`
        return
    for name, schedule in loaded.items():
        if not schedule.alert.to and schedule.enabled:
            message = f"nobody is told when it fails, as somebody is of {telling[0]!r}"
            yield Finding(schedule_file(tree, name), message, hint="Give it an `alert`, too.")


RULE = Rule(
    "KIT111",
    "schedule-without-alert",
    "A schedule tells nobody when it fails, while others of the project do",
    Severity.INFO,
    check,
    scope="project",
)
