"""Which columns code and configs name as features, and which as the target."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from kit.checks._python import literal

__all__ = ["constants", "features_of", "is_features", "is_target", "strings"]

_FEATURES = re.compile(
    r"(?i)(?:^|_)(?:features?|predictors|inputs|x_?cols|x_?columns)(?:_(?:cols?|columns?|names?|list))?$"
)
_TARGET = re.compile(
    r"(?i)(?:^|_)(?:target|label|y|outcome|response|dependent)(?:_?(?:col|column|name|var|variable))?$"
)


def is_features(name: str) -> bool:
    """Whether something with this name lists the columns to learn from."""
    return _FEATURES.search(name) is not None


def is_target(name: str) -> bool:
    """Whether something with this name says which column is to be predicted."""
    return _TARGET.search(name) is not None


def strings(value: object) -> Iterator[str]:
    """Every text in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for child in value.values():
            yield from strings(child)
    elif isinstance(value, list | tuple | set):
        for child in value:
            yield from strings(child)


def constants(module: ast.Module) -> Iterator[tuple[str, ast.stmt, object]]:
    """The literals that names of a module stand for."""
    for node in module.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, literal(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, value = node.target.id, literal(node.value)
        else:
            continue
        if value is not None:
            yield name, node, value


def features_of(module: ast.Module) -> frozenset[str]:
    """The columns that a module lists as features."""
    return frozenset(
        text
        for name, _, value in constants(module)
        if is_features(name) and not isinstance(value, str)
        for text in strings(value)
    )
