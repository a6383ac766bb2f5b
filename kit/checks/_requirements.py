"""Requirements: of pyproject.toml, and as uv.lock has them on record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.checks.tree import Tree

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = [
    "KIT",
    "Wanted",
    "locked",
    "locked_version",
    "parsed",
    "project_table",
    "required",
    "requires_python",
    "same_specifier",
]

KIT = "mlekit"
"""What kit is called where packages are."""
_PLACES = frozenset({"directory", "editable", "git", "path", "url", "virtual", "workspace"})
"""A requirement with one of these says where a package is, and not which version."""


@dataclass(frozen=True, order=True)
class Wanted:
    """What is wanted of one package; `specifier` is None where it does not matter."""

    name: str
    extras: tuple[str, ...]
    specifier: str | None


def parsed(text: str) -> Requirement | None:
    """A requirement, `pandas>=2`; None if it is none, which pip and uv say themselves."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def project_table(tree: Tree) -> dict[str, Any]:
    """`[project]` of pyproject.toml; empty if it has none."""
    return _table(tree.toml("pyproject.toml").get("project"))


def requires_python(tree: Tree) -> str | None:
    """What pyproject.toml says of Python's version."""
    said = project_table(tree).get("requires-python")
    return said if isinstance(said, str) else None


def required(tree: Tree) -> set[Wanted]:
    """Everything that pyproject.toml requires: for itself, its extras and its groups."""
    content = tree.toml("pyproject.toml")
    project = _table(content.get("project"))
    lists = [project.get("dependencies"), *_table(project.get("optional-dependencies")).values()]
    lists += _table(content.get("dependency-groups")).values()
    lists.append(_table(_table(content.get("tool")).get("uv")).get("dev-dependencies"))
    own = _canonical(str(project.get("name", "")))
    found = (parsed(text) for text in _strings(lists))
    return {
        Wanted(_canonical(one.name), tuple(sorted(one.extras)), None if one.url else str(one.specifier))
        for one in found
        if one is not None and _canonical(one.name) != own
    }


def locked(lock: Mapping[str, Any], name: str) -> set[Wanted] | None:
    """What uv.lock has on record of a project's requirements; None if it does not know the project."""
    for package in _tables(lock.get("package")):
        if package.get("name") == _canonical(name) and _PLACES & _table(package.get("source")).keys():
            metadata = _table(package.get("metadata"))
            entries = _tables(metadata.get("requires-dist"))
            entries += [entry for group in _table(metadata.get("requires-dev")).values() for entry in _tables(group)]
            return {_recorded(entry) for entry in entries if entry.get("name") != _canonical(name)}
    return None


def locked_version(lock: Mapping[str, Any], name: str) -> str | None:
    """The version of a package in uv.lock; None if it is not there, or taken from a folder."""
    for package in _tables(lock.get("package")):
        if package.get("name") == _canonical(name):
            version = package.get("version")
            return version if isinstance(version, str) else None
    return None


def same_specifier(one: str, other: str) -> bool:
    """Whether they say the same, in whatever order."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(one) == SpecifierSet(other)
    except InvalidSpecifier:
        return one == other


def _recorded(entry: Mapping[str, Any]) -> Wanted:
    specifier = None if _PLACES & entry.keys() else str(entry.get("specifier", ""))
    return Wanted(str(entry.get("name", "")), tuple(sorted(_strings([entry.get("extras")]))), specifier)


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _strings(lists: Iterable[object]) -> Iterator[str]:
    for one in lists:
        yield from (item for item in one if isinstance(item, str)) if isinstance(one, list) else ()


def _tables(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
