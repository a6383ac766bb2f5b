"""Tasks that take files in the order in which a file system happens to list them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kit.checks._python import last
from kit.checks._tasks import Part, reached
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_LISTS = frozenset({"os.listdir", "os.scandir", "glob.glob", "glob.iglob"})
_METHODS = frozenset({"glob", "rglob", "iterdir"})
_ORDER_IS_LOST = frozenset({"sorted", "min", "max", "len", "set", "frozenset", "any", "all", "sum", "Counter"})
_ORDER_IS_NOTHING = frozenset({"unlink", "remove", "rmtree", "rmdir", "copy", "copy2", "copyfile", "move", "rename"})


def _check(tree: Tree) -> Iterator[Finding]:
    for part in reached(tree):
        parents = {child: node for node in ast.walk(part.node) for child in ast.iter_child_nodes(node)}
        sorted_later = _sorted_names(part.node)
        for node in ast.walk(part.node):
            if isinstance(node, ast.Call) and (name := _lists(part, node)) and _matters(node, parents, sorted_later):
                message = f"{name}() lists files in an order that is another one on another machine"
                yield part.source.find(node, message, f"Sort them: `sorted({ast.unparse(node)[:60]})`.")


def _lists(part: Part, call: ast.Call) -> str | None:
    name = part.source.name(call.func)
    if name in _LISTS:
        return name
    func = call.func
    return func.attr if not name and isinstance(func, ast.Attribute) and func.attr in _METHODS else None


def _matters(node: ast.AST, parents: dict[ast.AST, ast.AST], sorted_later: set[str]) -> bool:
    """Whether the order reaches what is done: nothing on the way sorts, counts, or only cleans up."""
    while (parent := parents.get(node)) is not None:
        if isinstance(parent, ast.Call) and last(parent.func) in _ORDER_IS_LOST:
            return False
        if isinstance(parent, ast.SetComp):
            return False
        if isinstance(parent, ast.Assign):
            return not any(isinstance(target, ast.Name) and target.id in sorted_later for target in parent.targets)
        if isinstance(parent, ast.For):
            return node is parent.iter and not any(
                isinstance(part, ast.Call) and last(part.func) in _ORDER_IS_NOTHING for part in ast.walk(parent)
            )
        if isinstance(parent, ast.stmt):
            return isinstance(parent, ast.Return)
        node = parent
    return False


def _sorted_names(within: ast.AST) -> set[str]:
    """Variables that are sorted somewhere: `paths.sort()`, `sorted(paths)`."""
    found = set()
    for node in ast.walk(within):
        if isinstance(node, ast.Call) and last(node.func) in {"sort", *_ORDER_IS_LOST}:
            of = node.func.value if isinstance(node.func, ast.Attribute) else node.args[0] if node.args else None
            if isinstance(of, ast.Name):
                found.add(of.id)
    return found


RULE = Rule(
    "KIT315",
    "unsorted-files",
    "A task reads files in the order that the file system lists them",
    Severity.WARNING,
    _check,
    scope="project",
)
