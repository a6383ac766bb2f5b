"""Features that are made from rows which come later."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kit.checks._columns import features_of
from kit.checks._python import Source, argument, literal, sources
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_ANSWERS = re.compile(r"(?i)target|label|answer|outcome|next|future|forward|fwd|lead|tomorrow|return|(?:^|_)y(?:_|$)")
"""Of what is to be predicted, to come later is the point."""
_AT_ALL = re.compile(r"\.shift\(\s*(?:periods\s*=\s*)?-|center\s*=\s*True|b(?:ack)?fill")


def _check(tree: Tree) -> Iterator[Finding]:
    for source in sources(tree, ".shift(", "center", "bfill", "backfill", like=_AT_ALL.search, notebooks=True):
        features = features_of(source.module)
        by_name = {id(value) for function in _feature_functions(source.module) for value, _ in _columns_made(function)}
        for value, column in _columns_made(source.module):
            if (column in features or id(value) in by_name) and not _ANSWERS.search(column):
                yield from _ahead(source, value, column)


def _ahead(source: Source, value: ast.expr, column: str) -> Iterator[Finding]:
    for call in (part for part in ast.walk(value) if isinstance(part, ast.Call)):
        why = _looks_ahead(call)
        if why is not None:
            hint = "Make features from what is known by then: `.shift(1)`, a window that ends there, `.ffill()`."
            yield source.find(call, f"the feature {column!r} {why}", hint)


def _feature_functions(module: ast.Module) -> Iterator[ast.FunctionDef]:
    """Those that say by their name that they make features, whatever they call the columns."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and "feature" in node.name.lower():
            yield node


def _columns_made(within: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """What columns are set to: `df["x"] = ...` and `df.assign(x=...)`."""
    for node in ast.walk(within):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                name = literal(target.slice) if isinstance(target, ast.Subscript) else None
                if isinstance(name, str):
                    yield node.value, name
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "assign":
            yield from ((keyword.value, keyword.arg) for keyword in node.keywords if keyword.arg)


def _looks_ahead(call: ast.Call) -> str | None:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method == "shift":
        periods = literal(argument(call, "periods", 0))
        return "is taken from a later row" if isinstance(periods, int) and periods < 0 else None
    if method == "rolling" and literal(argument(call, "center")) is True:
        return "is taken from a window that reaches into later rows"
    if method in {"bfill", "backfill"} or (
        method == "fillna" and literal(argument(call, "method")) in {"bfill", "backfill"}
    ):
        return "is filled from later rows"
    return None


RULE = Rule(
    "KIT305",
    "future-values-in-features",
    "A feature is made from rows that come later",
    Severity.WARNING,
    _check,
)
