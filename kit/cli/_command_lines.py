"""Whether kit would take a command line, as one in a README: its commands and options are there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kit._near import did_you_mean, nearest
from kit.cli import app

if TYPE_CHECKING:
    from typer._click import Command

__all__ = ["fault"]

_NOT_READ = {">", ">>", "<", "2>&1", "--"}
"""What comes after these is not kit's, or is no option."""


def fault(words: list[str]) -> str | None:
    """Why kit would not take these words, those after `kit`; None if it would, their values aside."""
    if not words or words[0].startswith("-"):
        return None
    command = app.find(words[0])
    if command is None:
        return _none("command", words[0], [name for family in app.FAMILIES.values() for name in family])
    rest = words[1:]
    while below := getattr(command, "commands", {}):
        if not rest or rest[0].startswith("-"):
            return None
        if rest[0] not in below:
            return _none("command", f"{words[0]} {rest[0]}", [f"{words[0]} {name}" for name in below])
        command, rest = below[rest[0]], rest[1:]
    return _unknown_option(command, rest)


def _unknown_option(command: Command, words: list[str]) -> str | None:
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"-h", "--help"}
    for word in words:
        if word in _NOT_READ:
            return None
        name = word.partition("=")[0]
        if re.fullmatch(r"--[a-z][\w-]*|-[A-Za-z]", name) and name not in known:
            return _none("option", name, [option for option in known if option.startswith("--")])
    return None


def _none(kind: str, name: str, known: list[str]) -> str:
    hint = did_you_mean(nearest(name, known))
    return f"kit has no {kind} {name!r}" + ("" if hint is None else f" ({hint})")
