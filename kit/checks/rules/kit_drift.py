"""Versions of kit that a project names, and that are not the one it has locked."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kit.checks._ci import pipelines
from kit.checks._docker import dockerfiles
from kit.checks._requirements import KIT, locked_version, parsed, project_table
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_PINNED = re.compile(rf"\b{KIT}(?:\[[\w, -]*\])?\s*(?:==|@)\s*v?(?P<version>\d[\w.]*)")


def _check(tree: Tree) -> Iterator[Finding]:
    locked = locked_version(tree.toml("uv.lock"), KIT)
    wanted = _wanted(tree)
    if locked is not None and wanted is not None and not _allows(wanted, locked):
        hint = "Bring the lock up to date: `uv lock`."
        yield Finding("uv.lock", f"kit {locked} is locked, and pyproject.toml requires {wanted}", hint=hint)
    files = [*dockerfiles(tree), *pipelines(tree), *tree.matching(".pre-commit-config.yaml", "requirements*.txt")]
    for path in files:
        for number, line in enumerate((tree.text(path) or "").splitlines(), 1):
            found = None if line.lstrip().startswith("#") else _PINNED.search(line)
            if found is not None and (why := _differs(found["version"], locked, wanted)) is not None:
                hint = "Take kit from the lock file: `uv sync --locked`; or name the same version."
                yield Finding(path, f"kit {found['version']} here, and {why}", number, found.start() + 1, hint)


def _wanted(tree: Tree) -> str | None:
    dependencies = project_table(tree).get("dependencies")
    for text in dependencies if isinstance(dependencies, list) else ():
        found = parsed(text) if isinstance(text, str) else None
        if found is not None and found.name == KIT and found.specifier:
            return str(found.specifier)
    return None


def _allows(wanted: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidVersion:
        return True


def _differs(version: str, locked: str | None, wanted: str | None) -> str | None:
    if locked is not None:
        return None if version == locked else f"uv.lock has {locked}"
    return None if wanted is None or _allows(wanted, version) else f"pyproject.toml requires {wanted}"


RULE = Rule(
    "KIT404",
    "kit-drift",
    "A file names another version of kit than the lock",
    Severity.WARNING,
    _check,
    scope="project",
)
