"""What a contract's code says, as one hash: its module's, and those of the project's own that it imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["folders", "source_hash"]


def folders(root: Path) -> tuple[Path, ...]:
    """Where a project's own modules lie."""
    return (root / "src", root)


def source_hash(module: str, root: Path) -> str | None:
    """The hash of a module and of all that it imports of the project, whoever imports it there.

    The code is read, not run. What it reads itself, a list of codes from a file say, is not in it.

    Returns:
        None if the module is none of the project's, or one of them cannot be read.
    """
    texts: dict[str, str] = {}
    left = [module]
    while left:
        name = left.pop()
        for each in _with_parents(name):
            if each in texts or (file := _file(each, root)) is None:
                continue
            try:
                texts[each] = file.read_text("utf-8")
                tree = ast.parse(texts[each])
            except (OSError, ValueError, SyntaxError):
                return None
            left.extend(_imported(tree, each, is_package=file.name == "__init__.py"))
    if module not in texts:
        return None
    listing = "".join(f"{name}\0{texts[name]}\0" for name in sorted(texts))
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def _with_parents(name: str) -> Iterator[str]:
    """A module and the packages that it lies in: they are run when it is imported."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _file(module: str, root: Path) -> Path | None:
    path = Path(*module.split("."))
    found = (top / each for top in folders(root) for each in (path.with_suffix(".py"), path / "__init__.py"))
    return next((file for file in found if file.is_file()), None)


def _imported(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".") if is_package else module.split(".")[:-1]
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
