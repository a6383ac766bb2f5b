"""Outputs that were made and that no dvc.lock speaks of."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._dvc import outputs, place
from kit.checks._places import ignored
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    declared = outputs(tree)
    for output in declared:
        if output.stage is not None and output.md5 is None and output.file.exists():
            hint = (
                f"Record what is there with `dvc commit {output.stage}`, or make it anew: `dvc repro {output.stage}`."
            )
            yield place(tree, output, f"{output.path} was made, and dvc.lock has no version of it", hint)
    pipelines = {path for path in tree.files if path.rpartition("/")[2] == "dvc.yaml"} if declared else set()
    locks = {path: path.replace("dvc.yaml", "dvc.lock") for path in sorted(pipelines)}
    hidden = ignored(tree, locks.values())
    for pipeline, lock in locks.items():
        if lock in hidden and lock not in tree.tracked:
            hint = f"Take it out of .gitignore, then `git add {lock}`: it says which data belongs to a commit."
            yield Finding(pipeline, f"git ignores {lock}", hint=hint)


RULE = Rule(
    "KIT206",
    "dvc-output-not-recorded",
    "A stage's output is there, and no dvc.lock in git says which version it is",
    Severity.WARNING,
    _check,
    scope="project",
)
