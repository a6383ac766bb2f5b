"""Where the keys and values of a YAML file are."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from kit.checks.tree import Tree

__all__ = ["Value", "line_of", "values"]


@dataclass(frozen=True, slots=True)
class Value:
    """One scalar of a file.

    Attributes:
        key: Dotted; elements of a list by their number.
        text: As YAML gives it, without quotes.
        line: Where the value is, from 1, as `column`.
        is_text: Whether it is one by its form; else a number, a date, true or nothing.
    """

    key: str
    text: str
    line: int
    column: int
    is_text: bool

    @property
    def name(self) -> str:
        """The last part of the key that is no number."""
        return next((part for part in reversed(self.key.split(".")) if not part.isdigit()), "")


def values(tree: Tree, path: str) -> list[Value]:
    """Every scalar of a file, in order; none if it is not YAML."""
    return _read(tree, path).values


def line_of(tree: Tree, path: str, key: str) -> int | None:
    """The line of a key of the composed config in a file, whose keys may lie deeper in the config than in the file."""
    known = _read(tree, path).lines
    parts = key.replace("[", ".").replace("]", "").split(".")
    endings = (".".join(parts[start:]) for start in range(len(parts)))
    return next((known[ending] for ending in endings if ending in known), None)


@dataclass(slots=True)
class _File:
    """What a file has: its scalars, and the line of every key."""

    values: list[Value] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)


def _read(tree: Tree, path: str) -> _File:
    return tree.remember(("yaml", path), lambda: _file(tree.text(path)))


def _file(text: str | None) -> _File:
    import yaml

    from kit._plain_yaml import safe_loader

    found = _File()
    # What nests deeper than Python goes is no config that anything could compose: what it begins with is enough.
    with contextlib.suppress(yaml.YAMLError, ValueError, RecursionError):
        node = yaml.compose(text or "", safe_loader(text or ""))
        if node is not None:
            _add(found, node, "", node.start_mark.line + 1, frozenset())
    return found


def _add(found: _File, node: Any, key: str, line: int, above: frozenset[int]) -> None:  # noqa: ANN401 - PyYAML's
    import yaml

    if id(node) in above:  # an anchor that contains itself
        return
    found.lines.setdefault(key, line)
    below = above | {id(node)}
    if isinstance(node, yaml.ScalarNode):
        mark = node.start_mark
        is_text = node.tag == "tag:yaml.org,2002:str"
        found.values.append(Value(key, node.value, mark.line + 1, mark.column + 1, is_text))
    elif isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            _add(found, value, f"{key}.{name.value}" if key else str(name.value), name.start_mark.line + 1, below)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _add(found, value, f"{key}.{index}", value.start_mark.line + 1, below)
