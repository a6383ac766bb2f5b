"""Data that was given to DVC and is on this machine only."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._dvc import has_remote, outputs, place, unpushed
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    added = [output for output in outputs(tree) if output.stage is None]
    if added and not has_remote(tree):
        others = f" and {len(added) - 1} more" if len(added) > 1 else ""
        hint = "Name a place that others see: `dvc remote add --default NAME URL`, then `dvc push`."
        yield place(tree, added[0], f"{added[0].path}{others}: DVC has no default remote to push it to", hint)
        return
    for output in unpushed(tree):
        if output.stage is None:
            yield place(tree, output, f"{output.path} was never pushed: only this machine has it", "Run `dvc push`.")


RULE = Rule(
    "KIT207",
    "data-not-pushed",
    "Data that was added to DVC is not in its remote",
    Severity.WARNING,
    _check,
    scope="project",
)
