"""The run's own record of what it logged, and its way to the tracker.

Everything a task logs is one line appended to a file, first and at once. A background thread sends what the file
holds and notes how far it came, so what a killed run had logged is sent later, by the same code.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from kit._files import write_atomic
from kit.models import MetricPoint
from kit.paths import RunPaths
from kit.trackers.base import Artifact, Entry, Metrics, Params, Tags, Tracker

__all__ = [
    "Progress",
    "Sender",
    "Spool",
    "SpoolTail",
    "deliver",
    "each_point",
    "last_metrics",
    "mend",
    "params_of",
    "points_of",
]

_BATCH_BYTES = 1 << 19
_FORK_WAITS = 1.0
"""Seconds."""


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
        line = json.dumps(_to_plain(entry), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        if self._torn:
            line = b"\n" + line
        # One write to a file opened for appending is not torn by another's, but by a disk that is full.
        written = os.write(self._out, line)
        self._torn = written < len(line)
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


def _to_plain(entry: Entry | Progress) -> dict[str, Any]:
    match entry:
        case Metrics(points):
            return {"metrics": [[point.key, point.value, point.step, point.timestamp] for point in points]}
        case Params(values):
            return {"params": dict(values)}
        case Tags(values):
            return {"tags": dict(values)}
        case Artifact(path, name):
            return {"artifact": [str(path), name]}
        case Progress():
            return {"progress": [entry.description, entry.done, entry.total]}


def _from_plain(plain: dict[str, Any]) -> Entry | Progress:
    match plain:
        case {"metrics": points}:
            return Metrics(tuple(MetricPoint(*point) for point in points))
        case {"params": values}:
            return Params(values)
        case {"tags": values}:
            return Tags(values)
        case {"artifact": [path, name]}:
            return Artifact(Path(path), name)
        case {"progress": [description, done, total]}:
            return Progress(description, done, total)
    raise ValueError(f"not an entry of a spool: {plain!r}")


def _read(path: Path, offset: int = 0) -> Iterator[tuple[list[Entry | Progress], int]]:
    """Entries in batches, each with the offset behind it. A torn last line is left for later."""
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
            yield list(_entries(lines)), offset


def _entries(lines: Iterable[bytes]) -> Iterator[Entry | Progress]:
    for line in lines:
        with contextlib.suppress(ValueError):  # a line that a full disk tore: whoever logged it was told
            yield _from_plain(json.loads(line))


def last_metrics(path: Path) -> dict[str, float]:
    """The last value of each metric in a spool, those logged last of all first; empty if there is none.

    A task's last word is what it returns, and that is what its user wants to see.
    """
    values: dict[str, float] = {}
    last: Metrics | None = None
    for entries, _ in _read(path):
        for entry in entries:
            if isinstance(entry, Metrics):
                last = entry
                values.update((point.key, point.value) for point in entry.points)
    return {} if last is None else {point.key: point.value for point in last.points} | values


def points_of(path: Path) -> list[MetricPoint]:
    """Every point that was logged, in order; empty if there is no spool."""
    return list(each_point(path))


def each_point(path: Path) -> Iterator[MetricPoint]:
    """The same, one by one."""
    entries = (entry for batch, _ in _read(path) for entry in batch)
    return (point for entry in entries if isinstance(entry, Metrics) for point in entry.points)


def params_of(path: Path) -> dict[str, str]:
    """The parameters that the task itself recorded; empty if there are none."""
    entries = (entry for batch, _ in _read(path) for entry in batch)
    return {key: value for entry in entries if isinstance(entry, Params) for key, value in entry.values.items()}


class SpoolTail:
    """The reading end for someone who watches: what came since it was asked last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.metrics: dict[str, float] = {}
        self.progress: Progress | None = None

    def read(self) -> None:
        """Take in what is new."""
        for entries, offset in _read(self._path, self._offset):
            self._offset = offset
            for entry in entries:
                if isinstance(entry, Metrics):
                    self.metrics.update((point.key, point.value) for point in entry.points)
                elif isinstance(entry, Progress):
                    self.progress = entry


def deliver(run: RunPaths, tracker: Tracker, *, turn: AbstractContextManager[object] | None = None) -> None:
    """Send what the tracker does not have yet.

    Args:
        run: Whose spool.
        tracker: Where to.
        turn: Held while a batch is under way.

    Raises:
        ServiceError: If the tracker does not take it; what was sent so far is noted.
    """
    sent = int(run.sent.read_text()) if run.sent.exists() else 0
    for entries, offset in _read(run.spool, sent):
        with turn or nullcontext():
            tracker.send([entry for entry in entries if not isinstance(entry, Progress)])
            write_atomic(run.sent, str(offset))


def mend(run: RunPaths) -> None:
    """Make a spool that a power cut may have shortened fit to be added to: what comes now was not sent.

    Raises:
        OSError: If the disk refuses.
    """
    with contextlib.suppress(FileNotFoundError):
        size = run.spool.stat().st_size
        if int(run.sent.read_text()) > size:
            write_atomic(run.sent, str(size))


class Sender:
    """A thread that delivers while the task works; a service that fails is asked again, ever less often."""

    _PAUSE = 0.5
    _LONGEST_PAUSE = 30.0

    def __init__(self, run: RunPaths, tracker: Tracker) -> None:
        self._run = run
        self._tracker = tracker
        self._stop = threading.Event()
        self._busy = threading.Lock()
        self._paused = False
        self._thread = threading.Thread(target=self._work, name="kit-sender", daemon=True)
        # A fork in the middle of a delivery would copy the tracker's locks in a locked state. A server that is slow
        # to answer must not hold up the task, though, so a fork waits for a moment only.
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._after_fork_in_child
        )
        self._thread.start()

    def _before_fork(self) -> None:
        self._paused = threading.current_thread() is not self._thread and self._busy.acquire(timeout=_FORK_WAITS)

    def _after_fork(self) -> None:
        if self._paused:
            self._busy.release()

    def _after_fork_in_child(self) -> None:
        self._stop.set()  # its thread is the parent's, and did not come along
        self._busy = threading.Lock()

    def _work(self) -> None:
        pause = self._PAUSE
        while not self._stop.wait(pause):
            try:
                deliver(self._run, self._tracker, turn=self._busy)
                pause = self._PAUSE
            except Exception:  # noqa: BLE001 - `finish` tries once more, and tells
                pause = min(pause * 2, self._LONGEST_PAUSE)

    def finish(self) -> None:
        """Stop the thread and deliver the rest.

        Raises:
            ServiceError: If the tracker does not take it.
        """
        self._stop.set()
        self._thread.join()
        deliver(self._run, self._tracker)
