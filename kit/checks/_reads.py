"""Which keys of a config the project's code may read: enough to say which it certainly does not.

A key is taken as read if its name stands anywhere in the code, as an attribute or in quotes. So is all that lies in a
section which is handed on as a whole to something that is not the project's own, or that cannot be followed:
`asdict(cfg.model)`, `SGDClassifier(**cfg.model)`, `for name in cfg.columns`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kit.checks._tasks import reached
from kit.checks.tree import Tree

__all__ = ["Reads", "reads"]

_HARMLESS = frozenset({"debug", "error", "info", "isinstance", "len", "print", "repr", "str", "type", "warning"})
"""What looks at a whole section and reads no key of it that matters."""
_WALKS = frozenset({"copy", "get", "items", "keys", "pop", "values", "__dict__"})
_NAMED = re.compile(r"""(?:\.\s*|["'])([^\W\d]\w*)""")
_IN_TEXTS = re.compile(r"""["']([\w.\[\]-]+)["']""")
_INTERPOLATED = re.compile(r"\$\{([^{}:]+)\}")
_KEEPING = ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.Return | ast.Yield | ast.YieldFrom
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class _Own:
    """A function of the project.

    Attributes:
        parameters: Their names, without `self`.
        handed: Those of them that it hands on as a whole.
    """

    node: _Function
    parameters: list[str]
    handed: set[str] = field(default_factory=set)


class Reads:
    """What is read, by name, and what is handed on as a whole."""

    def __init__(self, tree: Tree) -> None:
        self._names: set[str] = set()
        self._unread = _named(tree)
        self._whole: set[str] = set()
        self._own: dict[str, list[_Own]] = {}
        self._tree = tree
        self._followed = False

    def reads(self, key: str) -> bool:
        """Whether a dotted key may be read."""
        parts = key.split(".")
        if self._is_named(parts[-1]):
            return True
        self._follow()
        return not self._whole.isdisjoint(parts)

    def _is_named(self, name: str) -> bool:
        """Read on until some file has it: most keys are read near the task, and no file after that has to be."""
        while name not in self._names:
            more = next(self._unread, None)
            if more is None:
                return False
            self._names.update(more)
        return True

    def hands_on(self, function: ast.AST, parameter: str) -> bool:
        """Whether a function hands on a parameter as a whole; one that was not followed might."""
        self._follow()
        mine = [own for owns in self._own.values() for own in owns if own.node is function]
        return not mine or parameter in mine[0].handed

    def _follow(self) -> None:
        """Go through what the tasks come to, again and again until no function turns out to hand on any more."""
        if self._followed:
            return
        self._followed = True
        modules = {part.source.path: part.source.module for part in reached(self._tree)}.values()
        for module in modules:
            self._collect(module)
        everything = [own for owns in self._own.values() for own in owns]
        while sum([self._look_into(own) for own in everything]):
            pass
        for module in modules:
            for node in ast.walk(module):
                self._whole.update(name for value in self._handed(node) for name in _last(value))

    def _collect(self, module: ast.Module) -> None:
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    if isinstance(part, _Function):
                        name = node.name if part.name == "__init__" else part.name
                        self._own.setdefault(name, []).append(_Own(part, _parameters(part, method=True)))
        methods = {id(own.node) for owns in self._own.values() for own in owns}
        for node in ast.walk(module):
            if isinstance(node, _Function) and id(node) not in methods:
                self._own.setdefault(node.name, []).append(_Own(node, _parameters(node, method=False)))

    def _look_into(self, own: _Own) -> bool:
        """Whether more of its parameters are found to be handed on than were known."""
        before = len(own.handed)
        for node in ast.walk(own.node):
            for value in self._handed(node):
                if isinstance(value, ast.Name) and value.id in own.parameters:
                    own.handed.add(value.id)
        return len(own.handed) > before

    def _handed(self, node: ast.AST) -> Iterator[ast.expr]:
        """What one node hands on, keeps under another name, or looks at by keys that are not known here."""
        if isinstance(node, ast.Call):
            yield from self._given(node)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.iter
        elif isinstance(node, ast.Subscript):
            yield from () if isinstance(node.slice, ast.Constant) else (node.value,)
        elif isinstance(node, ast.Attribute):
            yield from (node.value,) if node.attr in _WALKS else ()
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            yield from node.elts
        elif isinstance(node, ast.Dict):
            yield from node.values
        elif isinstance(node, _KEEPING):
            yield from () if node.value is None else (node.value,)

    def _given(self, call: ast.Call) -> Iterator[ast.expr]:
        """The arguments of a call that it does not look into, or that looks at them as a whole."""
        callee = str(getattr(call.func, "attr", None) or getattr(call.func, "id", ""))
        if callee in _HARMLESS:
            return
        owns = self._own.get(callee)
        for index, argument in enumerate(call.args):
            value = argument.value if isinstance(argument, ast.Starred) else argument
            if owns is None or value is not argument or any(_takes_whole(own, index) for own in owns):
                yield value
        for keyword in call.keywords:
            if owns is None or keyword.arg is None or any(keyword.arg in own.handed for own in owns):
                yield keyword.value


def reads(tree: Tree) -> Reads:
    """What the project's code reads, tests and notebooks included."""
    return tree.remember("reads", lambda: Reads(tree))


def _named(tree: Tree) -> Iterator[Iterable[str]]:
    """The names in one file after the other, those that the tasks come to first."""
    near = dict.fromkeys(part.source.path for part in reached(tree))
    for path in dict.fromkeys([*near, *tree.all_matching("**/*.py", "**/*.ipynb")]):
        text = tree.text(path) or ""
        yield _NAMED.findall(text)
        yield (part for name in _IN_TEXTS.findall(text) for part in name.split("."))
    for path in tree.all_matching(f"{tree.config_dir}/**/*.yaml", "dvc.yaml"):
        yield (part for key in _INTERPOLATED.findall(tree.text(path) or "") for part in key.split("."))


def _takes_whole(own: _Own, index: int) -> bool:
    return index >= len(own.parameters) or own.parameters[index] in own.handed


def _parameters(node: _Function, *, method: bool) -> list[str]:
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    is_static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)
    return names[1:] if method and not is_static else names


def _last(node: ast.expr) -> Iterator[str]:
    """The name by which a section ends: `cfg.model`, `cfg["model"]`."""
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        yield str(node.slice.value)
