"""A crash as it is kept: plain data, and the JSON that it becomes. Nothing here can run code when it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from kit._files import write_atomic
from kit.errors import UserError

__all__ = ["DUMP", "READABLE", "Capsule", "Frame", "Raised", "Source", "Value", "read", "write"]

READABLE, DUMP = "crash.txt", "crash.json"
"""The names of the two files of a capsule."""

_FORMAT = 1
_LARGEST = 64 << 20
"""Bytes. What kit writes is far smaller; what others may have made of it is refused before it fills the memory."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a name stood for, as far as it is kept. There are many in a capsule: only what it has is written.

    Attributes:
        type: Its class: `int` for a builtin, `pandas.core.frame.DataFrame` for another.
        text: Its notation, if it is shown as one text: `3.5`, `'abc'`, `***`, `shape (500, 3), float64`.
        length: How many elements or characters it had, if it had any and not all are kept.
        items: The elements of a sequence or set that are kept.
        pairs: The keys and values of a mapping that are kept.
        fields: The attributes of an object that are kept.
    """

    type: str
    text: str | None = None
    length: int | None = None
    items: tuple[Value, ...] | None = None
    pairs: tuple[tuple[Value, Value], ...] | None = None
    fields: dict[str, Value] = {}


@dataclass(frozen=True, slots=True)
class Frame:
    """One call on the way to where it failed.

    Attributes:
        file: Where its code lay.
        line: The line that was under way, from 1.
        first_line: The line where the function begins.
        own: Whether it is the project's code, and not a library's.
        arguments: Those of `values` that are parameters.
        values: The local variables.
        names: The module's variables that its code uses.
    """

    file: str
    line: int
    first_line: int
    function: str
    module: str
    own: bool
    arguments: tuple[str, ...] = ()
    values: dict[str, Value] = field(default_factory=dict)
    names: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception with its frames, the outermost first.

    Attributes:
        because: What the exception before it in the capsule was to this one.
        left_out: How many frames lay between the `gap`-th of these and the one before.
    """

    type: str
    message: str
    frames: tuple[Frame, ...]
    because: Literal["cause", "context", "member"] | None = None
    notes: tuple[str, ...] = ()
    gap: int | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Lines of a file, `lines[0]` being line `first`."""

    file: str
    first: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Capsule:
    """A crash: what was raised last of all comes last."""

    run_id: str
    name: str
    experiment: str
    task: str
    commit: str
    dirty: bool
    python: str
    host: str
    at: datetime
    raised: tuple[Raised, ...]
    sources: tuple[Source, ...]
    format: int = _FORMAT


def write(capsule: Capsule, readable: str, folder: Path) -> None:
    """Put both files of a capsule into `folder`.

    Raises:
        OSError: If they cannot be written.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    write_atomic(folder / DUMP, msgspec.json.encode(capsule), mode=0o600)
    write_atomic(folder / READABLE, readable, mode=0o600)


def read(path: Path) -> Capsule:
    """The capsule in a file or folder, whoever wrote it.

    Raises:
        UserError: If there is none, or it is not one that this kit can read.
    """
    found = next((file for file in (path / "crash" / DUMP, path / DUMP, path) if file.is_file()), None)
    if found is None:
        raise UserError(
            "no crash capsule there", where=str(path), fix=f"Name a `{DUMP}`, or the folder that it lies in."
        )
    if found.suffix != ".json" and (found.parent / DUMP).is_file():
        found = found.parent / DUMP  # the readable half was named
    if found.stat().st_size > _LARGEST:
        raise UserError("too large for a crash capsule", where=str(found), fix=f"Name a `{DUMP}` that kit wrote.")
    try:
        plain = msgspec.json.decode(found.read_bytes())
        capsule = msgspec.convert(_printable(plain), Capsule)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        said = str(error).partition(" - ")[0]
        raise UserError(
            f"not a crash capsule: {said}", where=str(found), fix=f"Name a `{DUMP}` that kit wrote."
        ) from error
    if capsule.format != _FORMAT:
        raise UserError(
            f"a crash capsule of format {capsule.format}; this kit reads format {_FORMAT}",
            where=str(found),
            fix=f"Open it with the kit that wrote it, or read its `{READABLE}`.",
        )
    return capsule


def _printable(plain: Any) -> Any:  # noqa: ANN401 - JSON
    """Without what a terminal would take for a command: a capsule may come from anyone."""
    match plain:
        case str():
            return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", plain)
        case list():
            return [_printable(item) for item in plain]
        case Mapping():
            return {_printable(key): _printable(value) for key, value in plain.items()}
    return plain
