"""Where a project names a version of Python."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kit.checks._ci import images, pipelines
from kit.checks._docker import bases, dockerfiles
from kit.checks._places import first_line_with
from kit.checks.tree import Tree

__all__ = ["Named", "pythons"]

_VERSION = re.compile(r"3\.\d+(?:\.\d+)?")
_OF_AN_IMAGE = re.compile(r"(?:^|[/:-])python(?:[:-]|(?=3\.))(?P<version>3\.\d+(?:\.\d+)?)")
"""`python:3.12-slim`, `ghcr.io/astral-sh/uv:python3.12-bookworm`."""


@dataclass(frozen=True, slots=True)
class Named:
    """A version, and where it is named."""

    path: str
    line: int | None
    version: str


def pythons(tree: Tree) -> Iterator[Named]:
    """Every version that is named beside `requires-python` and the lock file."""
    yield from _file(tree)
    yield from _docker(tree)
    yield from _ci(tree)
    yield from _tools(tree)


def _file(tree: Tree) -> Iterator[Named]:
    for line in (tree.text(".python-version") or "").splitlines():
        found = re.fullmatch(r"(?:cpython-?|python-?)?(3\.\d+(?:\.\d+)?)\s*", line)
        if found is not None:
            yield Named(".python-version", 1, found[1])
            return


def _docker(tree: Tree) -> Iterator[Named]:
    for path in dockerfiles(tree):
        for instruction, image in bases(tree.text(path) or ""):
            found = _OF_AN_IMAGE.search(image)
            if found is not None:
                yield Named(path, instruction.line, found["version"])


def _ci(tree: Tree) -> Iterator[Named]:
    for path, image in images(tree):
        found = _OF_AN_IMAGE.search(image)
        if found is not None:
            yield Named(path, first_line_with(tree.text(path), image), found["version"])
    for path in pipelines(tree):
        for value in _values(tree.yaml(path), "python-version"):
            for version in filter(_VERSION.fullmatch, re.split(r"[\s,]+", value)):
                yield Named(path, first_line_with(tree.text(path), "python-version"), version)


def _tools(tree: Tree) -> Iterator[Named]:
    """What ruff and mypy take for the oldest version."""
    tools = tree.toml("pyproject.toml").get("tool")
    tools = tools if isinstance(tools, dict) else {}
    text = tree.text("pyproject.toml")
    for tool, key in (("ruff", "target-version"), ("mypy", "python_version")):
        table = tools.get(tool)
        found = re.fullmatch(r"(?:py)?3\.?(\d+)", str(table.get(key))) if isinstance(table, dict) else None
        if found is not None:
            yield Named("pyproject.toml", first_line_with(text, key), f"3.{found[1]}")


def _values(value: object, key: str) -> Iterator[str]:
    """Every text below a key of that name, wherever it is; a matrix has lists of them."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            if name == key:
                yield from map(str, child if isinstance(child, list) else [child])
            else:
                yield from _values(child, key)
    elif isinstance(value, list):
        for child in value:
            yield from _values(child, key)
