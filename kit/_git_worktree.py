"""Working trees of a repository beside the user's own, which never notices them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from kit import _git

__all__ = ["add", "known", "remove", "replace"]

_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_NOT_WHOLE = re.compile(r"(?:failed to read|Invalid path) '?(?P<entry>[^:]*/worktrees/[^/':]+)")
"""What git says of an entry that another git is just making or removing, file by file."""


def add(top: Path, commit: str, folder: Path) -> None:
    """Check out a commit into a new folder, on no branch.

    Raises:
        GitFailed: If there is no such commit, or the folder is there already.
        HostError: If git is not installed, or the disk refuses.
    """
    _worktree(top, "add", "--quiet", "--detach", os.fspath(folder), commit)


def replace(folder: Path, commit: str, path: str) -> None:
    """Have a file or a folder of such a working tree as another commit has it; gone, if that has none.

    Args:
        folder: The working tree.
        commit: A commit that is in the repository.
        path: Relative to `folder`, `/` separated.

    Raises:
        GitFailed: If there is no such commit.
        HostError: If git is not installed, or the disk refuses.
    """
    _git.run(folder, "rm", "-r", "-f", "--quiet", "--ignore-unmatch", "--", path)
    if _git.run(folder, "ls-tree", "--name-only", commit, "--", path):
        _git.run(folder, "checkout", "--quiet", commit, "--", path)


def remove(top: Path, folder: Path) -> None:
    """Remove such a folder, whatever is in it, and what the repository knows of it. None there is fine.

    Raises:
        OSError: If it cannot be removed.
        HostError: If git is not installed.
    """
    shutil.rmtree(folder, ignore_errors=True)  # first: git would look whether it may
    if folder.exists():
        shutil.rmtree(folder)
    # By its name: `git worktree prune` would also forget the user's own that are on a disk which is not there now.
    registered = known(top)
    if folder in registered or folder.resolve() in registered:
        _worktree(top, "remove", "--force", "--force", os.fspath(folder))


def known(top: Path) -> list[Path]:
    """All working trees that the repository knows of, whether they are there or not; the main one first."""
    listing = _worktree(top, "list", "--porcelain", "-z").split(b"\0")
    return [Path(os.fsdecode(line.removeprefix(b"worktree "))) for line in listing if line.startswith(b"worktree ")]


def _worktree(top: Path, *arguments: str) -> bytes:
    """`git worktree`, also while others make some: it reads all entries, and gives up at one that is not whole yet.

    One that is still torn after seconds is left from a git that was killed, and would be in everybody's way for ever.
    """
    for pause in _PAUSES:
        try:
            return _git.run(top, "worktree", *arguments)
        except _git.GitFailed as error:
            found = _NOT_WHOLE.search(error.stderr)
            if found is None:
                raise
            if pause == _PAUSES[-1] and _is_torn(entry := top / found["entry"]):
                shutil.rmtree(entry, ignore_errors=True)
        time.sleep(pause)
    return _git.run(top, "worktree", *arguments)


def _is_torn(entry: Path) -> bool:
    """Whether git was killed between making a file of the entry and writing it."""
    with contextlib.suppress(FileNotFoundError):
        return not (entry / "commondir").read_bytes()
    return False
