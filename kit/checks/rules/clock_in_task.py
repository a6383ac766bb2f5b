"""Tasks that ask what day it is: caught up with, repeated or reproduced, they do something else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kit.checks._python import last, literal
from kit.checks._tasks import Part, reached
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_NOW = frozenset(
    {
        "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
        "pandas.Timestamp.now", "pandas.Timestamp.today", "pandas.Timestamp.utcnow",
    }
)  # fmt: skip
_BY_WORD = frozenset({"pandas.to_datetime", "pandas.Timestamp", "numpy.datetime64"})
_MEASURES = re.compile(r"(?i)start|begin|began|end|stop|tic|toc|t\d|elapsed|finish|before|after")
"""What a variable is called that takes the time of something."""
_LABELS = frozenset({"strftime", "isoformat", "ctime"})
"""Methods that make a text for people of an instant."""


def _check(tree: Tree) -> Iterator[Finding]:
    for part in reached(tree):
        if any(_knows(node) for node in ast.walk(part.node)):
            continue  # it asks the clock only without a schedule
        measured = _measured(part.node)
        for node in ast.walk(part.node):
            if isinstance(node, ast.Call) and node not in measured and (name := _asks(part, node)) is not None:
                message = f"{name}() in a task: a run that is caught up with or reproduced gets another day"
                hint = "Take the instant from the config, or `run.scheduled_at`, when a scheduled run was due."
                yield part.source.find(node, message, hint)


def _knows(node: ast.AST) -> bool:
    """Whether it is the instant at which a scheduled run was due."""
    return last(node) == "scheduled_at" or (isinstance(node, ast.Constant) and node.value == "KIT_SCHEDULED_AT")


def _asks(part: Part, call: ast.Call) -> str | None:
    name = part.source.name(call.func)
    if name in _NOW:
        return name
    by_word = name in _BY_WORD and call.args and literal(call.args[0]) in {"now", "today"}
    return name if by_word else None


def _measured(within: ast.AST) -> set[ast.AST]:
    """The calls that only take the time, `start = now()` and `now() - start`, or write it down: `now().isoformat()`."""
    found: set[ast.AST] = set()
    for node in ast.walk(within):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and _MEASURES.match(last(node.right)):
            found.add(node.left)
        if isinstance(node, ast.Attribute) and node.attr in _LABELS:
            found.add(node.value)
        if isinstance(node, ast.Assign) and any(_MEASURES.match(last(target)) for target in node.targets):
            found.add(node.value)
    return found


RULE = Rule(
    "KIT314", "clock-in-task", "A task asks the clock what day it is", Severity.WARNING, _check, scope="project"
)
