"""Experiments whose config cannot be composed."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._configs import finding_of, needs_more, planned
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError

__all__ = ["RULE"]


def check(tree: Tree) -> Iterator[Finding]:
    for one in planned(tree):
        error = one.result
        if isinstance(error, KitError) and one.schedule is None and not needs_more(error, from_command=True):
            yield finding_of(tree, error, one.file)


RULE = Rule(
    "KIT101",
    "experiment-does-not-compose",
    "An experiment's config cannot be composed",
    Severity.ERROR,
    check,
    scope="project",
)
