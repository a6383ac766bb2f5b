"""Notebooks that carry what they printed and drew."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._notebooks import code_cells, notebooks, shows, stripped
from kit.checks._places import first_line_with
from kit.checks.rule import Finding, Fix, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    for path, content in notebooks(tree):
        cells = [number for number, cell in code_cells(content) if shows(cell)]
        if cells:
            text = tree.text(path) or ""
            which = f"cell {cells[0]} has" if len(cells) == 1 else f"{len(cells)} cells have"
            yield Finding(
                path,
                f"{which} outputs: data and large pictures in git, and differences that nobody can read",
                first_line_with(text, '"output_type"'),
                hint="Clear them: `kit check --fix`, and before each commit the hook `nbstripout`.",
                fix=Fix(path, stripped(text, content)),
            )


RULE = Rule("KIT307", "notebook-with-outputs", "A notebook in git has outputs", Severity.WARNING, _check)
