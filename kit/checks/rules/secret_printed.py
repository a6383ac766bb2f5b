"""Code that prints or logs a secret by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kit.checks._python import Call, last, literal, sources
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.redact import is_secret, may_name_secret

__all__ = ["RULE"]

_LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
_WORDS = ("print(", *(f".{level}(" for level in sorted(_LEVELS)))


def _check(tree: Tree) -> Iterator[Finding]:
    for source in sources(tree, *_WORDS, like=may_name_secret, notebooks=True):
        for call in source.calls:
            if not _shows(call):
                continue
            for node in _shown(call.node):
                if (name := _secret(node)) is not None:
                    hint = (
                        "Say that there is one, not what it is. kit masks the secrets that it knows; others it cannot."
                    )
                    yield source.find(node, f"{name!r} is printed: logs are copied, sent and kept", hint)


def _shows(call: Call) -> bool:
    if call.name == "print":
        return True
    func = call.node.func
    receiver = func.value if isinstance(func, ast.Attribute) and func.attr in _LEVELS else None
    return isinstance(receiver, ast.Name | ast.Attribute) and "log" in _called(receiver).lower()


def _shown(call: ast.Call) -> Iterator[ast.expr]:
    """What is shown itself, not what is made from it: `len(password)` tells nobody anything."""
    for arg in call.args:
        if isinstance(arg, ast.JoinedStr):
            yield from (part.value for part in arg.values if isinstance(part, ast.FormattedValue))
        else:
            yield arg


def _secret(node: ast.expr) -> str | None:
    name = _called(node)
    # As a number, so that `token` counts for what it is in most code of this field: a piece of a text.
    return name if name and is_secret(name, 0) else None


def _called(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        value = literal(node.slice)
        return value if isinstance(value, str) else ""
    return last(node)


RULE = Rule("KIT313", "secret-printed", "Code prints or logs a secret", Severity.ERROR, _check)
