"""Commands of the README that no longer run."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._markdown import shell_blocks
from kit.checks._shell import commands
from kit.checks._typed import fault
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_README = "README.md"
_FETCHES = frozenset({"wget", "curl", "unzip", "tar"})
"""What brings files that are not the project's."""


def _check(tree: Tree) -> Iterator[Finding]:
    found: dict[str, list[tuple[int, str]]] = {}
    for block in shell_blocks(tree.text(_README) or ""):
        for number, shown, why in _faults(tree, block):
            found.setdefault(why, []).append((number, shown))
    for why, lines in found.items():
        number, shown = lines[0]
        more = len(lines) - 1
        others = f" ({more} more line{'s' * (more > 1)})" if more else ""
        yield Finding(
            _README, f"`{shown}` no longer runs: {why}{others}", number, hint="Mend the line, or take it out."
        )


def _faults(tree: Tree, block: list[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """Line, command and why it cannot be typed."""
    fetched = False
    for number, line in block:
        for words in commands(line):
            if words[0] == "cd" and len(words) > 1 and (tree.root / words[1]).is_dir():
                return  # from here on, everything is somewhere else
            fetched = fetched or words[0] in _FETCHES
            why = fault(tree, words)
            if why is not None and not (fetched and why.startswith("there is no ")):
                yield number, " ".join(words[:4]), why


RULE = Rule(
    "KIT503",
    "readme-command-broken",
    "A command of the README names something that is not there",
    Severity.WARNING,
    _check,
    scope="project",
)
