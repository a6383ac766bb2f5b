"""Models that are shown the answer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from kit.checks._columns import constants, is_features, is_target, strings
from kit.checks._places import first_line_with
from kit.checks._python import Source, literal, sources
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_HINT = "Take it out of the features: nobody has it when there is something to predict."
_AT_ALL = re.compile(r"(?mi)\.fit\(\s*(\w+)\s*,\s*\1\[|^\w*(?:feature|predictors|inputs|x_?col)\w*\s*[:=]")
_WORDS = ("feature", "predictors", "inputs", "xcol", "x_col")
_CHOOSES = ("ColumnTransformer", "column_transformer", "ColumnSelector", "FeatureUnion")
"""What picks the columns to learn from by itself."""


def _check(tree: Tree) -> Iterator[Finding]:
    for source in sources(tree, like=_may_have, notebooks=True):
        yield from _in_constants(source)
        if not any(word in source.text for word in _CHOOSES):
            yield from _in_calls(source)
    for path in tree.matching(f"{tree.config_dir}/**/*.yaml"):
        for name in _in_config(tree.yaml(path)):
            message = f"the target {name!r} is one of the features"
            yield Finding(path, message, first_line_with(tree.text(path), name), hint=_HINT)


def _may_have(text: str) -> bool:
    lowered = text.lower()
    return (".fit(" in text or any(word in lowered for word in _WORDS)) and _AT_ALL.search(text) is not None


def _in_constants(source: Source) -> Iterator[Finding]:
    """`TARGET = "price"` and `FEATURES = ["area", "price"]`."""
    found = list(constants(source.module))
    targets = {value for name, _, value in found if is_target(name) and isinstance(value, str)}
    for name, node, value in found:
        if is_features(name) and not isinstance(value, str):
            for target in sorted(targets.intersection(strings(value))):
                yield source.find(node, f"the target {target!r} is one of {name}", _HINT)


def _in_calls(source: Source) -> Iterator[Finding]:
    """`model.fit(df, df["price"])`."""
    for call in source.calls:
        if call.method != "fit" or len(call.node.args) < 2:
            continue
        table, answers = call.node.args[:2]
        column = _column_of(table, answers)
        if column is not None:
            yield source.find(call.node, f"fit() is given the table with its target {column!r} in it", _HINT)


def _column_of(table: ast.expr, answers: ast.expr) -> str | None:
    """The column of this very table that the second argument is."""
    if not isinstance(table, ast.Name):
        return None
    if isinstance(answers, ast.Subscript) and isinstance(answers.value, ast.Name) and answers.value.id == table.id:
        name = literal(answers.slice)
        return name if isinstance(name, str) else None
    return None


def _in_config(content: object) -> Iterator[str]:
    if not isinstance(content, Mapping):
        return
    targets = {value for key, value in content.items() if is_target(str(key)) and isinstance(value, str)}
    listed = {
        text
        for key, value in content.items()
        if is_features(str(key)) and not isinstance(value, str)
        for text in strings(value)
    }
    yield from sorted(targets & listed)
    for value in content.values():
        yield from _in_config(value)


RULE = Rule(
    "KIT304", "target-among-features", "The column to predict is among those to learn from", Severity.ERROR, _check
)
