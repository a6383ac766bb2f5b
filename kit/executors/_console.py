"""A run's console log: appended, and bounded whatever the run prints."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["ConsoleLog"]


class ConsoleLog:
    """Keeps the first and the last part of what is written, each at most `limit` bytes.

    Up to the limit everything goes to `path`. Past it, writing goes on in `path.1` and is turned over to `path.2`
    when that is half full, so that at most 2 x `limit` bytes lie on disk and both ends can be read.
    """

    def __init__(self, path: Path, *, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._size = path.stat().st_size if path.exists() else 0
        self._rest = 0
        self._out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, data: bytes) -> None:
        """Append, turning over where the limit says.

        Raises:
            OSError: If the disk does not take it; what was written before stays.
        """
        room = self._limit - self._size
        if room > 0:
            self._append(data[:room])
            self._size += len(data[:room])
            data = data[room:]
        while data:
            data = self._write_rest(data)

    def _write_rest(self, data: bytes) -> bytes:
        half = max(self._limit // 2, 1)
        if self._rest == 0 or self._rest >= half:
            self._turn_over()
        piece = data[: half - self._rest]
        self._append(piece)
        self._rest += len(piece)
        return data[len(piece) :]

    def _turn_over(self) -> None:
        current, previous = self._path.with_suffix(".log.1"), self._path.with_suffix(".log.2")
        if current.exists():
            current.replace(previous)
        else:
            self._append(b"\n[kit: the log is full; what follows is kept at its end only]\n")
        os.close(self._out)
        self._out = os.open(current, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._rest = 0

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._out, view) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)
