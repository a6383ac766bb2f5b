"""Images without a version: each build may begin from something else."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._ci import images
from kit.checks._docker import bases, dockerfiles
from kit.checks._places import first_line_with
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    for path in dockerfiles(tree):
        for instruction, image in bases(tree.text(path) or ""):
            if (why := _unpinned(image)) is not None:
                yield _finding(path, instruction.line, image, why)
    for path, image in images(tree):
        if (why := _unpinned(image)) is not None:
            yield _finding(path, first_line_with(tree.text(path), image), image, why)


def _finding(path: str, line: int | None, image: str, why: str) -> Finding:
    hint = f"Name a version, `{image.partition(':')[0]}:VERSION`, or a digest."
    return Finding(path, f"the image {image} {why}: each build may begin from another one", line, hint=hint)


def _unpinned(image: str) -> str | None:
    if "$" in image or "@" in image:
        return None  # said elsewhere, or a digest
    name, _, tag = image.rpartition("/")[2].partition(":")
    if tag == "latest":
        return "is whatever is the latest"
    return None if tag or not name else "has no tag"


RULE = Rule("KIT405", "unpinned-image", "An image is named without a version", Severity.WARNING, _check)
