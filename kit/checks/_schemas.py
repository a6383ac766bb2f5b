"""A task's dataclass as its source says it: read, not imported, so that nothing of the project's code runs.

What can be read is made into a dataclass of the same form, and `kit.config.typed` judges by it as it would by the real
one. What cannot be read fits anything: a class from a library, a computed default, an annotation with a name that is
not known here.
"""

from __future__ import annotations

import ast
import dataclasses
import datetime as dt
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from kit._near import did_you_mean, nearest
from kit.checks._python import Source, source
from kit.checks._tasks import module_path
from kit.checks.tree import Tree

__all__ = ["Definition", "NoTask", "definition", "has_field", "schema_of", "task_definition"]

_HOPS = 5
_TYPES: dict[str, Any] = {
    "bool": bool, "dict": dict, "float": float, "frozenset": frozenset, "int": int, "list": list, "object": Any,
    "set": set, "str": str, "tuple": tuple, "typing.Any": Any, "typing.Dict": dict, "typing.FrozenSet": frozenset,
    "typing.List": list, "typing.Literal": typing.Literal, "typing.Optional": typing.Optional, "typing.Set": set,
    "typing.Tuple": tuple, "typing.Union": typing.Union, "pathlib.Path": Path, "datetime.date": dt.date,
    "datetime.datetime": dt.datetime, "datetime.timedelta": dt.timedelta,
    "typing_extensions.Literal": typing.Literal,
    **{f"{module}.{kind.__name__}": kind for module in ("typing", "collections.abc")
       for kind in (Iterable, Mapping, Sequence)},
}  # fmt: skip
"""What an annotation may be made of, by its full name."""
_DATACLASS = ("dataclasses.dataclass", "pydantic.dataclasses.dataclass")
_ENUMS = ("enum.Enum", "enum.StrEnum", "enum.IntEnum")


@dataclass(frozen=True, slots=True)
class NoTask:
    """A config names a task that the project does not have, though it has the package."""

    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or a class of the project, or what another name stands for, and the file that it is in."""

    source: Source
    node: ast.AST


class _UnreadableError(Exception):
    """It takes running code to know."""


def task_definition(tree: Tree, task: str) -> Definition | NoTask | None:
    """The function of a task; None if it is another package's, or made in another way than by `def`."""
    module, _, name = task.rpartition(".")
    path = module_path(tree, module)
    if path is None:
        return _no_module(tree, module)
    found = source(tree, path)
    if found is None:
        return None
    defined = definition(tree, found, name)
    if defined is not None:
        return defined if isinstance(defined.node, ast.FunctionDef) else None
    if _binds(found.module, name):
        return None
    functions = [node.name for node in found.module.body if isinstance(node, ast.FunctionDef)]
    hint = did_you_mean(nearest(name, functions)) or f"Define it in {path}."
    return NoTask(f"no function {name!r} in {path}", hint)


def _no_module(tree: Tree, module: str) -> NoTask | None:
    parent, _, last = module.rpartition(".")
    package = module_path(tree, parent) if parent else None
    if package is None or not package.endswith("__init__.py"):
        return None  # another distribution's, or a namespace that others add to
    folder = package.removesuffix("__init__.py")
    siblings = [path.removeprefix(folder).removesuffix(".py") for path in tree.all_matching(f"{folder}*.py")]
    hint = did_you_mean(nearest(last, siblings)) or f"Create {folder}{last}.py, or name another module."
    return NoTask(f"no module {module!r}", hint)


def definition(tree: Tree, found: Source, name: str, hops: int = _HOPS) -> Definition | None:
    """Where a name of a file is defined at the top, through so many imports."""
    for node in found.module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return Definition(found, node)
    if (alias := _alias(found.module, name)) is not None:
        return Definition(found, alias)
    return _imported(tree, found.names.get(name), hops)


def _imported(tree: Tree, full_name: str | None, hops: int) -> Definition | None:
    module, _, attribute = (full_name or "").rpartition(".")
    path = module_path(tree, module) if module and hops else None
    other = None if path is None else source(tree, path)
    return None if other is None else definition(tree, other, attribute, hops - 1)


def _binds(module: ast.Module, name: str) -> bool:
    """Whether a file may define a name in another way: by assignment, by import, under a condition."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name) in {name, "*"}:
            return True
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in {name, "__getattr__"}:
            return True
    return False


def schema_of(tree: Tree, task: str) -> type | NoTask | None:
    """The dataclass of a task's first parameter; None if it takes another thing, or it cannot be read."""
    return tree.remember(("schema", task), lambda: _schema_of(tree, task))


def _schema_of(tree: Tree, task: str) -> type | NoTask | None:
    found = task_definition(tree, task)
    if found is None or isinstance(found, NoTask):
        return found
    assert isinstance(found.node, ast.FunctionDef)  # noqa: S101 - for the type checker: a task is one
    parameters = [*found.node.args.posonlyargs, *found.node.args.args]
    annotation = _unquoted(parameters[0].annotation) if parameters else None
    reading = _Reading(tree)
    try:
        made = reading.type_of(found.source, annotation) if annotation is not None else None
    except (_UnreadableError, RecursionError, TypeError):
        return None
    return made if isinstance(made, type) and dataclasses.is_dataclass(made) else None


def has_field(schema: type, key: str) -> bool:
    """Whether a dotted key leads to a field of a dataclass, or into one that is no dataclass itself."""
    kinds: tuple[Any, ...] = (schema,)
    for name in key.split("."):
        known = [one for kind in kinds for one in _fields(kind) if one.name == name]
        if not known:
            return not any(_fields(kind) for kind in kinds)
        kinds = tuple(part for one in known for part in (typing.get_args(one.type) or (one.type,)))
    return True


def _fields(kind: object) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else ()


def _unquoted(node: ast.expr | None) -> ast.expr | None:
    """An annotation that is written as a text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return None
    return node


class _Reading:
    """One task's types, each class made once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._made: dict[tuple[str, str], Any] = {}

    def type_of(self, found: Source, node: ast.expr | None) -> Any:  # noqa: ANN401
        """What an annotation means; `Any` for what is not known here."""
        node = _unquoted(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return typing.Union[self.type_of(found, node.left), self.type_of(found, node.right)]  # noqa: UP007
        if isinstance(node, ast.Subscript):
            return self._subscript(found, node)
        if isinstance(node, ast.Constant):
            return type(None) if node.value is None else Any
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(found, node)
        return Any

    def _named(self, found: Source, node: ast.Name | ast.Attribute) -> Any:  # noqa: ANN401
        full_name = found.name(node)
        if full_name in _TYPES:
            return _TYPES[full_name]
        defined = (
            definition(self._tree, found, node.id)
            if isinstance(node, ast.Name)
            else _imported(self._tree, full_name, _HOPS)
        )
        if defined is None:
            return Any
        if isinstance(defined.node, ast.expr):
            return self.type_of(defined.source, defined.node)
        return self._class(defined.source, defined.node)

    def _subscript(self, found: Source, node: ast.Subscript) -> Any:  # noqa: ANN401
        outer = found.name(node.value)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        kind = _TYPES.get(outer)
        if kind is typing.Literal:
            values = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            return typing.Literal[tuple(values)] if all(isinstance(part, ast.Constant) for part in parts) else Any
        if outer in {"typing.Annotated", "dataclasses.InitVar"}:
            return self.type_of(found, parts[0])
        if kind is None:
            return Any
        inner = [
            ... if isinstance(part, ast.Constant) and part.value is ... else self.type_of(found, part) for part in parts
        ]
        return kind[tuple(inner)] if len(inner) > 1 else kind[inner[0]]

    def _class(self, found: Source, node: ast.AST) -> Any:  # noqa: ANN401
        if not isinstance(node, ast.ClassDef):
            return Any
        key = (found.path, node.name)
        if key not in self._made:
            self._made[key] = Any  # one that contains itself
            self._made[key] = self._make(found, node)
        return self._made[key]

    def _make(self, found: Source, node: ast.ClassDef) -> Any:  # noqa: ANN401
        bases = [found.name(base) for base in node.bases]
        if any(base in _ENUMS for base in bases):
            return _enum(node)
        if not any(found.name(_called(decorator)) in _DATACLASS for decorator in node.decorator_list):
            return Any
        fields: dict[str, tuple[str, Any, Any]] = {}
        for base in node.bases:
            fields |= self._inherited(found, base)
        for statement in node.body:
            if (one := self._field(found, statement)) is not None:
                fields[one[0]] = one
        kind = dataclasses.make_dataclass(node.name, list(fields.values()), kw_only=True)
        kind.__module__ = ""  # else `typed` would say that it was written here
        return kind

    def _inherited(self, found: Source, base: ast.expr) -> dict[str, tuple[str, Any, Any]]:
        kind = self.type_of(found, base)
        if found.name(base).startswith(("typing.Generic", "typing.Protocol", "abc.ABC")):
            return {}
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            raise _UnreadableError
        return {one.name: (one.name, one.type, one) for one in dataclasses.fields(kind)}

    def _field(self, found: Source, statement: ast.stmt) -> tuple[str, Any, Any] | None:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            return None
        annotation = _unquoted(statement.annotation)
        outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        if outer is None or found.name(outer) in {"typing.ClassVar", "dataclasses.KW_ONLY"}:
            return None
        name = statement.target.id
        kind = self.type_of(found, annotation)
        return (name, kind, _default(found, statement.value))


def _default(found: Source, value: ast.expr | None) -> Any:  # noqa: ANN401 - a dataclass's field
    """A field that has a default, or must be given; what the default is does not matter."""
    if value is None:
        return dataclasses.field()
    if found.name(value) == "omegaconf.MISSING":
        return dataclasses.field()
    if isinstance(value, ast.Call) and found.name(value.func) == "dataclasses.field":
        given = {keyword.arg: keyword.value for keyword in value.keywords}
        if (init := given.get("init")) is not None and isinstance(init, ast.Constant) and init.value is False:
            return dataclasses.field(init=False, default=None)
        if "default" not in given and "default_factory" not in given and None not in given:
            return dataclasses.field()
    return dataclasses.field(default=None)


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _enum(node: ast.ClassDef) -> Any:  # noqa: ANN401
    members = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            if not isinstance(statement.value, ast.Constant):
                return Any  # `auto()`, or computed
            members[statement.targets[0].id] = statement.value.value
    return Enum(node.name, members) if members else Any


def _alias(module: ast.Module, name: str) -> ast.expr | None:
    """What a name stands for that is assigned once at the top: `Kernel = Literal["rbf", "linear"]`."""
    for statement in module.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in statement.targets
        ):
            return statement.value
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if statement.target.id == name:
                return statement.value
        elif hasattr(ast, "TypeAlias") and isinstance(statement, ast.TypeAlias) and statement.name.id == name:
            return typing.cast("ast.expr", statement.value)
    return None
