"""Lines of shell, as far as they can be read without one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

__all__ = ["commands"]

_SEPARATORS = re.compile(r"\s*(?:&&|\|\|?|;|&(?!>))\s+|\s*;$")
_BEFORE = re.compile(r"(?:[A-Za-z_]\w*=\S*\s+)+|(?:sudo|exec|time|nice|env|then|do|else|!)\s+")
_VALUED = "env-file|directory|extra|index|(?:no-|only-)?group|package|project|python|with(?:-editable|-requirements)?"
_OPTION = rf"(?:--(?:{_VALUED})[= ]\S+|-[pC]\s\S+|--?[\w-]+(?:=\S+)?)"
_RUNNERS = re.compile(rf"(?:uv|poetry|pdm|pipenv|hatch|pixi)\s+run\s+(?>{_OPTION}\s+)*+(?=[\w./])")


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line, without variables and what only starts it (`sudo`, `uv run`)."""
    for part in _SEPARATORS.split(_without_comment(line)):
        rest = part.strip().lstrip("(").strip()
        while (found := _BEFORE.match(rest) or _RUNNERS.match(rest)) is not None and found.end():
            rest = rest[found.end() :]
        try:
            words = shlex.split(rest)
        except ValueError:
            continue  # a text of several lines
        if words:
            yield words


def _without_comment(line: str) -> str:
    return re.sub(r"(?:^|\s)#\s.*$", "", line)
