"""Outputs of DVC that git tracks as well."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from kit.checks._dvc import inside, outputs, place
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    for output in outputs(tree):
        tracked = [path for path in inside(tree, output) if path in tree.tracked and not path.endswith(".gitignore")]
        if tracked:
            files = "git tracks it" if tracked == [output.path] else f"git tracks {len(tracked)} of its files"
            hint = f"Leave it to DVC: `git rm -r --cached {shlex.quote(output.path)}`."
            yield place(tree, output, f"{output.path} is an output of DVC, and {files} as well", hint)


RULE = Rule(
    "KIT203", "dvc-output-in-git", "An output of DVC is tracked by git, too", Severity.ERROR, _check, scope="project"
)
