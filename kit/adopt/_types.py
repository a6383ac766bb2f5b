"""Types as a wrapper writes them, of values, annotations and helps."""

from __future__ import annotations

import ast
import re
from typing import Any

from kit.adopt._source import NO_VALUE, Module
from kit.adopt._text import python

__all__ = ["annotation_of", "clean_help", "field_type", "literal", "of_value"]

_PLAIN = {"int": "int", "float": "float", "str": "str", "bool": "bool"}
_PATHS = {"pathlib.Path", "Path", "os.PathLike", "pathlib.PurePath", "PathLike"}
_LISTS = {"list", "List", "typing.List", "Sequence", "typing.Sequence", "collections.abc.Sequence", "typing.Iterable"}
_OPTIONAL = {"Optional", "typing.Optional"}
_ANNOTATED = {"Annotated", "typing.Annotated", "typing_extensions.Annotated"}


def annotation_of(value: Any) -> str:  # noqa: ANN401 - any default
    """The type of a plain value."""
    if isinstance(value, list):
        inner = {annotation_of(item) for item in value}
        return (
            f"list[{inner.pop()}]" if len(inner) == 1 else "list[float]" if inner == {"int", "float"} else "list[str]"
        )
    return type(value).__name__ if isinstance(value, bool | int | float) else "str"


def of_value(kind: str, default: Any) -> tuple[str, Any]:  # noqa: ANN401
    """The type and default together: `type=float, default=1` is 1.0, and what argparse does not convert stays."""
    if default is None or kind.startswith(("Literal", "list")):
        return kind, default
    if kind == "float" and isinstance(default, int) and not isinstance(default, bool):
        return kind, float(default)
    if kind in {"int", "float"} and isinstance(default, str):
        try:
            return kind, (int if kind == "int" else float)(default)  # argparse converts a default that is a text
        except ValueError:
            return "str", default
    if annotation_of(default) == kind or (kind == "Path" and isinstance(default, str)):
        return kind, default
    return annotation_of(default), default


def literal(choices: list[Any]) -> str:
    """`Literal["a", "b"]`."""
    return f"Literal[{', '.join(python(choice) for choice in dict.fromkeys(choices))}]"


def field_type(module: Module, node: ast.expr | None) -> str | None:
    """A parameter's annotation as the wrapper has it; None if it is nothing that a config can hold."""
    if node is None:
        return None
    if isinstance(node, ast.Constant):
        return "None" if node.value is None else field_type(module, _quoted(node.value))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(field_type(module, node.left), field_type(module, node.right))
    if isinstance(node, ast.Subscript):
        return _subscript(module, node)
    name = module.full_name(node)
    if name in _PATHS:
        return "Path"
    return "list[str]" if name in {"list", "List", "typing.List"} else _PLAIN.get(name)


def _quoted(value: object) -> ast.expr | None:
    """The annotation in a text."""
    try:
        return ast.parse(value, mode="eval").body if isinstance(value, str) else None
    except SyntaxError:
        return None


def _union(left: str | None, right: str | None) -> str | None:
    if "None" in {left, right}:
        other = right if left == "None" else left
        return None if other is None else other if other.endswith("| None") else f"{other} | None"
    if {left, right} <= {"str", "Path"}:
        return "Path"
    return "float" if {left, right} <= {"int", "float"} else None


def _subscript(module: Module, node: ast.Subscript) -> str | None:
    name = module.full_name(node.value)
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name in _OPTIONAL:
        return _union(field_type(module, items[0]), "None")
    if name in _ANNOTATED:
        return field_type(module, items[0])
    if name in _LISTS or (name in {"tuple", "Tuple", "typing.Tuple"} and len(items) == 2):
        inner = field_type(module, items[0])
        return None if inner is None else f"list[{inner}]"
    if name.rpartition(".")[2] == "Literal":
        values = [module.value(item) for item in items]
        return literal(values) if all(isinstance(value, str | int) for value in values) else None
    if name.rpartition(".")[2] == "Union" and len(items) == 2:
        return _union(field_type(module, items[0]), field_type(module, items[1]))
    return None


def clean_help(text: Any, default: Any = NO_VALUE) -> str:  # noqa: ANN401
    """The help as a sentence on one line; argparse's own fields filled in."""
    if not isinstance(text, str) or text == "==SUPPRESS==":
        return ""
    shown = "computed" if default is NO_VALUE else str(default)
    text = re.sub(r"%\(default\)\w", lambda _: shown, text)
    text = re.sub(r"%\(\w+\)\w", "", text).replace("%%", "%")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
