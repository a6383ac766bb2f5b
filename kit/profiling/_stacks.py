"""What py-spy saw, as a tree of calls: without the way to the task, and without command lines, which hold secrets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from kit.redact import mask

__all__ = ["Call", "Owner", "Places", "read_stacks"]

_FRAME = re.compile(r"(?P<name>.*) \((?P<file>.*?)(?::(?P<line>\d+))?\)")
_PROCESS = re.compile(r'process \d+:"')
_PACKAGES = re.compile(r"/(?:site|dist)-packages/")
_LIBRARY = re.compile(r"/lib(?:64)?/python\d[\d.]*/|^<")
_STARTING = re.compile(r"<frozen runpy>|/runpy\.py$|/threading\.py$")
_BACKGROUND = "/threading.py"
_IMPORTING = "<frozen importlib"
"""A dozen frames between a module and one that it imports, which say nothing."""


_OTHERS = "processes that it started"
_BESIDE = "kit and MLflow, beside the task"
_SHOWN_BESIDE = 8
"""Calls: enough to see what it is."""


class Owner(StrEnum):
    """Whose code a function is."""

    PROJECT = "project"
    LIBRARY = "library"
    PYTHON = "python"
    KIT = "kit"
    GROUP = "group"
    """No function, but a heading over some."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where code lies: the project's, and kit's."""

    project: Path
    kit: Path

    def owner(self, file: str) -> Owner:
        if file.startswith(f"{self.kit}/") or "/.kit/harness/" in file:
            return Owner.KIT
        if _PACKAGES.search(file):
            return Owner.LIBRARY
        if _LIBRARY.search(file):
            return Owner.PYTHON
        return Owner.PROJECT if file.startswith(f"{self.project}/") else Owner.LIBRARY

    def short(self, file: str) -> str:
        """As one would name it: from the project's or the package's folder on."""
        if file.startswith(f"{self.project}/"):
            return file.removeprefix(f"{self.project}/")
        if file.startswith(f"{self.kit}/"):
            return f"kit/{file.removeprefix(f'{self.kit}/')}"
        for pattern in (_PACKAGES, _LIBRARY):
            if (found := pattern.search(file)) is not None and found[0].startswith("/"):
                return file[found.end() :]
        return "/".join(Path(file).parts[-3:])


_Line = tuple[str, str, int]
"""A function's name, its file in full, and the line that it is at."""
_Frame = tuple[str, str, Owner, int]
"""The same, with the file as it is shown and whose it is."""


@dataclass(slots=True)
class Call:
    """A function as it was called from another one, and what it called.

    Attributes:
        samples: How often it was seen at work, what it called included.
        lines: Which of its lines was being done, how often.
    """

    name: str
    place: str
    owner: Owner
    samples: int = 0
    lines: Counter[int] = field(default_factory=Counter)
    calls: dict[tuple[str, str], Call] = field(default_factory=dict)

    def add(self, frames: Sequence[_Frame], count: int) -> None:
        """Count this way through calls."""
        call = self
        call.samples += count
        for name, place, owner, line in frames:
            call = call.calls.setdefault((name, place), Call(name, place, owner))
            call.samples += count
            if line:
                call.lines[line] += count


def read_stacks(text: str, pid: int, places: Places) -> Call:
    """The tree of what `py-spy record --subprocesses --format raw` wrote.

    Args:
        text: One stack a line, each function after the one that called it, and how often it was seen.
        pid: The process that was looked at; what it started is put together under a heading of its own.
        places: Where code lies.
    """
    root = Call("all", "", Owner.GROUP)
    places_seen: dict[str, tuple[str, Owner]] = {}
    for is_other, frames, count in _records(text, pid):
        for _, file, _ in frames:
            if file not in places_seen:
                places_seen[file] = (mask(places.short(file)), places.owner(file))
        way = [(name, *places_seen[file], line) for name, file, line in frames]
        heading, start = _heading(way, frames, is_other=is_other)
        above = [] if heading is None else [(heading, "", Owner.GROUP, 0)]
        root.add([*above, *way[start:][: _SHOWN_BESIDE if heading == _BESIDE else None]], count)
    return root


def _heading(way: Sequence[_Frame], frames: Sequence[_Line], *, is_other: bool) -> tuple[str | None, int]:
    """What a stack is put under, and where it begins to be of interest: not with how kit came to the task."""
    start = 0
    while start < len(way) and (way[start][2] is Owner.KIT or _STARTING.search(frames[start][1])):
        start += 1
    if is_other:
        return _OTHERS, start
    in_background = bool(frames) and frames[0][1].endswith(_BACKGROUND)
    by_kit = any(owner is Owner.KIT for _, _, owner, _ in way[:start])
    by_mlflow = start < len(way) and way[start][1].startswith("mlflow/")
    beside = start == len(way) if by_kit and not in_background else in_background and (by_kit or by_mlflow)
    return (_BESIDE if beside else None), start


def _records(text: str, pid: int) -> Iterator[tuple[bool, list[_Line], int]]:
    """Whether it was in another process than this, the frames, and how often they were seen.

    A stack begins with the command lines of processes, in which anything may stand, line ends too.
    """
    for record in re.split(rf"(?m)^process {pid}:(?=\")", text)[1:]:
        whole, _, count = record.rstrip().rpartition(" ")
        if not count.isdigit():
            continue
        pieces = _PROCESS.split(whole)
        found = [_FRAME.fullmatch(frame) for frame in pieces[-1].rpartition('"')[2].split(";")]
        frames = [(f["name"], f["file"], int(f["line"] or 0)) for f in found if f is not None]
        yield len(pieces) > 1, [frame for frame in frames if not frame[1].startswith(_IMPORTING)], int(count)
