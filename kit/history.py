"""The commits between two, as git has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kit import _git
from kit.errors import UserError
from kit.vcs import resolve

__all__ = ["Commit", "history", "tree"]


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; `at` is when it was made."""

    sha: str
    at: datetime
    author: str
    subject: str


def history(root: Path, old: str, new: str) -> list[Commit]:
    """The commits from `old`, which is not among them, to `new`, the oldest first; of a merge only its own side.

    Raises:
        UserError: If a commit is not in the repository, or `new` does not come after `old`.
        HostError: If git is not installed.
    """
    first, last = resolve(root, old), resolve(root, new)
    if _git.run(root, "merge-base", first, last, accept=(0, 1)).decode().strip() != first:
        fix = "Take a good run from a commit that the bad one's branch has."
        raise UserError(f"commit {last[:10]} does not come after {first[:10]}", where=str(root), fix=fix)
    listing = _git.run(
        root, "log", "--reverse", "--first-parent", "--format=%H%x00%ct%x00%an%x00%s", f"{first}..{last}"
    )
    lines = [line.split("\0") for line in listing.decode("utf-8", "replace").splitlines()]
    return [Commit(sha, datetime.fromtimestamp(int(at), UTC), author, subject) for sha, at, author, subject in lines]


def tree(root: Path, commit: str) -> str:
    """The hash of all that a commit holds.

    Raises:
        UserError: If it is not in the repository.
        HostError: If git is not installed.
    """
    return _git.run(root, "rev-parse", f"{resolve(root, commit)}^{{tree}}").decode().strip()
