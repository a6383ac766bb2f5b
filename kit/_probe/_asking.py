"""Who asks: the place in the task, told from kit's own code and the tracker's, and the file in which it is noted."""

from __future__ import annotations

import contextlib
import itertools
import json
import linecache
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from kit.redact import mask

__all__ = ["Asked", "Watch", "read"]

_HERE = str(Path(__file__).parent) + os.sep
_KIT = str(Path(__file__).parent.parent) + os.sep
_STDLIB = tuple({os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")})
_PACKAGES = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
_TRACKING = frozenset({"mlflow", "sqlalchemy", "alembic", "urllib3", "requests", "filelock", "git", "opentelemetry"})
"""Their names must stay unique and their waiting must end; none of it gets into a result."""

_CODE = 200
"""Characters of a line that are kept."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A place that asked for something.

    Attributes:
        kind: What for; one of `HELD`.
        call: What it called, as one would write it.
        file: Relative to the project, if it lies there; else as Python knows it.
        line: Counted from 1.
        code: What stands there, secrets masked.
        through: The library that the place called, and that asked; None if the place did itself.
    """

    kind: str
    call: str
    file: str
    line: int
    code: str = ""
    through: str | None = None


class Watch:
    """Tells who asks, and notes each place once.

    Args:
        out: Where to.
        source: The folder of the task's code.
        child: Whether this is a process that the task started. There nobody seeds the libraries that it imports.
    """

    def __init__(self, out: Path, source: Path, *, child: bool = False) -> None:
        self._child = child
        self._source = os.path.realpath(source) + os.sep
        self._out = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._sorts: dict[str, str] = {}
        self._noted: set[tuple[str, str, str, int]] = set()
        self._counters: dict[str, Iterator[int]] = {}

    def asked(self, kind: str, call: str, *, direct: bool = False) -> str | None:
        """Note who asks; None if it is nobody whose results could depend on the answer.

        Args:
            kind: What for.
            call: What was called.
            direct: Whether what Python's own library asks for is none of the task's business. Else it counts as asked
                by who called that library.

        Returns:
            A name for this very question: the place, and which time it asks. Another run has the same, in whatever
            order threads come to ask.
        """
        frames = list(self._frames(direct=direct))
        inner = frames[0][1] if frames else None
        depth = next((depth for depth, (sort, _) in enumerate(frames) if sort == "task"), None)
        own = None if depth is None else frames[depth][1]
        if inner is None or (own is None and any(sort == "other" for sort, _ in frames)):
            return None
        asks = own or inner  # a thread of a library has nothing of the task below it
        file, line = asks.f_code.co_filename, asks.f_lineno
        imported = any(frame.f_code.co_name == "<module>" for _, frame in frames[:depth])  # a library
        if own is not None and (self._child or not imported):
            self._note(kind, call, file, line, through=None if own is inner else _package(inner))
        place = f"{self._relative(file)}:{line}"
        return f"{place}/{next(self._counters.setdefault(place, itertools.count()))}"

    def is_the_tasks(self, file: str | None) -> bool:
        """Whether this is code of the project."""
        return file is not None and self._sort_of(file) == "task"

    def by_the_task(self) -> bool:
        """Whether code of the task or of a library, rather than Python's own library, called what calls this."""
        return next(self._frames(direct=True), None) is not None

    def _frames(self, *, direct: bool) -> Iterator[tuple[str, FrameType]]:
        """From within, the frames but for Python's own; none if it is kit or the tracker that asks."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to see who called
        begun = False
        while frame is not None:
            sort = self._sort_of(frame.f_code.co_filename)
            if not begun and (sort == "other" or (direct and sort == "python")):
                return
            if sort not in {"probe", "python"}:
                begun = True
                yield sort, frame
            frame = frame.f_back

    def _sort_of(self, name: str) -> str:
        return self._sorts.get(name) or self._sorts.setdefault(name, self._sort(name))

    def _sort(self, name: str) -> str:
        if name.startswith(_HERE):
            return "probe"
        if name.startswith(_KIT):
            return "other"
        if name.startswith("<"):  # made at run time, or frozen into Python
            return "python"
        path = os.path.realpath(name)
        if any(part in path for part in _PACKAGES):
            return "other" if _package_of(path) in _TRACKING else "library"
        if path.startswith(self._source):
            return "task"
        return "python" if path.startswith(_STDLIB) else "library"

    def _relative(self, file: str) -> str:
        path = os.path.realpath(file)
        return path.removeprefix(self._source)

    def _note(self, kind: str, call: str, file: str, line: int, *, through: str | None) -> None:
        if (kind, call, file, line) in self._noted:
            return
        self._noted.add((kind, call, file, line))
        code = mask(linecache.getline(file, line).strip())[:_CODE]
        asked = Asked(kind, call, self._relative(file), line, code, through)
        with contextlib.suppress(OSError):  # a task may close what it did not open; a disk may be full
            os.write(self._out, json.dumps(asdict(asked)).encode() + b"\n")


def _package(frame: FrameType) -> str:
    return _package_of(os.path.realpath(frame.f_code.co_filename))


def _package_of(path: str) -> str:
    for part in _PACKAGES:
        _, found, rest = path.rpartition(part)
        if found:
            return Path(rest).parts[0].removesuffix(".py")
    return Path(path).stem


def read(path: Path) -> tuple[Asked, ...]:
    """What was noted, each place once; the task's own questions before those that a library asked for it."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    found: dict[Asked, None] = {}
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):  # a line that a full disk tore
            found[Asked(**json.loads(line))] = None
    return tuple(sorted(found, key=lambda asked: asked.through is not None))
