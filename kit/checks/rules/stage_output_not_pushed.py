"""What a stage made, and only this machine has; others would have to make it again."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._dvc import place, unpushed
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    for output in unpushed(tree):
        if output.stage is not None:
            message = f"{output.path} was never pushed: elsewhere, {output.stage!r} makes it again"
            yield place(tree, output, message, "Run `dvc push`.")


RULE = Rule(
    "KIT208",
    "stage-output-not-pushed",
    "What a DVC stage made is not in the remote",
    Severity.INFO,
    _check,
    scope="project",
)
