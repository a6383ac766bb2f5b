"""Which files a check is about: those that are named, or those that have changed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from kit import _git, vcs
from kit.errors import UserError
from kit.paths import ProjectPaths, find_project
from kit.project import Project, open_project
from kit.settings import Settings

__all__ = ["any_project", "changed", "named"]


def any_project(start: Path) -> Project:
    """The project that a folder lies in; a repository without `[tool.kit]` is one with the settings that all have.

    Raises:
        UserError: If there is neither, or its `[tool.kit]` cannot be used.
        HostError: If git is not installed.
    """
    try:
        find_project(start)
    except UserError:
        return Project(ProjectPaths(vcs.repository(start)), Settings())
    return open_project(start)


def named(project: Project, paths: Iterable[Path]) -> frozenset[str] | None:
    """The files that are meant by paths, folders with all that is in them; None if the project's own is among them.

    Raises:
        UserError: If there is no such path, or it lies outside of the project.
    """
    root = project.root.resolve()
    found: set[str] = set()
    for path in paths:
        whole = Path(os.path.abspath(path))  # noqa: PTH100 - a link is a file of the project, what it leads to is not
        whole = whole.parent.resolve() / whole.name
        if not os.path.lexists(whole):
            raise UserError(f"no such file or folder: {path}", fix="Check the path.")
        if whole == root or root.is_relative_to(whole):
            return None
        if not whole.is_relative_to(root):
            raise UserError(f"{path} lies outside of the project", where=str(root), fix="Name files of the project.")
        relative = whole.relative_to(root).as_posix()
        found |= set(_below(root, relative)) if whole.is_dir() and not whole.is_symlink() else {relative}
    return frozenset(found)


def _below(root: Path, folder: str) -> Iterable[str]:
    listing = _git.run(
        root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f":(literal){folder}"
    )
    return (name.decode("utf-8", "replace") for name in listing.split(b"\0") if name)


def changed(project: Project, *, since: str | None = None) -> frozenset[str]:
    """The files that are not as in the last commit, new ones too.

    Args:
        since: A branch or commit: all that came after the last commit that is shared with it.

    Raises:
        UserError: If there is no such commit, or none at all.
        HostError: If git is not installed.
    """
    root = project.root.resolve()
    vcs.check(root)
    base = ("HEAD",) if since is None else ("--merge-base", vcs.resolve(root, since))
    listing = _git.run(root, "diff", "-z", "--name-only", "--relative", "--diff-filter=d", *base, "--")
    listing += _git.run(root, "ls-files", "-z", "--others", "--exclude-standard")
    names = (name.decode("utf-8", "replace") for name in listing.split(b"\0") if name)
    return frozenset(str(PurePosixPath(name)) for name in names)
