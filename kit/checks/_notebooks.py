"""Notebooks: their code cells, and what they are without outputs."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from kit.checks.tree import Tree

__all__ = ["code_cells", "counts", "notebooks", "shows", "stripped"]

_ABOUT_A_RUN = ("ExecuteTime", "execution", "collapsed", "scrolled")
"""What editors write into a cell's metadata when it is run, or looked at."""


def notebooks(tree: Tree) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those that are wanted. The documentation's are published, with what they show."""
    for path in tree.matching("**/*.ipynb"):
        if not path.startswith(("docs/", "doc/")) and (content := tree.notebook(path)) is not None:
            yield path, content


def code_cells(content: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """With their number among all cells, from 1."""
    for number, cell in enumerate(content["cells"], 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            yield number, cell


def shows(cell: dict[str, Any]) -> bool:
    """Whether a cell has outputs that nobody asked to keep; nbstripout knows the same words."""
    metadata = cell.get("metadata")
    kept = isinstance(metadata, dict) and (metadata.get("keep_output") or "keep_output" in (metadata.get("tags") or ()))
    return bool(cell.get("outputs")) and not kept


def counts(content: dict[str, Any]) -> list[tuple[int, int]]:
    """The cells that were run, with the number that Jupyter gave each."""
    found = ((number, cell.get("execution_count")) for number, cell in code_cells(content))
    return [(number, count) for number, count in found if isinstance(count, int)]


def stripped(text: str, content: dict[str, Any]) -> str:
    """The notebook as nbstripout leaves it, in the layout that it has."""
    made = copy.deepcopy(content)
    for _, cell in code_cells(made):
        if shows(cell) or not cell.get("outputs"):
            cell["outputs"] = []
        cell["execution_count"] = None
        for key in _ABOUT_A_RUN:
            if isinstance(cell.get("metadata"), dict):
                cell["metadata"].pop(key, None)
    indent = re.match(r"\{\n( +)", text)
    return json.dumps(made, ensure_ascii=False, indent=len(indent[1]) if indent else 1) + "\n"
