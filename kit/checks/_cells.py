"""The code of a notebook as one module, each line with its place in the notebook's file."""

from __future__ import annotations

import ast
import json
import warnings
from dataclasses import dataclass

from kit.checks._notebooks import code_cells
from kit.checks.tree import Tree

__all__ = ["Cells", "Place", "read_cells"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line of code is: the number of its cell among all cells, and of its line in the file."""

    cell: int
    line: int | None


@dataclass(frozen=True, slots=True)
class Cells:
    """What the code cells say, those left blank that are no Python: magics of another language, half a thought.

    Attributes:
        places: Of each line of `text`.
    """

    text: str
    module: ast.Module
    places: tuple[Place, ...]


def read_cells(tree: Tree, path: str) -> Cells | None:
    """A notebook's code; None if it is no notebook. Read once, however many rules ask."""
    return tree.remember((__name__, path), lambda: _read(tree, path))


def _read(tree: Tree, path: str) -> Cells | None:
    content, file = tree.notebook(path), tree.text(path)
    if content is None or file is None:
        return None
    lines: list[str] = []
    places: list[Place] = []
    finder = _Finder(file)
    code = dict(code_cells(content))
    for number, cell in enumerate(content["cells"], 1):
        source = _source(cell)
        found = finder.lines(source)
        if number in code:
            lines += _python("".join(source).splitlines())
            places += [Place(number, line) for line in found[: len(lines) - len(places)]]
            places += [Place(number, None)] * (len(lines) - len(places))
    text = "\n".join(lines)
    module = _parsed(text)
    return None if module is None else Cells(text, module, tuple(places))


class _Finder:
    """Goes through a notebook's file from top to bottom, looking for the lines of one cell after the other."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._at, self._line = 0, 1

    def lines(self, source: list[str]) -> list[int | None]:
        """Where the file has each line of the next cell; None for all if it has them in a layout of its own."""
        self._go('"source":')
        return [self._go(*{json.dumps(line, ensure_ascii=False), json.dumps(line)}) for line in source]

    def _go(self, *texts: str) -> int | None:
        found = min((at for text in texts if (at := self._file.find(text, self._at)) >= 0), default=None)
        if found is None:
            return None
        self._line += self._file.count("\n", self._at, found)
        self._at = found + 1  # no text has a line end in it
        return self._line


def _source(cell: object) -> list[str]:
    source = cell.get("source") if isinstance(cell, dict) else None
    if isinstance(source, str):
        return source.splitlines(keepends=True)
    return [line for line in source if isinstance(line, str)] if isinstance(source, list) else []


def _python(lines: list[str]) -> list[str]:
    """The lines of a cell, its magics left blank; all of them if the rest is no Python."""
    code = ["" if line.lstrip().startswith(("%", "!")) else line for line in lines]
    other = lines[:1] and lines[0].startswith("%%") and not lines[0].startswith(("%%time", "%%capture"))
    return [""] * len(lines) if other or _parsed("\n".join(code)) is None else code


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # of a `\\d` in somebody's text
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
