"""Files of the working tree, and whether they are still those that were read."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from kit import _git

__all__ = ["WorkingTree"]

_YOUNG = 2.0
"""Seconds since a file was written in which its writer may not be done, and the file system's clock not have ticked."""

_State = tuple[int, int, int, int]
"""When a file, and what is known of it, last changed, in nanoseconds; its size and inode."""


class WorkingTree:
    """What lies in a folder now, files that git ignores aside; made for one reading.

    Args:
        root: The folder, in a git repository.
        patterns: What the files are called that `names` gives.
    """

    def __init__(self, root: Path, patterns: Sequence[str]) -> None:
        self._root = root
        self._patterns = [f":(glob)**/{pattern}" for pattern in patterns]
        self._began = time.time()
        self._read: dict[Path, _State | None] = {}

    @property
    def is_settled(self) -> bool:
        """Whether nobody wrote the files that were read just before: half of one may be all there was."""
        return all(state is None or self._began - state[0] / 1e9 > _YOUNG for state in self._read.values())

    def is_as(self, earlier: WorkingTree) -> bool:
        """Whether another reading would find what an earlier one found."""
        return (
            earlier.is_settled
            and self._names == earlier._names
            and all(_state(path) == state for path, state in earlier._read.items())
        )

    def names(self) -> list[str]:
        """The files, relative to the folder.

        Raises:
            UserError: If the folder is in no git repository.
            HostError: If git is not installed.
        """
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        flags = ("-z", "--cached", "--others", "--exclude-standard")
        listing = _git.run(self._root, "ls-files", *flags, "--", *self._patterns)
        names = sorted({os.fsdecode(name) for name in listing.split(b"\0") if name})
        return [name for name in names if (self._root / name).is_file()]

    def read(self, path: Path) -> bytes:
        """The content of any file; raises OSError if it has none."""
        self._read[path] = _state(path)
        return path.read_bytes()


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
