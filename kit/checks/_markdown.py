"""Markdown pages: the lines of shell in them, and their links."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["links", "shell_blocks"]

_FENCE = re.compile(r"^(?P<indent> *)(?P<mark>```+|~~~+) *(?P<language>[\w-]*)")
_SHELLS = frozenset({"sh", "bash", "shell", "zsh"})
_SESSIONS = frozenset({"console", "shell-session", "shellsession"})
_LINK = re.compile(
    r"\]\(\s*<?(?P<target>[^)\s>]+)>?(?:\s+[\"'(][^)]*)?\)|^\s*\[[^\]]+\]:\s+<?(?P<named>\S+?)>?(?:\s|$)"
)


def shell_blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """The lines to be typed of each block of shell, with their numbers; continued lines are joined."""
    for language, block in _blocks(text):
        if language in _SHELLS:
            yield list(_joined(block))
        elif language in _SESSIONS:
            typed = ((number, line.lstrip()[2:]) for number, line in block if line.lstrip().startswith("$ "))
            yield list(_joined(typed))


def links(text: str) -> Iterator[tuple[int, int, str]]:
    """Line, column and target of each link and picture that is not in a block of code."""
    inside = {number for _, block in _blocks(text) for number, _ in block}
    for number, line in enumerate(text.splitlines(), 1):
        if number not in inside:
            shown = re.sub(r"`[^`]*`", lambda code: " " * len(code[0]), line)
            for found in _LINK.finditer(shown):
                name = "target" if found["target"] else "named"
                yield number, found.start(name) + 1, found[name]


def _blocks(text: str) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """The language and the lines of each fenced block."""
    opened: re.Match[str] | None = None
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None:
            opened, block = fence, []
        elif fence is not None and fence["mark"].startswith(opened["mark"]) and not fence["language"]:
            yield opened["language"].lower(), block
            opened = None
        else:
            block.append((number, line))


def _joined(lines: Iterator[tuple[int, str]] | list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    first, held = 0, ""
    for number, line in lines:
        first = first if held else number
        held = f"{held} {line.strip()}".strip()
        if held.endswith("\\"):
            held = held[:-1].rstrip()
        else:
            yield first, held
            held = ""
