"""Which version of its outputs DVC has on record, in the working tree or in a commit. No data is looked at."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from kit._dvc_files import DVC_FILES, Files, Output, find_dvc_root, read_outputs
from kit._dvc_tree import Tree
from kit._git import Git, GitFailed
from kit._git_tree import CommitTree
from kit._near import did_you_mean, nearest
from kit._stat_cache import StatCache
from kit._working_tree import Seen, WorkingTree
from kit.errors import UserError, from_os_error

__all__ = ["Record", "read_commit", "read_working_tree"]

_READ_AT_ONCE = (*DVC_FILES, "dvc.lock", "params.yaml", ".dvcignore")
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


class Record:
    """The versions of all outputs of a project.

    Args:
        outputs: What DVC's files say.
        where: What they were read from, for errors.
        seen: The files read, if they were the working tree's and may be trusted to stay as they are.
    """

    def __init__(self, outputs: Iterable[Output], where: str, seen: Seen | None = None) -> None:
        self.outputs = tuple(outputs)
        self._versions = {output.path: output.md5 for output in self.outputs}
        self._where = where
        self.seen = seen

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self._versions == other._versions

    __hash__ = None  # type: ignore[assignment]

    def version(self, path: str) -> str | None:
        """The MD5 of an output; a path inside of one has the output's, since DVC's files do not say more.

        A folder with outputs in it has a hash of all of them, which changes with each.

        Args:
            path: Relative to the project.

        Returns:
            None if DVC knows the path, and there is no version of it yet.

        Raises:
            UserError: If DVC knows no such path.
        """
        path = posixpath.normpath(path)
        steps = [path, *map(str, Path(path).parents)]
        within = next((step for step in steps if step in self._versions), None)
        if within is not None:
            return _checked(self._versions[within])
        prefix = "" if path == "." else f"{path}/"
        below = {name: _checked(md5) for name, md5 in self._versions.items() if name.startswith(prefix)}
        if not below:
            raise self._unknown(path)
        if not any(below.values()):
            return None
        listing = "".join(f"{name}\0{below[name] or ''}\0" for name in sorted(below))
        return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()

    def _unknown(self, path: str) -> UserError:
        folders = {str(folder) for name in self._versions for folder in Path(name).parents}
        fix = did_you_mean(nearest(path, sorted({*self._versions, *folders} - {"."})))
        if fix is None:
            names = sorted(self._versions)
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            listed = f"The outputs: {', '.join(names[:10])}{more}."
            fix = listed if names else "Give the data to DVC: `dvc add PATH`, or a stage in dvc.yaml."
        return UserError(f"DVC has no output {path!r}", where=self._where, fix=fix)


def read_working_tree(root: Path, before: Record | None = None) -> Record:
    """What the files in the project say now.

    Args:
        root: The project, resolved.
        before: What they said earlier; given back if none of them changed.

    Raises:
        UserError: If a file of DVC's cannot be made sense of, or the project is in no git repository.
        HostError: If git is not installed, or a file cannot be read.
    """
    files = WorkingTree(root, DVC_FILES)
    if before is not None and files.is_as(before.seen):
        return before
    outputs = _outputs(root, files, find_dvc_root(root))
    return Record(outputs, str(root), files.seen())


def read_commit(root: Path, commit: str, git: Git) -> Record:
    """What the files of a commit say, wherever the working tree is.

    Args:
        root: The project, resolved.
        commit: Its name in full.
        git: git in the project.

    Raises:
        UserError: If a file of DVC's cannot be made sense of.
        HostError: If git fails.
    """
    top = root / os.fsdecode(git("rev-parse", "--show-cdup").removesuffix(b"\n"))
    try:
        tree = CommitTree(git, Path(os.path.normpath(top)), commit, _is_read_at_once)
        files = _CommitFiles(root, tree)
        return Record(_outputs(root, files, files.dvc_root()), f"commit {commit[:12]}")
    except GitFailed as error:
        if "promisor" not in error.stderr:
            raise
        what = f"this partial clone lacks files of commit {commit[:12]}"
        fix = f"Fetch them: `git show {commit[:12]}`; in a trigger, add `remote: origin`."
        raise UserError(what, where=str(root), fix=fix) from error


class _CommitFiles:
    """The project as it is in a commit."""

    def __init__(self, root: Path, tree: CommitTree) -> None:
        self._root = root
        self._tree = tree
        self.read = tree.read

    def names(self) -> Iterable[str]:
        below = (path for path in self._tree.names() if self._root in path.parents)
        return [path.relative_to(self._root).as_posix() for path in below if _is_any(path.name, DVC_FILES)]

    def dvc_root(self) -> Path | None:
        folders = [folder for folder in (self._root, *self._root.parents) if folder.is_relative_to(self._tree.top)]
        return next((folder for folder in folders if self._tree.is_folder(folder / ".dvc")), None)


def _outputs(root: Path, files: Files, top: Path | None) -> list[Output]:
    if top is None:
        return []
    tree = Tree(top, StatCache(None), files.read)
    try:
        return [output for output in read_outputs(root, files) if not tree.ignores(f"{root}/{output.source}")]
    except OSError as error:
        raise from_os_error(error) from error


def _checked(md5: str | None) -> str | None:
    """Something else than a hash is no version: half a line, in a file that is being written."""
    return md5 if md5 is not None and _MD5.fullmatch(md5) else None


def _is_read_at_once(name: str) -> bool:
    return _is_any(posixpath.basename(name), _READ_AT_ONCE)


def _is_any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
