"""Schedules that cannot be read, or whose runs would have no config."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kit.checks._configs import finding_of, needs_more, planned, schedule_file, schedules
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError

__all__ = ["RULE"]


def check(tree: Tree) -> Iterator[Finding]:
    for name, error in schedules(tree).broken.items():
        if not needs_more(error, from_command=False):
            yield finding_of(tree, error, _written(tree, name))
    broken = {one.result.what for one in planned(tree) if one.schedule is None and isinstance(one.result, KitError)}
    for one in planned(tree):
        result = one.result
        if not isinstance(result, KitError) or one.schedule is None or needs_more(result, from_command=False):
            continue
        if result.what not in broken:  # else the experiment says so itself
            found = finding_of(tree, result, one.file)
            yield replace(found, message=f"its runs would have no config: {found.message}", path=one.file, line=None)


def _written(tree: Tree, name: str) -> str:
    """Its file, which may have another suffix than it should."""
    path = schedule_file(tree, name)
    return path if path in tree else next(tree.all_matching(f"{tree.config_dir}/schedule/{name}*"), "")


RULE = Rule(
    "KIT103",
    "schedule-does-not-work",
    "A schedule cannot be read, or its runs would have no config",
    Severity.ERROR,
    check,
    scope="project",
)
