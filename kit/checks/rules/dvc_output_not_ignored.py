"""Outputs of DVC that the next `git add` would take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from kit._dvc_files import Output
from kit.checks._dvc import inside, outputs, place
from kit.checks._places import ignored, with_line
from kit.checks.rule import Finding, Fix, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    shown = [output for output in outputs(tree) if _is_shown(tree, output)]
    hidden = ignored(tree, [output.path for output in shown])  # by now: a mend may have been made
    for output in shown:
        if output.path not in hidden:
            name = PurePosixPath(output.path)
            ignore = str(name.parent / ".gitignore")
            line = f"/{name.name}"
            hint = f"Add the line `{line}` to {ignore}, as `dvc add` and `dvc repro` do."
            finding = place(tree, output, f"git does not ignore {output.path}, which DVC keeps", hint)
            yield replace(finding, fix=Fix(ignore, with_line(tree.text(ignore), line)))


def _is_shown(tree: Tree, output: Output) -> bool:
    """Whether git shows something of it as new; what it tracks is another rule's."""
    found = inside(tree, output)
    return bool(found) and not any(path in tree.tracked for path in found)


RULE = Rule(
    "KIT204",
    "dvc-output-not-ignored",
    "An output of DVC is not ignored by git",
    Severity.WARNING,
    _check,
    scope="project",
)
