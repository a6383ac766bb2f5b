"""Digests of files, remembered as long as the file system says that the file has not changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from kit import _files

__all__ = ["Kind", "StatCache", "md5"]

Kind = Literal["md5", "md5-dos2unix", "sha256"]

_Identity = tuple[int, int, int, int]
"""Size, mtime and ctime in nanoseconds, inode. Who sets an mtime back cannot do so with the ctime."""
_Entry = tuple[int, int, int, int, str]
"""An identity, and the digest of what had it."""

_RACY = 2_000_000_000
"""Nanoseconds. A file may change again within its file system's tick and look the same; FAT's tick is the longest."""
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"
_PIECE = 2**20


class _Folder(msgspec.Struct, array_like=True):
    """A mark of the identities of all its files, the digest that was made of theirs, and theirs.

    The entries are read only when the mark is another one: most folders are as they were.
    """

    mark: str
    digest: str
    entries: msgspec.Raw


class _Content(msgspec.Struct):
    """By kind and path."""

    files: dict[str, dict[str, _Entry]] = {}
    folders: dict[str, dict[str, _Folder]] = {}


class StatCache:
    """A JSON file of digests. One that is corrupt or cannot be written only costs time.

    What was written less than two seconds before it was read is not remembered: written once more, it could look the
    same.

    Args:
        file: Where it lies; None remembers nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._old = _load(file)
        self._new = _Content()

    def digest(self, path: Path | str, kind: Kind, found: os.stat_result | None = None) -> str:
        """The file's digest, from the cache if the file has not changed since.

        Args:
            found: How the file is, if that was just looked at.

        Raises:
            OSError: If it cannot be read.
        """
        key = str(path)
        identity = _identity(os.stat(key) if found is None else found)  # noqa: PTH116 - a tenth of the time of Path.stat
        known = self._old.files.get(kind, {}).get(key)
        entry = known if known is not None and known[:4] == identity else _entry(key, kind, identity)
        if entry[:4] == identity and key.isprintable():
            self._new.files.setdefault(kind, {})[key] = entry
        return entry[4]

    def folder_digest(
        self,
        folder: Path | str,
        kind: Kind,
        files: Iterable[tuple[str, os.stat_result]],
        combine: Callable[[Iterable[tuple[str, str]]], str],
    ) -> str:
        """What `combine` makes of the names and digests of a folder's files, from the cache if none of them changed.

        Args:
            files: Their names in the folder, and how they are.

        Raises:
            OSError: If one of them cannot be read.
        """
        found = {name: _identity(state) for name, state in files}
        mark = _mark(found)
        key = str(folder)
        known = self._old.folders.get(kind, {}).get(key)
        if known is None or not mark or known.mark != mark:
            known = _look_into(key, kind, found, mark, known, combine)
        if key.isprintable():
            self._new.folders.setdefault(kind, {})[key] = known
        return known.digest

    def folder_listing(
        self, folder: Path | str, kind: Kind, files: Iterable[tuple[str, os.stat_result]]
    ) -> dict[str, str]:
        """The digest of each of a folder's files, from the cache for those that did not change.

        Args:
            files: Their names in the folder, and how they are.

        Raises:
            OSError: If one of them cannot be read.
        """
        listing: dict[str, str] = {}

        def take(digests: Iterable[tuple[str, str]]) -> str:
            listing.update(digests)
            return ""

        found = {name: _identity(state) for name, state in files}
        _look_into(str(folder), kind, found, "", self._old.folders.get(kind, {}).get(str(folder)), take)
        return listing

    def save(self) -> None:
        """Keep what was asked for since this cache was made, and forget the rest."""
        if self._file is not None and self._new != self._old:
            with contextlib.suppress(OSError):
                _files.write_atomic(self._file, msgspec.json.encode(self._new))


def _look_into(
    folder: str,
    kind: Kind,
    found: dict[str, _Identity],
    mark: str,
    known: _Folder | None,
    combine: Callable[[Iterable[tuple[str, str]]], str],
) -> _Folder:
    """Read what changed in a folder; a file that may look the same when it is written again takes the mark away."""
    before: dict[str, _Entry] = {}
    if known is not None:
        with contextlib.suppress(msgspec.MsgspecError):
            before = msgspec.json.decode(known.entries, type=dict[str, _Entry])
    digests, entries = {}, {}
    for name, identity in found.items():
        entry = before.get(name)
        if entry is None or entry[:4] != identity:
            entry = _entry(f"{folder}/{name}", kind, identity)
        digests[name] = entry[4]
        if entry[:4] == identity and name.isprintable():
            entries[name] = entry
    if len(entries) < len(found):
        mark = ""
    return _Folder(mark, combine(digests.items()), msgspec.Raw(msgspec.json.encode(entries)))


def _entry(path: str, kind: Kind, identity: _Identity) -> _Entry:
    """Read a file; the entry has its identity only if that stands for the content from now on."""
    started = time.time_ns()
    digest = _HASHERS[kind](Path(path))
    settled = started - max(identity[1], identity[2]) > _RACY and _identity(os.stat(path)) == identity  # noqa: PTH116
    return (*identity, digest) if settled else (-1, 0, 0, 0, digest)


def _mark(found: dict[str, _Identity]) -> str:
    """One text for the identities of all files; empty if there can be none."""
    try:
        listing = msgspec.msgpack.encode(sorted(found.items()))
    except UnicodeEncodeError:  # a name that is not UTF-8
        return ""
    return hashlib.blake2b(listing, digest_size=16).hexdigest()


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


def _identity(found: os.stat_result) -> _Identity:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _load(file: Path | None) -> _Content:
    if file is None:
        return _Content()
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Content)
    except (OSError, msgspec.MsgspecError):
        return _Content()
