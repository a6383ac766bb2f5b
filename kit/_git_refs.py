"""The refs that kit keeps in a repository: when each was written, and letting go of them."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kit import _git, _git_worktree

__all__ = ["PACKED_EVERY", "Ref", "delete_refs", "kept_refs", "pack_now_and_then", "projects_beside"]

PACKED_EVERY = 256
"""One snapshot in so many packs the refs of all."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A ref, and what it was when it was looked at.

    Attributes:
        target: The object's name.
        written_at: No later than this, in seconds since the epoch; when exactly git does not keep.
    """

    name: str
    target: str
    written_at: float


def kept_refs(root: Path, prefix: str) -> list[Ref]:
    """The refs below `prefix`, in order.

    Raises:
        UserError: If `root` is not in a git repository.
        HostError: If git is not installed.
    """
    listing = _git.run(root, "for-each-ref", "--format=%(objectname) %(refname)", prefix).decode("utf-8", "replace")
    if not listing:
        return []
    common = root / os.fsdecode(_git.run(root, "rev-parse", "--git-common-dir").removesuffix(b"\n"))
    packed = max(filter(None, map(_written, (common / "packed-refs", *common.glob("reftable/*")))), default=None)
    found = []
    for line in listing.splitlines():
        target, name = line.split(" ", 1)
        written = _written(common / name) or packed
        found.append(Ref(name, target, float("inf") if written is None else written))
    return found


def delete_refs(root: Path, refs: Iterable[Ref]) -> None:
    """Let go of these refs, all of them or, if one has moved meanwhile, none; git's own collection frees the space.

    Raises:
        UserError: If `root` is not in a git repository.
        HostError: If git is not installed, one has moved, or the disk refuses.
    """
    orders = "".join(f"delete {ref.name} {ref.target}\n" for ref in refs)
    if orders:
        _git.run(root, "update-ref", "--stdin", stdin=orders.encode())


def pack_now_and_then(root: Path, run_id: str) -> None:
    """Have git keep all refs in one file, as its own collection does; whether now follows from the run's id.

    With a file for each of 100,000 runs they take 413 MB instead of 7, and every fetch 1.8 s (`benchmarks/scaling.py`).

    Raises:
        UserError: If `root` is not in a git repository.
        HostError: If git is not installed.
    """
    if zlib.crc32(run_id.encode()) % PACKED_EVERY == 0:
        with contextlib.suppress(_git.GitFailed):  # somebody else does, and has the lock
            _git.run(root, "pack-refs", "--all")


def projects_beside(root: Path) -> list[Path]:
    """Other kit projects with runs of their own that share this one's refs.

    They lie in the same working tree, or in another of the same repository; kit's own worktrees are none.

    Raises:
        UserError: If `root` is not in a git repository.
        HostError: If git is not installed.
    """
    own = root.resolve()
    found = []
    for top in _git_worktree.known(root):
        if not top.is_dir() or top.parts[-3:-1] == (".kit", "worktrees"):
            continue
        with contextlib.suppress(_git.GitFailed):  # a bare repository has no files
            names = _git.run(top, "ls-files", "-z", "--", "*pyproject.toml").split(b"\0")
            folders = [(top / os.fsdecode(name)).parent.resolve() for name in names if name.endswith(b"pyproject.toml")]
            found += [each for each in folders if each != own and _has_runs(each / ".kit")]
    return found


def _has_runs(state: Path) -> bool:
    return (state / "store.db").exists() or (state / "runs").exists()  # the store may be on a server


def _written(path: Path) -> float | None:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return None
