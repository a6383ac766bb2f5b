"""Bytes: how many are freed by removing files, as the file system counts it, and how people write them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["amount", "freed"]

_BLOCK = 512
"""Bytes: what `st_blocks` counts, whatever the file system's own blocks are."""


@dataclass(slots=True)
class _File:
    """One file's content, which may have several names.

    Attributes:
        group: The one that it counts for.
        names: How many of its names were met.
        links: How many it has.
    """

    group: int
    bytes: int
    names: int
    links: int


def freed(groups: Sequence[Sequence[Path]]) -> list[int]:
    """Bytes that would be free for each group of files and folders, if all groups were removed.

    A file with several names (hard links) counts once, for the first group that has it; one that has a name elsewhere
    counts nothing, since its content stays. Symlinks are not followed. What vanishes meanwhile counts nothing.
    """
    files: dict[tuple[int, int], _File] = {}
    total = [0] * len(groups)
    for index, group in enumerate(groups):
        for found in (entry for path in group for entry in _walk(path)):
            key = (found.st_dev, found.st_ino)
            if found.st_nlink == 1 or stat.S_ISDIR(found.st_mode):
                total[index] += found.st_blocks * _BLOCK
            elif key in files:
                files[key].names += 1
            else:
                files[key] = _File(index, found.st_blocks * _BLOCK, 1, found.st_nlink)
    for file in files.values():
        total[file.group] += file.bytes if file.names >= file.links else 0
    return total


def _walk(path: Path | str) -> Iterator[os.stat_result]:
    """Everything below a path, itself included."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        yield os.lstat(path)
        folders = [path] if os.path.isdir(path) and not os.path.islink(path) else []  # noqa: PTH112, PTH114
        while folders:
            with contextlib.suppress(FileNotFoundError, PermissionError), os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)


def amount(number: float) -> str:
    """So many bytes as one would say it: `12 kB`, `1.5 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
