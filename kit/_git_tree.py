"""What a commit holds, read from git's own store: no working tree is touched, no index looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kit._git import Git
from kit._near import did_you_mean, nearest
from kit.errors import UserError

__all__ = ["CommitTree", "resolve"]


class CommitTree:
    """The files of a commit. Symlinks and submodules count as not there.

    Args:
        git: git in the repository.
        top: The repository's top folder, resolved.
        commit: Its name in full.
        wanted: Which files, by their path below `top`, are read at once; others take a call of git each.

    Raises:
        GitFailed: If the commit, or a file that is wanted, is not there.
    """

    def __init__(self, git: Git, top: Path, commit: str, wanted: Callable[[str], bool]) -> None:
        self.top = top
        self._git = git
        self._blobs: dict[str, bytes] = {}
        for entry in git("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
            head, _, name = entry.partition(b"\t")
            mode, _, blob = head.rpartition(b" ")
            if mode.startswith(b"100"):
                self._blobs[os.fsdecode(name)] = blob
        self._contents = self._fetch({blob for name, blob in self._blobs.items() if wanted(name)})

    def names(self) -> list[Path]:
        """Every file, as the path that it would have in a working tree."""
        return [self.top / name for name in self._blobs]

    def is_folder(self, path: Path) -> bool:
        prefix = path.relative_to(self.top).as_posix() + "/"
        return any(name.startswith(prefix) for name in self._blobs)

    def read(self, path: Path) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: If the commit has no such file.
        """
        blob = self._blobs.get(os.path.relpath(path, self.top))
        if blob is None:
            raise FileNotFoundError(path)
        if blob not in self._contents:
            self._contents |= self._fetch({blob})
        return self._contents[blob]

    def _fetch(self, blobs: set[bytes]) -> dict[bytes, bytes]:
        if not blobs:
            return {}
        stream = self._git("cat-file", "--batch", stdin=b"".join(blob + b"\n" for blob in blobs))
        found: dict[bytes, bytes] = {}
        at = 0
        while at < len(stream):
            head, _, _ = stream[at : at + 200].partition(b"\n")
            blob, _, size = head.split(b" ")
            start = at + len(head) + 1
            found[blob] = stream[start : start + int(size)]
            at = start + int(size) + 1
        return found


def resolve(git: Git, revision: str) -> str:
    """The commit that a branch, a tag or another revision of this repository means.

    Raises:
        UserError: If there is none, or no repository.
        HostError: If git is not installed.
    """
    quiet = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    found = git(*quiet, revision + "^{commit}", accept=(0, 1, 128)).decode().split()
    if found:
        return found[-1]
    listing = git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
    known = listing.decode("utf-8", "replace").split()
    tracked = next((name for name in known if name.endswith(f"/{revision}")), None)
    fix = did_you_mean(tracked or nearest(revision, known)) or "See `git branch --all`."
    raise UserError(f"no revision {revision!r} in this repository", fix=fix)
