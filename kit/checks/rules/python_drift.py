"""Versions of Python that a project names and does not allow."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._pythons import Named, pythons
from kit.checks._requirements import requires_python
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    said = requires_python(tree)
    try:
        allowed = SpecifierSet(said or "")
    except InvalidSpecifier:
        return  # uv and pip say so
    if not said:
        return
    for named in pythons(tree):
        if not any(allowed.contains(version) for version in _meant(named)):
            message = f"Python {named.version} here, and pyproject.toml requires {said}"
            yield Finding(
                named.path, message, named.line, hint="Name one of those that are required, or allow this one."
            )


def _meant(named: Named) -> list[str]:
    """`3.12` is any of its patch releases."""
    return [named.version] if named.version.count(".") == 2 else [f"{named.version}.{patch}" for patch in (0, 99)]


RULE = Rule(
    "KIT403",
    "python-drift",
    "A file names a version of Python that the project does not allow",
    Severity.WARNING,
    _check,
    scope="project",
)
