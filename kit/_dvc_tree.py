"""Files and folders as DVC sees them: what it ignores, and the MD5 it gives them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kit._stat_cache import Kind, StatCache

if TYPE_CHECKING:
    import pathspec

__all__ = ["Tree", "directory_md5"]

_NEVER = frozenset({".git", ".hg", ".dvc"})


def directory_md5(listing: Iterable[tuple[str, str]]) -> str:
    """DVC's hash of a folder, out of its files' relative paths and MD5s."""
    entries = [{"md5": md5, "relpath": path} for path, md5 in sorted(listing)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


class Tree:
    """The workspace below a DVC root.

    Args:
        top: The folder with `.dvc/`.
        cache: Remembers what was hashed.
        read: Gives the content of a `.dvcignore`, or an OSError if there is none.
    """

    def __init__(self, top: Path, cache: StatCache, read: Callable[[Path], bytes] = Path.read_bytes) -> None:
        self._top = top
        self._cache = cache
        self._read = read
        self._specs: dict[Path, list[tuple[Path, pathspec.GitIgnoreSpec]]] = {}
        self._ignored: dict[str, bool | None] = {}  # of folders: whether patterns hold there, None if all is ignored

    def md5(self, path: str, kind: Kind, found: os.stat_result) -> str:
        """The hash that DVC would record for a file or folder.

        Args:
            found: How it is.

        Raises:
            OSError: If something in it cannot be read.
        """
        if not stat.S_ISDIR(found.st_mode):
            return self._cache.digest(path, kind, found)
        return self._cache.folder_digest(path, kind, self._files(path), directory_md5)

    def listing(self, path: str, kind: Kind) -> dict[str, str]:
        """The files of a folder by their path relative to it, with the hash of each.

        Raises:
            OSError: If something in it cannot be read.
        """
        return self._cache.folder_listing(path, kind, self._files(path))

    def ignores(self, path: str) -> bool:
        """Whether a `.dvcignore` names this file, or a folder on the way to it."""
        folder = path.rpartition("/")[0]
        if folder not in self._ignored:
            self._ignored[folder] = None if self._ignores_folder(Path(folder)) else bool(self._specs_for(Path(folder)))
        patterns = self._ignored[folder]
        return patterns is None or (patterns and self._is_ignored(Path(path), is_folder=False))

    def _ignores_folder(self, folder: Path) -> bool:
        if self._top not in folder.parents:
            return False
        return self._ignores_folder(folder.parent) or self._is_ignored(folder, is_folder=True)

    def _files(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        """Every file that belongs to a folder, and how it is; like DVC, not through links to folders."""
        left = [""]
        while left:
            prefix = left.pop()  # texts here: paths would double the time of a hundred thousand files
            here = Path(folder, prefix)
            checked = bool(self._specs_for(here))
            with os.scandir(f"{folder}/{prefix}") as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir():
                        if name not in _NEVER and not entry.is_symlink() and not self._skips(here / name):
                            left.append(f"{prefix}{name}/")
                    elif name != ".git" and not (checked and self._is_ignored(here / name, is_folder=False)):
                        yield prefix + name, entry.stat()

    def _skips(self, folder: Path) -> bool:
        """A DVC repository inside of this one is its own affair."""
        return (folder / ".dvc").is_dir() or self._is_ignored(folder, is_folder=True)

    def _is_ignored(self, path: Path, *, is_folder: bool) -> bool:
        ignored = False
        for base, spec in self._specs_for(path.parent):
            verdict = spec.check_file(path.relative_to(base).as_posix() + ("/" if is_folder else "")).include
            ignored = ignored if verdict is None else verdict
        return ignored

    def _specs_for(self, folder: Path) -> list[tuple[Path, pathspec.GitIgnoreSpec]]:
        """The patterns that hold in a folder, those of the folders above it first."""
        if folder not in self._specs:
            above = self._specs_for(folder.parent) if self._top in folder.parents else []
            own = _read_patterns(self._read, folder / ".dvcignore")
            self._specs[folder] = above if own is None else [*above, (folder, own)]
        return self._specs[folder]


def _read_patterns(read: Callable[[Path], bytes], path: Path) -> pathspec.GitIgnoreSpec | None:
    try:
        lines = read(path).decode("utf-8", "replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    lines = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    if not lines:  # what `dvc init` writes
        return None
    import pathspec  # DVC's own reader of these patterns

    return pathspec.GitIgnoreSpec.from_lines(lines)
