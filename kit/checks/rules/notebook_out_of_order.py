"""Notebooks whose results come from another order than the one that they are read in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from kit.checks._notebooks import counts, notebooks, stripped
from kit.checks._places import first_line_with
from kit.checks.rule import Finding, Fix, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    for path, content in notebooks(tree):
        swapped = next((pair for pair in pairwise(counts(content)) if pair[0][1] > pair[1][1]), None)
        if swapped is not None:
            (first, before), (second, after) = swapped
            text = tree.text(path) or ""
            yield Finding(
                path,
                f"cell {second} [{after}] was run before cell {first} [{before}]: what it shows may not come out again",
                first_line_with(text, f'"execution_count": {after},', f'"execution_count": {after}'),
                hint="Restart the kernel and run all cells in order; or forget the results: `kit check --fix`.",
                fix=Fix(path, stripped(text, content)),
            )


RULE = Rule(
    "KIT308",
    "notebook-out-of-order",
    "The cells of a notebook were not run from top to bottom",
    Severity.WARNING,
    _check,
)
