"""Digests of files, remembered as long as the file system says that the file has not changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from kit import _files

__all__ = ["Kind", "StatCache", "md5"]

Kind = Literal["md5", "md5-dos2unix", "sha256"]

_Entry = tuple[int, int, int, int, str]
"""Size, mtime and ctime in nanoseconds, inode, digest."""

_RACY = 2_000_000_000
"""Nanoseconds. A file may change again within its file system's tick and look the same; FAT's tick is the longest."""
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"
_PIECE = 2**20


class StatCache:
    """A JSON file of digests. One that is corrupt or cannot be written only costs time.

    Args:
        file: Where it lies; None remembers nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._old = _load(file)
        self._new: dict[str, dict[str, _Entry]] = {}

    def digest(self, path: Path | str, kind: Kind) -> str:
        """The file's digest, from the cache if the file has not changed since.

        Raises:
            OSError: If it cannot be read.
        """
        key = str(path)
        before = _identity(key)
        known = self._old.get(kind, {}).get(key)
        if known is not None and known[:4] == before:
            self._new.setdefault(kind, {})[key] = known
            return known[4]
        started = time.time_ns()
        digest = _HASHERS[kind](Path(path))
        settled = started - max(before[1], before[2]) > _RACY
        if settled and _identity(key) == before and key.isprintable():
            self._new.setdefault(kind, {})[key] = (*before, digest)
        return digest

    def save(self) -> None:
        """Keep what was asked for since this cache was made, and forget the rest."""
        if self._file is not None and self._new != self._old:
            with contextlib.suppress(OSError):
                _files.write_atomic(self._file, msgspec.json.encode(self._new))


def md5(path: Path) -> str:
    """The file's MD5, as DVC 3 has it.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _md5_dos2unix(path: Path) -> str:
    """As DVC 2 had it: pieces that look like text lose the carriage returns of their line ends."""
    total = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := _read(file):
            total.update(piece.replace(b"\r\n", b"\n") if _is_text(piece[:512]) else piece)
    return total.hexdigest()


def _read(file: BinaryIO) -> bytes:
    return file.read(_PIECE)


def _is_text(start: bytes) -> bool:
    return b"\x00" not in start and len(start.translate(None, _TEXT)) <= 0.3 * len(start)


_HASHERS: dict[Kind, Callable[[Path], str]] = {"md5": md5, "md5-dos2unix": _md5_dos2unix, "sha256": _files.sha256}


def _identity(path: str) -> tuple[int, int, int, int]:
    found = os.stat(path)  # noqa: PTH116  (a tenth of the time of Path.stat, for a hundred thousand files)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _load(file: Path | None) -> dict[str, dict[str, _Entry]]:
    if file is None:
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, dict[str, _Entry]])
    except (OSError, msgspec.MsgspecError):
        return {}
