"""Tiny projects, and what a rule finds in them."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kit.checks.files import any_project
from kit.checks.rule import Finding, Rule
from kit.checks.tree import Tree
from tests.conftest import git, write

__all__ = ["fixed", "found", "project_of", "tree_of"]

_PYPROJECT = '[project]\nname = "tiny"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n\n[tool.kit]\npackage = "tiny"\n'


def project_of(root: Path, files: Mapping[str, str], *, untracked: Collection[str] = ()) -> Path:
    """Write the files into a repository of their own; git tracks all but those named."""
    write(root, {"pyproject.toml": _PYPROJECT} | dict(files))
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    if untracked:
        git(root, "rm", "--quiet", "--cached", "--", *untracked)
    return root


@contextmanager
def tree_of(
    files: Mapping[str, str], *, untracked: Collection[str] = (), only: Collection[str] | None = None
) -> Iterator[Tree]:
    """A project of these files (and a pyproject.toml, if there is none among them), for as long as it is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        root = project_of(Path(folder), files, untracked=untracked)
        yield Tree(any_project(root), only=only)


def found(
    rule: Rule, files: Mapping[str, str], *, untracked: Collection[str] = (), only: Collection[str] | None = None
) -> list[Finding]:
    """What a rule finds in a project of these files, in order of place; exceptions do not count here."""
    with tree_of(files, untracked=untracked, only=only) as tree:
        findings = list(rule.check(tree))
        for finding in findings:
            assert finding.path == "" or (tree.root / finding.path).exists(), finding
            assert not finding.message.endswith("."), finding
        return sorted(findings, key=lambda finding: (finding.path, finding.line or 0, finding.column or 0))


def fixed(rule: Rule, files: Mapping[str, str], path: str) -> str:
    """What a file says when all that the rule can mend is mended."""
    texts = dict(files)
    for _ in range(20):
        fixes = {finding.fix.path: finding.fix.text for finding in found(rule, texts) if finding.fix is not None}
        if not fixes:
            break
        texts |= fixes
    return texts[path]
