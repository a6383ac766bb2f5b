"""Git's part of an update: two renderings become trees in the project's repository, and git merges what differs.

Git's own merge wants a common ancestor. The project's history has none with the template, so two commits are made that
no branch shows: the old rendering, and on it the new one. What changes from one to the other is merged into HEAD as
`git cherry-pick` would. Nothing but objects is written until the very end, so that to stop leaves nothing half-done.

Where the project is a folder of its repository, both renderings are put in its place in all that HEAD has. So what lies
elsewhere is the same on every side of the merge: it does not change, nor is it taken for where a file was moved to.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kit._git import GitFailed, run
from kit.errors import UserError
from kit.scaffold.state import NAME as STATE

__all__ = ["Merge", "apply", "merge", "part_of", "refuse_unready"]


@dataclass(frozen=True, slots=True)
class Merge:
    """What came of it; nobody sees it yet.

    Attributes:
        tree: The project with the change in it; with marks where it is in conflict.
        change: The commit of the new rendering, on that of the old one.
        conflicts: The files that git could not merge, as the repository names them.
    """

    tree: str
    change: str
    conflicts: tuple[str, ...]


def refuse_unready(root: Path) -> None:
    """Refuse a project that an update could not be taken back from.

    Raises:
        UserError: If it has uncommitted changes, or no commit.
    """
    if not _git(root, "rev-parse", "--verify", "--quiet", "HEAD", accept=(0, 1)):
        raise UserError("the project has no commit yet", where=str(root), fix='Make one: `git commit -m "Start"`.')
    if not _git(root, "ls-files", "--", STATE):
        fix = f"Commit the project, with it: `git add {STATE} && git commit`."
        raise UserError(f"git does not have {STATE}", where=str(root), fix=fix)
    changed = _git(root, "status", "--porcelain", "--untracked-files=no").splitlines()
    if changed:
        files = "a file" if len(changed) == 1 else f"{len(changed)} files"
        fix = "Commit them, or put them aside: `git stash`."
        raise UserError(f"uncommitted changes in {files}", where=str(root), fix=fix)


def part_of(root: Path) -> tuple[Path, str]:
    """The top of the project's repository, and the project's folder in it: "" if it is all of it, else with a `/`."""
    top, folder = (run(root, "rev-parse", f"--show-{which}") for which in ("toplevel", "prefix"))
    return Path(os.fsdecode(top.removesuffix(b"\n"))), os.fsdecode(folder.removesuffix(b"\n"))


def merge(
    root: Path, old: Path, new: Path, scratch: Path, *, message: str, leave: Callable[[str], bool] = lambda _: False
) -> Merge:
    """Merge the change from one rendering to the other into HEAD.

    Args:
        root: The project.
        old: The folder of the old rendering.
        new: The folder of the new one.
        scratch: A folder for git's index.
        message: The commit's.
        leave: Whether a file of the project is none of the template's business.
    """
    index = scratch / "index"
    top, folder = part_of(root)
    before, after = (_placed(top, folder, _tree(top, rendered, index), index) for rendered in (old, new))
    files = {path for tree in (before, after) for path in _files(top, tree, folder)}
    unwanted = _deleted(top, before, after) | {path for path in files if leave(path.removeprefix(folder))}
    if unwanted:
        before, after = (_without(top, tree, unwanted, index) for tree in (before, after))
    base = _commit(top, before, "The template as it was")
    change = _commit(top, after, message, parent=base)
    ours = _commit(top, "HEAD^{tree}", "The project", parent=base)
    found = run(top, "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, change, accept=(0, 1))
    tree, *conflicts = filter(None, found.decode("utf-8", "surrogateescape").split("\0"))
    return Merge(tree, change, tuple(conflicts))


def apply(root: Path, merged: Merge, *, branch: str) -> None:
    """Put a merge without conflicts on a branch, the working tree untouched; check one with conflicts out to be solved.

    Raises:
        UserError: If there is a branch of that name.
    """
    if _git(root, "branch", "--list", branch):
        fix = f"Merge it, `git merge {branch}`, or remove it: `git branch -D {branch}`."
        raise UserError(f"there is a branch {branch} already", where=str(root), fix=fix)
    if not merged.conflicts:
        message = _git(root, "log", "-1", "--format=%B", merged.change)
        commit = _commit(root, merged.tree, message, parent="HEAD")
        run(root, "update-ref", f"refs/heads/{branch}", commit, "")
        return
    head = _git(root, "rev-parse", "HEAD")
    here = _git(root, "symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1))
    try:
        run(root, "switch", "--quiet", "--create", branch)
        run(root, "cherry-pick", merged.change, env=_identity(), accept=(0, 1))
    except BaseException:
        run(root, "reset", "--quiet", "--merge", head)
        run(root, "switch", "--quiet", *([here] if here else ["--detach", head]))
        run(root, "branch", "--quiet", "-D", branch, accept=(0, 1))
        raise


def _commit(root: Path, tree: str, message: str, *, parent: str | None = None) -> str:
    """Make a commit that nothing refers to yet."""
    parents = () if parent is None else ("-p", parent)
    try:
        done = run(root, "commit-tree", tree, *parents, "-m", message, env=_identity())
    except GitFailed as error:
        if "ident" not in error.stderr and "email" not in error.stderr:
            raise
        fix = 'Tell it: `git config --global user.name "..."` and `user.email`.'
        raise UserError("git does not know who you are", where=str(root), fix=fix) from error
    return done.decode().strip()


def _identity() -> dict[str, str]:
    """Who commits may be said by the environment, as in CI; kit's clean one leaves that out."""
    return {name: value for name, value in os.environ.items() if name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))}


def _tree(root: Path, folder: Path, index: Path) -> str:
    """A folder's content as a tree; what its own .gitignore names is the template's all the same."""
    index.unlink(missing_ok=True)
    where = {"GIT_DIR": _git(root, "rev-parse", "--absolute-git-dir"), "GIT_WORK_TREE": str(folder)}
    environment = where | {"GIT_INDEX_FILE": str(index)}
    run(folder, "add", "--all", "--force", ".", env=environment)
    return run(folder, "write-tree", env=environment).decode().strip()


def _placed(top: Path, folder: str, rendered: str, index: Path) -> str:
    """The repository's tree with a rendering for the project."""
    if not folder:
        return rendered
    _without(top, "HEAD", set(_files(top, "HEAD", folder)), index)
    environment = {"GIT_INDEX_FILE": str(index)}
    run(top, "read-tree", "-i", f"--prefix={folder}", rendered, env=environment)
    return run(top, "write-tree", env=environment).decode().strip()


def _deleted(root: Path, before: str, after: str) -> set[str]:
    """What the user removed of the template's files, under its old name and the one that the template gives it now."""
    gone = set(_lines(root, "diff-tree", "-r", "-z", "-M", "--name-only", "--diff-filter=D", before, "HEAD"))
    moves = _lines(root, "diff-tree", "-r", "-z", "-M", "--name-status", "--diff-filter=R", before, after)
    return gone | {new for old, new in zip(moves[1::3], moves[2::3], strict=True) if old in gone}


def _without(root: Path, tree: str, paths: set[str], index: Path) -> str:
    index.unlink(missing_ok=True)
    environment = {"GIT_INDEX_FILE": str(index)}
    run(root, "read-tree", tree, env=environment)
    names = "".join(f"{path}\0" for path in sorted(paths)).encode("utf-8", "surrogateescape")
    run(root, "update-index", "--force-remove", "-z", "--stdin", stdin=names, env=environment)
    return run(root, "write-tree", env=environment).decode().strip()


def _files(top: Path, tree: str, folder: str) -> list[str]:
    return _lines(top, "ls-tree", "-r", "-z", "--name-only", tree, *filter(None, [folder]))


def _lines(root: Path, *arguments: str) -> list[str]:
    return [line for line in run(root, *arguments).decode("utf-8", "surrogateescape").split("\0") if line]


def _git(root: Path, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
    return run(root, *arguments, accept=accept).decode("utf-8", "replace").strip()
