"""Preparation that learns from all rows, those to be judged by included."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Iterable, Iterator

from kit.checks._python import Source, last, scopes, sources
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_Binding = ast.Assign | ast.AnnAssign | ast.For

_LEARNS = frozenset({"fit", "fit_transform", "fit_resample"})
_SPLITS = "train_test_split"
_OF_LABELS = frozenset({"LabelEncoder", "LabelBinarizer", "MultiLabelBinarizer"})
"""They number the answers there are, and learn nothing from them."""


def _check(tree: Tree) -> Iterator[Finding]:
    for source in sources(tree, _SPLITS, notebooks=True):
        for body in scopes(source.module):
            nodes = list(_own(body))
            if any(isinstance(node, ast.Call) and last(node.func) == _SPLITS for node in nodes):
                yield from _leaks(source, nodes)


def _leaks(source: Source, nodes: list[ast.AST]) -> Iterator[Finding]:
    tables = _Tables(source.names)
    fitted: list[tuple[ast.Call, frozenset[int]]] = []
    told: set[ast.Call] = set()
    again = _last_fits(nodes)
    for node in sorted((node for node in nodes if isinstance(node, ast.Call | _Binding)), key=_end):
        if not isinstance(node, ast.Call):
            tables.bind(node)
        elif last(node.func) in _LEARNS and node.args and not tables.is_of_labels(node):
            fitted.append((node, tables.rows(node.args[0])))
        elif last(node.func) == _SPLITS:
            split = frozenset().union(*map(tables.rows, node.args))
            for fit, rows in fitted:
                if not rows.isdisjoint(split) and fit not in told and again.get(_receiver(fit), 0) <= node.lineno:
                    told.add(fit)
                    message = f"{last(fit.func)}() sees all rows: they are split only {_where(source, node)}"
                    hint = "Split first, fit on the training part, and only transform the rest; a Pipeline does that."
                    yield source.find(fit, message, hint)


def _where(source: Source, node: ast.Call) -> str:
    return f"in line {node.lineno}" if source.places is None else f"in cell {source.places[node.lineno - 1].cell}"


def _last_fits(nodes: Iterable[ast.AST]) -> dict[str, int]:
    """The last line in which each model is fitted: what it learned before is gone then."""
    found: dict[str, int] = {}
    for node in nodes:
        if isinstance(node, ast.Call) and last(node.func) == "fit" and (name := _receiver(node)):
            found[name] = max(found.get(name, 0), node.lineno)
    return found


def _receiver(call: ast.Call) -> str:
    """`model` of `model.fit(...)`; empty for `fit_transform`, whose result stays."""
    func = call.func
    named = isinstance(func, ast.Attribute) and func.attr == "fit" and isinstance(func.value, ast.Name | ast.Attribute)
    return ast.unparse(func.value) if named and isinstance(func, ast.Attribute) else ""


class _Tables:
    """Which rows the names of one scope stand for, line by line: what is made from a table has its rows."""

    def __init__(self, imported: Collection[str]) -> None:
        self._imported = imported
        self._rows: dict[str, frozenset[int]] = {}
        self._label_encoders: set[str] = set()
        self._count = itertools.count()

    def bind(self, node: _Binding) -> None:
        """A name gets another value: rows of what it is made from, or new ones."""
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        target = node.target if isinstance(node, ast.AnnAssign | ast.For) else node.targets[0]
        if isinstance(target, ast.Name | ast.Attribute) and value is not None:
            name = _root(target, ())
            if name is not None:
                self._rows[name] = self.rows(value)
                self._note_encoder(name, value)
            return
        split = isinstance(value, ast.Call) and last(value.func) not in _LEARNS
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self._rows[part.id] = self._new() if split or value is None else self.rows(value)

    def rows(self, node: ast.expr) -> frozenset[int]:
        """The rows of an expression; what `fit_transform` gives has those of what it was given."""
        given = node.args[0] if isinstance(node, ast.Call) and node.args and last(node.func) in _LEARNS else node
        name = _root(given, self._imported)
        if name is None:
            return self._new()
        if name not in self._rows:
            self._rows[name] = self._new()
        return self._rows[name]

    def is_of_labels(self, call: ast.Call) -> bool:
        receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
        made_here = isinstance(receiver, ast.Call) and last(receiver.func) in _OF_LABELS
        return made_here or (isinstance(receiver, ast.Name) and receiver.id in self._label_encoders)

    def _note_encoder(self, name: str, value: ast.expr) -> None:
        self._label_encoders.discard(name)
        if isinstance(value, ast.Call) and last(value.func) in _OF_LABELS:
            self._label_encoders.add(name)

    def _new(self) -> frozenset[int]:
        return frozenset({next(self._count)})


def _end(node: ast.Call | _Binding) -> tuple[int, int, bool]:
    """Where it has happened: what is within before what is around it, and a name gets its value at last."""
    part = node.iter if isinstance(node, ast.For) else node
    return part.end_lineno or 0, part.end_col_offset or 0, not isinstance(node, ast.Call)


def _own(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the functions and classes in it."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        yield node
        todo.extend(ast.iter_child_nodes(node))


def _root(node: ast.expr, imported: Collection[str]) -> str | None:
    """`df` of `df[columns]`, `df.drop("y", axis=1)` and `np.array(df)`; `self.x` is a table of its own."""
    found: ast.expr = node
    while not isinstance(found, ast.Name):
        if isinstance(found, ast.Attribute) and isinstance(found.value, ast.Name) and found.value.id == "self":
            return f"self.{found.attr}"
        if isinstance(found, ast.Attribute | ast.Subscript):
            found = found.value
        elif isinstance(found, ast.Call) and isinstance(found.func, ast.Attribute):
            receiver = _root(found.func, imported)
            if receiver is not None:
                return receiver
            if not found.args:
                return None
            found = found.args[0]
        else:
            return None
    return None if found.id in imported else found.id


RULE = Rule(
    "KIT303",
    "fit-before-split",
    "Something is fitted to rows that are split into training and test afterwards",
    Severity.WARNING,
    _check,
)
