"""Files of the working tree, and whether they are still those that were read."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kit import _git

__all__ = ["Seen", "WorkingTree"]

_YOUNG = 2_000_000_000
"""Nanoseconds after a file was written: its writer may not be done, and the file system's clock may not have ticked."""

_State = tuple[int, int, int, int]
"""When a file, and what is known of it, last changed, in nanoseconds; its size and inode."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reading found.

    Attributes:
        names: Those that were given.
        read: How the files were that were read; None for one that was not there.
        began: When, in nanoseconds.
    """

    names: list[str]
    read: dict[str, _State | None]
    began: int

    @property
    def lasts(self) -> bool:
        """Whether what is written from now on looks different, also if its mtime is set back."""
        return all(state is None or self.began - state[1] > _YOUNG for state in self.read.values())


class WorkingTree:
    """What lies in a folder now, files that git ignores aside; made for one reading.

    Args:
        root: The folder, in a git repository.
        patterns: What the files are called that `names` gives.
    """

    def __init__(self, root: Path, patterns: Sequence[str]) -> None:
        self._root = root
        self._patterns = [f":(glob)**/{pattern}" for pattern in patterns]
        self._began = time.time_ns()
        self._read: dict[str, _State | None] = {}
        self._looked: dict[str, _State | None] = {}

    def is_as(self, earlier: Seen | None) -> bool:
        """Whether another reading would find what an earlier one found; None was not to be trusted."""
        return (
            earlier is not None
            and self._names == earlier.names
            and all(self._look(path) == state for path, state in earlier.read.items())
        )

    def seen(self) -> Seen | None:
        """What was read up to now; None if somebody wrote it just before: half of it may be all there was."""
        if any(state is not None and self._began - state[0] <= _YOUNG for state in self._read.values()):
            return None
        return Seen(self._names, self._read, self._began)

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
        return [name for name in names if self._look(f"{self._root}/{name}") is not None]

    def _look(self, path: str) -> _State | None:
        """How a file is, looked at once; reading it, which takes longer, looks again."""
        if path not in self._looked:
            self._looked[path] = _state(path)
        return self._looked[path]

    def read(self, path: Path) -> bytes:
        """The content of any file; raises OSError if it has none."""
        self._read[str(path)] = _state(str(path))
        return path.read_bytes()


def _state(path: str) -> _State | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a tenth of the time of Path.stat
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
