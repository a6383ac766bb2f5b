"""Python code as rules look at it: calls by the full name of what is called, whatever it was imported as."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from kit.checks._cells import Place, read_cells
from kit.checks.rule import Finding
from kit.checks.tree import Tree

__all__ = [
    "Call",
    "Source",
    "argument",
    "is_main_guard",
    "is_test",
    "last",
    "literal",
    "scopes",
    "source",
    "sources",
    "within",
]

_TESTS = re.compile(r"(?:.*/)?(?:tests?/.*|test_[^/]*\.py|[^/]*_test\.py|conftest\.py)")
_BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        name: The full name of what is called, `numpy.random.default_rng`; empty if it is neither imported nor built in.
        method: The last part of what is called, as it is written.
    """

    node: ast.Call
    name: str
    method: str


@dataclass(frozen=True, eq=False)
class Source:
    """One Python file, or the code of a notebook.

    Attributes:
        places: Where each line of a notebook's code is; None for a file of Python.
    """

    path: str
    text: str
    module: ast.Module
    places: tuple[Place, ...] | None = None

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call of the file."""
        return self._facts.calls

    @property
    def names(self) -> Mapping[str, str]:
        """What is imported, by the name that it has in the file; relative imports are resolved."""
        return self._facts.names

    def name(self, node: ast.AST) -> str:
        """The full name of `np.random` or `load`; empty if it is none, or nothing that is imported or built in."""
        return _name(node, self.names)

    def find(self, node: ast.AST, message: str, hint: str) -> Finding:
        """What is wrong at a node of the file."""
        line, column = getattr(node, "lineno", None), getattr(node, "col_offset", None)
        if self.places is not None:
            place = self.places[line - 1] if line is not None else None
            return Finding(
                self.path, f"cell {place.cell}: {message}" if place else message, place and place.line, hint=hint
            )
        return Finding(self.path, message, line, None if column is None else column + 1, hint)

    @cached_property
    def _facts(self) -> _Facts:
        found = _known.get(self.module)
        if found is None:
            found = _known[self.module] = _facts(self.path, self.module)
        return found


@dataclass(frozen=True, slots=True)
class _Facts:
    names: dict[str, str]
    calls: tuple[Call, ...]


_known: WeakKeyDictionary[ast.Module, _Facts] = WeakKeyDictionary()
"""A dozen rules ask for the same, and to walk through a file is what takes the time."""


def sources(
    tree: Tree, *words: str, like: Callable[[str], object] | None = None, notebooks: bool = False
) -> Iterator[Source]:
    """The Python files that are wanted, tests aside, and have one of the words in them, and something like that.

    To look for a word takes a hundredth of the time that a pattern takes, and that a hundredth of parsing.

    Args:
        words: None: any file will do.
        like: Says whether a text with one of the words has what is looked for.
        notebooks: Whether the code of notebooks is to be looked at as well.
    """

    def suits(text: str) -> bool:
        return (not words or any(word in text for word in words)) and (like is None or bool(like(text)))

    for path in tree.matching("**/*.ipynb") if notebooks else ():
        cells = read_cells(tree, path)
        if cells is not None and suits(cells.text):
            yield Source(path, cells.text, cells.module, cells.places)
    for path in _code(tree):
        text = tree.text(path)
        if text is not None and suits(text) and (found := source(tree, path)) is not None:
            yield found


def _code(tree: Tree) -> list[str]:
    """The Python files that are wanted, tests aside; a dozen rules ask."""
    return tree.remember(
        (__name__, tree.wanted), lambda: [path for path in tree.matching("**/*.py") if not is_test(path)]
    )


def source(tree: Tree, path: str) -> Source | None:
    """One file; None if it does not parse."""
    text, module = tree.text(path), tree.module(path)
    return None if text is None or module is None else Source(path, text, module)


def is_test(path: str) -> bool:
    return _TESTS.fullmatch(path) is not None


def is_main_guard(node: ast.AST) -> bool:
    """Whether it is `if __name__ == "__main__"`, which a task never comes to."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def within(source: Source, nodes: Iterable[ast.AST]) -> Iterator[Call]:
    """The calls in these parts of a file."""
    for node in nodes:
        yield from (_call(part, source.names) for part in ast.walk(node) if isinstance(part, ast.Call))


def scopes(module: ast.Module) -> Iterator[list[ast.stmt]]:
    """The body of the file and of each function in it."""
    yield module.body
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.body


def argument(call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
    """What is given for a parameter, by name or at a position; None if nothing is."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if position is None or position >= len(call.args) or any(isinstance(arg, ast.Starred) for arg in call.args):
        return None
    return call.args[position]


def last(node: ast.AST) -> str:
    """The last part of a name: `model` of `model` and of `self.model`; empty for what is none."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def literal(node: ast.AST | None) -> Any:  # noqa: ANN401
    """The value of a text, a number or a list of such; None for all else."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return None


def _facts(path: str, module: ast.Module) -> _Facts:
    names: dict[str, str] = {}
    calls = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(path, node)
            names |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            calls.append(node)
    return _Facts(names, tuple(_call(node, names) for node in calls))


def _origin(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = path.removeprefix("src/").split("/")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _call(node: ast.Call, names: Mapping[str, str]) -> Call:
    return Call(node, _name(node.func, names), last(node.func))


def _name(node: ast.AST, names: Mapping[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    if node.id not in names:
        return node.id if not parts and node.id in _BUILTINS else ""
    return ".".join([names[node.id], *reversed(parts)])
