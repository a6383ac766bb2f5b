"""Projects whose model may become as bad as it likes, and every test passes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import partial

from kit.checks._python import is_test, last, literal
from kit.checks._tasks import tasks
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_BOUNDS = (ast.Gt, ast.GtE, ast.Lt, ast.LtE)
_LIKELY = re.compile(r"""assert_metric|assert\b[^\n]*\w\[["']\w+["']\] (?:[<>]|== pytest\.approx)""")


def _check(tree: Tree) -> Iterator[Finding]:
    found = tasks(tree)
    tests = [path for path in tree.files if path.endswith(".py") and is_test(path)]
    if found and not any(_holds(tree, path) for path in sorted(tests, key=partial(_unlikely, tree))):
        hint = 'Train in a test, and hold a metric to what it must reach: `assert metrics["roc_auc"] >= 0.6`.'
        message = "no test holds a metric to a floor: a model that has become worse passes them all"
        yield Finding(found[0].path, message, found[0].node.lineno, hint=hint)


def _unlikely(tree: Tree, path: str) -> tuple[bool, str]:
    """Files in which a line looks like it come first: to parse one of them is enough then."""
    return _LIKELY.search(tree.text(path) or "") is None, path


def _holds(tree: Tree, path: str) -> bool:
    text = tree.text(path) or ""
    module = tree.module(path) if "assert" in text else None
    return module is not None and any(_is_bound(node) for node in ast.walk(module))


def _is_bound(node: ast.AST) -> bool:
    """`assert metrics["roc_auc"] >= 0.6`, `... == pytest.approx(...)`, `assert_metric(run, "roc_auc", min=0.6)`."""
    if isinstance(node, ast.Call):
        return last(node.func) == "assert_metric"
    if not isinstance(node, ast.Assert):
        return False
    parts = list(ast.walk(node.test))
    named = any(isinstance(part, ast.Subscript) and isinstance(literal(part.slice), str) for part in parts)
    bounded = any(isinstance(part, ast.Compare) and isinstance(part.ops[0], _BOUNDS) for part in parts)
    return named and (bounded or any(isinstance(part, ast.Call) and last(part.func) == "approx" for part in parts))


RULE = Rule(
    "KIT502",
    "metric-floor-missing",
    "No test holds a metric to a floor",
    Severity.INFO,
    _check,
    scope="project",
)
