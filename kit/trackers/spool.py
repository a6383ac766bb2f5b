"""The run's own record of what it logged, and its way to the tracker.

Everything a task logs is one line appended to a file, first and at once. A background thread sends what the file
holds and notes how far it came, so what a killed run had logged is sent later, by the same code.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeAlias

import msgspec

from kit._files import write_atomic
from kit.models import MetricPoint
from kit.paths import RunPaths
from kit.trackers.base import POINTS_PER_REQUEST, Artifact, Entry, Metrics, Params, Tags, Tracker

__all__ = [
    "Point",
    "Progress",
    "Spool",
    "SpoolTail",
    "deliver",
    "each_point",
    "last_metrics",
    "mend",
    "params_of",
    "points_of",
    "relocate",
]

Point: TypeAlias = tuple[str, float, int, float]
"""Key, value, step and timestamp, as in `MetricPoint`."""

_BATCH_BYTES = 1 << 19


class Spool:
    """The writing end. Safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = _is_torn(path)
        self._out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self, entry: Entry | Progress) -> None:
        """Add one entry; it is in the file, if not yet on the disk, when this returns.

        Raises:
            OSError: If the disk does not take it.
        """
        self._write(_encoded(entry))

    def log(self, points: Sequence[Point]) -> None:
        """Add points, as `append` does with `Metrics`: that is what tasks do in their innermost loops.

        Raises:
            OSError: If the disk does not take it.
        """
        self._write(_metrics_line(points))

    def _write(self, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        # One write to a file opened for appending is not torn by another's, but by a disk that is full.
        self._torn = os.write(self._out, line) < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def close(self) -> None:
        os.close(self._out)


def _is_torn(path: Path) -> bool:
    """Whether an earlier writer was stopped in the middle of a line."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    return False


class Progress:
    """How far a run is: shown, never sent."""

    __slots__ = ("description", "done", "total")

    def __init__(self, description: str, done: int, total: int | None) -> None:
        self.description = description
        self.done = done
        self.total = total


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One line of the file: one of these."""

    metrics: tuple[MetricPoint, ...] | None = None
    params: dict[str, str] | None = None
    tags: dict[str, str] | None = None
    artifact: tuple[str, str] | None = None
    progress: tuple[str, int, int | None] | None = None

    def entry(self) -> Entry | None:
        """What of it is to be sent."""
        if self.metrics is not None:
            return Metrics(self.metrics)
        if self.params is not None:
            return Params(self.params)
        if self.tags is not None:
            return Tags(self.tags)
        if self.artifact is not None:
            return Artifact(Path(self.artifact[0]), self.artifact[1])
        return None


_encode = msgspec.json.Encoder().encode
_lines = msgspec.json.Decoder(_Line)


def _encoded(entry: Entry | Progress) -> bytes:
    match entry:
        case Metrics(points):
            return _metrics_line([(point.key, point.value, point.step, point.timestamp) for point in points])
        case Params(values):
            plain: dict[str, object] = {"params": dict(values)}
        case Tags(values):
            plain = {"tags": dict(values)}
        case Artifact(path, name):
            plain = {"artifact": [str(path), name]}
        case Progress():
            plain = {"progress": [entry.description, entry.done, entry.total]}
    return _encode(plain) + b"\n"


def _metrics_line(points: Sequence[Point]) -> bytes:
    line = b'{"metrics":%b}\n' % _encode(points)
    if b"null" in line:  # what JSON has no words for: NaN and the infinities, spelled as Python's own module does
        line = json.dumps({"metrics": points}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return line


def _decoded(line: bytes) -> _Line:
    """Raises ValueError if it is no line of a spool."""
    try:
        return _lines.decode(line)
    except msgspec.DecodeError:
        plain = json.loads(line)
    if not (isinstance(plain, dict) and plain.keys() == {"metrics"}):
        raise ValueError("not an entry of a spool")
    try:
        return _Line(metrics=tuple(MetricPoint(*point) for point in plain["metrics"]))
    except TypeError as error:
        raise ValueError("not an entry of a spool") from error


def _read_bytes(path: Path, offset: int = 0) -> Iterator[tuple[list[bytes], int]]:
    """Whole lines in batches, each with the offset behind it. A torn last line is left for later."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        while lines := file.readlines(_BATCH_BYTES):
            if not lines[-1].endswith(b"\n"):
                lines.pop()
            if not lines:
                return
            offset += sum(map(len, lines))
            yield lines, offset


def _read(path: Path, offset: int = 0) -> Iterator[tuple[list[_Line], int]]:
    """The same, understood."""
    for lines, behind in _read_bytes(path, offset):
        try:
            yield _lines.decode_lines(b"".join(lines)), behind
        except msgspec.DecodeError:
            yield list(_each_decoded(lines)), behind


def _each_decoded(lines: Iterable[bytes]) -> Iterator[_Line]:
    for line in lines:
        with contextlib.suppress(ValueError):  # a line that a full disk tore: whoever logged it was told
            yield _decoded(line)


def last_metrics(path: Path) -> dict[str, float]:
    """The last value of each metric in a spool, those logged last of all first; empty if there is none.

    A task's last word is what it returns, and that is what its user wants to see.
    """
    values: dict[str, float] = {}
    last: tuple[MetricPoint, ...] = ()
    for lines, _ in _read(path):
        for line in lines:
            if line.metrics is not None:
                last = line.metrics
                for point in last:
                    values[point.key] = point.value
    return {point.key: point.value for point in last} | values


def points_of(path: Path) -> list[MetricPoint]:
    """Every point that was logged, in order; empty if there is no spool."""
    return list(each_point(path))


def each_point(path: Path) -> Iterator[MetricPoint]:
    """The same, one by one."""
    return (point for lines, _ in _read(path) for line in lines for point in line.metrics or ())


def params_of(path: Path) -> dict[str, str]:
    """The parameters that the task itself recorded; empty if there are none."""
    found: dict[str, str] = {}
    for lines, _ in _read_bytes(path):
        for line in _each_decoded(line for line in lines if line.startswith(b'{"params"')):
            found |= line.params or {}
    return found


class SpoolTail:
    """The reading end for someone who watches: what came since it was asked last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.metrics: dict[str, float] = {}
        self.progress: Progress | None = None

    def read(self) -> None:
        """Take in what is new."""
        for lines, offset in _read(self._path, self._offset):
            self._offset = offset
            for line in lines:
                for point in line.metrics or ():
                    self.metrics[point.key] = point.value
                if line.progress is not None:
                    self.progress = Progress(*line.progress)


def deliver(
    run: RunPaths,
    tracker: Tracker,
    *,
    turn: AbstractContextManager[object] | None = None,
    note: Callable[[], None] | None = None,
) -> None:
    """Send what the tracker does not have yet.

    Args:
        run: Whose spool.
        tracker: Where to.
        turn: Held while a batch is under way.
        note: Called after each batch.

    Raises:
        ServiceError: If the tracker does not take it; what was sent so far is noted.
    """
    sent = int(run.sent.read_text()) if run.sent.exists() else 0
    for lines, offset in _read(run.spool, sent):
        for batch in _batches(lines):
            with turn or nullcontext():
                tracker.send(batch)
            if note is not None:
                note()
        write_atomic(run.sent, str(offset))


def _batches(lines: Iterable[_Line]) -> Iterator[list[Entry]]:
    """What is sent at once: no more points than fit into one request, so that it is soon known how far it came."""
    batch: list[Entry] = []
    points = 0
    for line in lines:
        if (entry := line.entry()) is None:
            continue
        more = len(line.metrics or ())
        if batch and points + more > POINTS_PER_REQUEST:
            yield batch
            batch, points = [], 0
        batch.append(entry)
        points += more
    if batch:
        yield batch


def relocate(run: RunPaths, old: Path, new: Path) -> None:
    """Have a spool that came from elsewhere name files where they are now: what lay in `old` lies in `new`.

    Raises:
        OSError: If the disk refuses.
    """
    with contextlib.suppress(FileNotFoundError):
        written = run.spool.read_bytes()
        sent = int(run.sent.read_text()) if run.sent.exists() else 0
        before, rest = (
            part.replace(f"{old}/".encode(), f"{new}/".encode()) for part in (written[:sent], written[sent:])
        )
        write_atomic(run.spool, before + rest)
        write_atomic(run.sent, str(len(before)))


def mend(run: RunPaths) -> None:
    """Make a spool that a power cut may have shortened fit to be added to: what comes now was not sent.

    Raises:
        OSError: If the disk refuses.
    """
    with contextlib.suppress(FileNotFoundError):
        size = run.spool.stat().st_size
        if int(run.sent.read_text()) > size:
            write_atomic(run.sent, str(size))
