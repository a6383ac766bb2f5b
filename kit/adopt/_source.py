"""A Python file as its text: imports, constants, functions. Nothing of the user's is imported."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

__all__ = ["NO_VALUE", "Function", "Module", "is_guard", "parse", "read"]

NO_VALUE: Any = type("_NoValue", (), {"__repr__": lambda _: "NO_VALUE"})()
"""What a text does not tell."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
_MOST = 1_000_000
_DEPTH = 20


@dataclass(frozen=True)
class Module:
    """One file.

    Attributes:
        path: Relative to the project.
        tree: Its syntax.
        names: What each imported name stands for, in full: `np` is `numpy`, `main` is `hydra.main`.
        constants: The values of top-level names that are assigned once.
        functions: Its top-level functions, by name.
    """

    path: str
    tree: ast.Module
    names: dict[str, str] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)

    def full_name(self, node: ast.expr | None) -> str:
        """`hydra.main` for `@hydra.main`, and for `@main` after `from hydra import main`; empty if it is no name."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            parent = self.full_name(node.value)
            return f"{parent}.{node.attr}" if parent else ""
        return ""

    def value(self, node: ast.expr | None, depth: int = 0) -> Any:  # noqa: ANN401, PLR0911 - whatever a literal may be
        """The plain value of an expression; NO_VALUE if only running it would tell."""
        if node is None or depth > _DEPTH:
            return NO_VALUE
        if isinstance(node, ast.Name):
            known = self.constants.get(node.id)
            return NO_VALUE if known is None else self.value(known, depth + 1)
        if isinstance(node, ast.List | ast.Tuple):
            items = [self.value(item, depth + 1) for item in node.elts]
            return NO_VALUE if any(item is NO_VALUE for item in items) else items
        if isinstance(node, ast.Call) and self.full_name(node.func) in {"pathlib.Path", "Path"} and len(node.args) == 1:
            return self.value(node.args[0], depth + 1)
        if isinstance(node, ast.BinOp):
            return _product(self.value(node.left, depth + 1), node.op, self.value(node.right, depth + 1))
        try:
            found = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return NO_VALUE
        return found if found is None or isinstance(found, str | int | float) else NO_VALUE

    def calls(self, name: str, within: ast.AST | None = None) -> Iterator[ast.Call]:
        """Every call of what is called so in the end: `add_argument` for `parser.add_argument(...)`."""
        for node in ast.walk(within or self.tree):
            if (isinstance(node, ast.Call) and self.full_name(node.func).rpartition(".")[2] == name) or (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name
            ):
                yield node

    def imports(self, *packages: str) -> bool:
        """Whether it imports one of these."""
        return any(name.partition(".")[0] in packages for name in self.names.values())


def _product(left: Any, op: ast.operator, right: Any) -> Any:  # noqa: ANN401, PLR0911
    """`60 * 60`, `2 ** 20`: sizes and times are often written so. A small one: no text tells how long others take."""
    numbers = all(isinstance(value, int | float) and abs(value) <= 1_000_000 for value in (left, right))
    if not numbers:
        return NO_VALUE
    if isinstance(op, ast.Mult):
        return left * right
    if isinstance(op, ast.Add):
        return left + right
    if isinstance(op, ast.Sub):
        return left - right
    if isinstance(op, ast.Div) and right:
        return left / right
    if isinstance(op, ast.Pow) and isinstance(right, int) and 0 <= right <= 64:
        return left**right
    return NO_VALUE


def read(root: Path, path: str) -> str | None:
    """The text of a file; None if it is none, is very large, or lies behind a link."""
    place = root / path
    try:
        if place.is_symlink() or place.stat().st_size > _MOST:
            return None
        return place.read_text("utf-8-sig")
    except (OSError, ValueError):
        return None


def parse(path: str, text: str) -> Module | None:
    """Its syntax; None if this Python cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in the user's strings
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    module = Module(path, tree)
    assigned: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.names.update(_imported(node))
    for statement in tree.body:
        if isinstance(statement, Function):
            module.functions[statement.name] = statement
        for name, value in _assignments(statement):
            if name in assigned:
                module.constants.pop(name, None)  # which of them is meant only running it would tell
            else:
                module.constants[name] = value
            assigned.add(name)
    return module


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        return
    parent = "." * node.level + (node.module or "")
    for alias in node.names:
        yield alias.asname or alias.name, f"{parent}.{alias.name}" if node.module else f"{parent}{alias.name}"


def _assignments(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield target.id, statement.value
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        yield statement.target.id, statement.value


def is_guard(statement: ast.stmt) -> TypeGuard[ast.If]:
    """Whether it is `if __name__ == "__main__":`."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare):
        return False
    sides = [statement.test.left, *statement.test.comparators]
    named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return named and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
