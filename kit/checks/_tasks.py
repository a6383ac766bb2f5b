"""The project's tasks, and the code that they come to: found by reading it, without running any of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from kit.checks._python import Source, is_main_guard, source
from kit.checks.tree import Tree

__all__ = ["Part", "Task", "module_path", "reached", "tasks"]

_NAMES_A_TASK = re.compile(r"(?m)^task:\s")


@dataclass(frozen=True, slots=True)
class Task:
    """A function that experiments name.

    Attributes:
        name: `package.module.function`.
        experiments: The names of those experiments.
        path: The file that it is in, and `node` its definition there.
    """

    name: str
    experiments: tuple[str, ...]
    path: str
    node: ast.FunctionDef


@dataclass(frozen=True, slots=True)
class Part:
    """A function or class that a task comes to, or a statement that runs when its module is imported."""

    source: Source
    node: ast.AST


def tasks(tree: Tree) -> list[Task]:
    """The tasks that configs name and the project has; a config that names another one is a finding of its own."""
    return tree.remember(f"{__name__}.tasks", lambda: _tasks(tree))


def _tasks(tree: Tree) -> list[Task]:
    named: dict[str, list[str]] = {}
    for path in tree.all_matching(f"{tree.config_dir}/**/*.yaml") if tree.is_kit else ():
        if not _NAMES_A_TASK.search(tree.text(path) or ""):
            continue
        content = tree.yaml(path)
        name = content.get("task") if isinstance(content, dict) else None
        if isinstance(name, str):
            stem = path.rpartition("/")[2].removesuffix(".yaml")
            named.setdefault(name, []).extend([stem] if "/experiment/" in path else [])
    found = ((name, stems, _definition(tree, name)) for name, stems in sorted(named.items()))
    return [
        Task(name, tuple(stems), part.source.path, part.node)
        for name, stems, part in found
        if part is not None and isinstance(part.node, ast.FunctionDef)
    ]


def reached(tree: Tree) -> list[Part]:
    """The functions and classes of the project that its tasks come to, by the names that they use.

    What else their modules do when they are imported is a part, too.
    """
    return tree.remember(f"{__name__}.reached", lambda: _reached(tree))


def _reached(tree: Tree) -> list[Part]:
    todo = [part for task in tasks(tree) if (part := _definition(tree, task.name)) is not None]
    seen: dict[tuple[str, str], Part] = {}
    while todo:
        part = todo.pop()
        key = (part.source.path, getattr(part.node, "name", ""))
        if key not in seen:
            seen[key] = part
            todo.extend(_used(tree, part))
    sources = {part.source.path: part.source for part in seen.values()}
    loaded = [Part(found, node) for _, found in sorted(sources.items()) for node in found.module.body if _runs(node)]
    return [*(seen[key] for key in sorted(seen)), *loaded]


def module_path(tree: Tree, name: str) -> str | None:
    """The file of a module of the project."""
    stem = name.replace(".", "/")
    paths = (f"{top}{stem}{end}" for top in ("src/", "") for end in (".py", "/__init__.py"))
    return next((path for path in paths if path in tree), None)


def _runs(node: ast.stmt) -> bool:
    """Whether a statement of a module does something when it is imported."""
    defines = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)
    return not defines and not is_main_guard(node)


def _used(tree: Tree, part: Part) -> Iterator[Part]:
    """What a function or class names that the project defines."""
    tops = _definitions(part.source.module)
    for node in ast.walk(part.node):
        if isinstance(node, ast.Name) and node.id in tops:
            yield Part(part.source, tops[node.id])
        elif isinstance(node, ast.Name | ast.Attribute) and (name := part.source.name(node)):
            found = _definition(tree, name)
            if found is not None:
                yield found


def _definition(tree: Tree, name: str, *, hops: int = 3) -> Part | None:
    """Where a function or class of the project is defined, through so many modules that hand it on."""
    module, _, attribute = name.rpartition(".")
    path = module_path(tree, module) if module else None
    found = None if path is None else source(tree, path)
    if found is None:
        return None
    node = _definitions(found.module).get(attribute)
    if node is not None:
        return Part(found, node)
    further = found.names.get(attribute)
    return _definition(tree, further, hops=hops - 1) if further and further != name and hops else None


def _definitions(module: ast.Module) -> dict[str, ast.AST]:
    found: dict[str, ast.AST] = {}
    todo: list[ast.stmt] = list(module.body)
    for node in todo:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.If | ast.Try) and not is_main_guard(node):
            todo.extend(node.body)
    return found
