"""git: the exact working tree as a commit, without the user's index, branch or reflogs noticing."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kit import _git
from kit._git_refs import pack_now_and_then
from kit._stat_cache import StatCache
from kit.errors import UserError, from_os_error
from kit.paths import ProjectPaths, safe_name
from kit.redact import holds_secret, looks_secret
from kit.snapshot import CodeVersion, OmittedFile

__all__ = [
    "SNAPSHOTS",
    "check",
    "delete_snapshot",
    "diff",
    "is_same",
    "is_unchanged",
    "repository",
    "resolve",
    "snapshot",
]

SNAPSHOTS = "refs/kit/runs/"
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "kit"), ("EMAIL", "kit@localhost"))
}
_LOOKED_INTO = 64 * 1024
"""Untracked files up to this size are searched for keys and tokens; larger ones are data."""
_TOO_MUCH = 100
"""All untracked files together may be this many times as large as one of them; more is data, not code."""


@dataclass(frozen=True, slots=True)
class _Head:
    """Where the repository is, where HEAD is, and where the user's index lies."""

    top: Path
    commit: str
    tree: str
    branch: str | None
    index: Path


@dataclass(frozen=True, slots=True)
class _Untracked:
    """What to store of the files that git does not know, and what to name only."""

    stored: tuple[str, ...]
    omitted: tuple[OmittedFile, ...]


class _Index:
    """A copy of the user's index that may be changed freely."""

    def __init__(self, top: Path, path: Path) -> None:
        self._top = top
        self._env = {"GIT_INDEX_FILE": str(path)}
        self._settings: list[str] = []

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git on this index, past clean filters (Git LFS is one) that are required but not installed."""
        while True:
            try:
                return _git.run(self._top, *self._settings, *arguments, stdin=stdin, env=self._env)
            except _git.GitFailed as error:
                broken = re.search(r"clean filter '(.+)' failed", error.stderr)
                setting = f"filter.{broken[1]}.required=false" if broken else ""
                if not broken or setting in self._settings:
                    raise
                self._settings += ["-c", setting]

    def update(self, names: Iterable[str], *flags: str) -> None:
        """Bring these entries up to the working tree."""
        if listing := b"".join(os.fsencode(name) + b"\0" for name in names):
            self.git("update-index", "-z", *flags, "--stdin", stdin=listing)


def repository(root: Path) -> Path:
    """The top folder of the working tree that `root` lies in.

    Raises:
        UserError: If it is not in a git repository, or in one that git does not trust.
        HostError: If git is not installed.
    """
    return Path(os.fsdecode(_git.run(root, "rev-parse", "--show-toplevel").removesuffix(b"\n"))).resolve()


def check(root: Path) -> None:
    """Whether a snapshot can be taken at all: quick, and worth knowing before data is fetched for hours.

    Raises:
        UserError: If there is no usable repository, or it has no commit.
        HostError: If git is not installed.
    """
    _head(root)


def snapshot(root: Path, run_id: str, *, max_bytes: int) -> CodeVersion:
    """Keep the exact working tree, uncommitted work included, as a commit under `refs/kit/runs/<run_id>`.

    The user's index, branch, HEAD, stash and reflogs stay as they are. A clean tree makes no new commit.

    Args:
        root: The project; the whole repository that it lies in is kept.
        run_id: Names the ref; an earlier snapshot of that name is replaced.
        max_bytes: Untracked files larger than this are named with their hash, not stored.

    Raises:
        UserError: If there is no usable repository, it has no commit, it ignores the project, or the untracked
            files are too much to store.
        HostError: If git is not installed, or the disk refuses.
    """
    head = _head(root)
    top = head.top
    ref = SNAPSHOTS + safe_name(run_id)
    tree, omitted = _store(root, head, max_bytes)
    commit = head.commit if tree == head.tree else _commit(top, tree, head.commit, run_id)
    _git.run(top, "update-ref", ref, commit)
    pack_now_and_then(top, run_id)
    return CodeVersion(commit, head.commit, head.branch, commit != head.commit or bool(omitted), ref, omitted)


def _store(root: Path, head: _Head, max_bytes: int) -> tuple[str, tuple[OmittedFile, ...]]:
    """The working tree as a tree of git's, and what is left out of it."""
    top = head.top
    try:
        with tempfile.TemporaryDirectory(prefix="kit-index-") as folder:
            index = _Index(top, _copy_index(head.index, Path(folder) / "index"))
            if not head.index.exists():
                index.git("read-tree", head.tree)
            names = _without_tracker(root, top, _wake_hidden(top, index))
            _store_tracked(top, index)
            untracked = _sort_untracked(top, names, max_bytes, _omitted_cache(root))
            index.update(untracked.stored, "--add", "--remove", "--replace")
            tree = index.git("write-tree").decode().strip()
            unsaved = _changed_submodules(top, index)
    except OSError as error:
        raise from_os_error(error) from error
    _check_project_is_in(root, top, tree)
    return tree, tuple(sorted((*untracked.omitted, *unsaved), key=lambda file: file.path))


def is_unchanged(root: Path, code: CodeVersion, *, max_bytes: int) -> bool:
    """Whether the working tree is what it was at a snapshot; one that is not there any more cannot be told from it.

    Args:
        root: The project.
        code: The snapshot.
        max_bytes: As it was taken with.

    Raises:
        UserError: As for `snapshot`.
        HostError: If git is not installed, or the disk refuses.
    """
    head = _head(root)
    tree, omitted = _store(root, head, max_bytes)
    return tree == _tree(head.top, code.commit) and _unstored(omitted) == _unstored(code.omitted)


def is_same(root: Path, one: CodeVersion, other: CodeVersion) -> bool:
    """Whether two snapshots are of the same code; one that is not there any more is the same as none.

    Raises:
        UserError: If `root` is not in a git repository.
        HostError: If git is not installed.
    """
    tree = _tree(root, one.commit)
    return tree is not None and tree == _tree(root, other.commit) and _unstored(one.omitted) == _unstored(other.omitted)


def _tree(root: Path, commit: str) -> str | None:
    found = _git.run(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}", accept=(0, 1, 128))
    return found.decode().strip() or None


def _unstored(omitted: Iterable[OmittedFile]) -> list[OmittedFile]:
    """What else the code is made of; secrets change, and are no part of it."""
    return [file for file in omitted if file.reason != "secret"]


def delete_snapshot(root: Path, run_id: str) -> None:
    """Let go of a run's snapshot; git's own garbage collection frees the space. None there is fine.

    Raises:
        UserError: If `root` is not in a git repository.
        HostError: If git is not installed, or the disk refuses.
    """
    _git.run(root, "update-ref", "-d", SNAPSHOTS + safe_name(run_id))


def diff(root: Path, old: str, new: str) -> str:
    """What changed in the project's folder between two commits, as git shows it; paths relative to `root`.

    Args:
        root: The project.
        old: A commit.
        new: Another.

    Raises:
        UserError: If a commit is not in the repository.
        HostError: If git is not installed.
    """
    commits = (resolve(root, old), resolve(root, new))
    flags = ["--no-ext-diff", "--no-textconv", "--relative", "--color=never", "--find-renames", "--submodule=short"]
    return _git.run(root, "diff", *flags, *commits, "--").decode("utf-8", "replace")


def resolve(root: Path, revision: str) -> str:
    """The commit that a revision means.

    Raises:
        UserError: If there is none in the repository.
        HostError: If git is not installed.
    """
    found = _git.run(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}", accept=(0, 1, 128)
    )
    commit = found.decode().split()
    if not commit:
        repository(root)  # says so when the repository itself is what is missing
        raise UserError(
            f"no commit {revision!r} in this repository",
            where=str(root),
            fix="Snapshots stay where they were made: `git fetch <there> 'refs/kit/runs/*:refs/kit/runs/*'`.",
        )
    return commit[-1]


def _head(root: Path) -> _Head:
    """Where the repository of `root` stands: one call of git, and another where there is something to complain of."""
    asked = ("--show-toplevel", "--git-path", "index", "HEAD^{commit}", "HEAD^{tree}", "--symbolic-full-name", "HEAD")
    found = _git.run(root, "rev-parse", *asked, accept=(0, 128))
    lines = found.removesuffix(b"\n").rsplit(b"\n", 3)
    places = lines[0].split(b"\n") if len(lines) == 4 else []
    if len(places) != 2:  # no repository, no commit, or a folder with a line break in its name
        return _head_by_parts(root)
    top, index = map(os.fsdecode, places)
    commit, tree, ref = (line.decode("utf-8", "replace") for line in lines[1:])
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None
    return _Head(Path(top).resolve(), commit, tree, branch, root / index)


def _head_by_parts(root: Path) -> _Head:
    top = repository(root)
    commit = _git.run(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", accept=(0, 1)).decode().strip()
    if not commit:
        fix = "Commit once: `git add --all && git commit -m start`."
        raise UserError("the repository has no commit yet", where=str(top), fix=fix)
    tree, index = _git.run(top, "rev-parse", f"{commit}^{{tree}}", "--git-path", "index").split(b"\n", 1)
    branch = _git.run(top, "symbolic-ref", "--quiet", "HEAD", accept=(0, 1)).decode("utf-8", "replace").strip()
    place = top / os.fsdecode(index.removesuffix(b"\n"))
    return _Head(top, commit, tree.decode(), branch.removeprefix("refs/heads/") or None, place)


def _copy_index(source: Path, target: Path) -> Path:
    """Copy with the time it was written: git tells by it which entries may have changed in that same moment."""
    try:
        file = source.open("rb")
    except FileNotFoundError:  # cloned without a checkout
        return target
    with file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        written = os.fstat(file.fileno()).st_mtime_ns
        os.utime(copy.fileno(), ns=(written, written))
    return target


def _wake_hidden(top: Path, index: _Index) -> list[str]:
    """Let git look again at entries it was told to overlook, and return the untracked names."""
    listing = _names(index.git("ls-files", "-z", "-v", "--cached", "--others", "--exclude-standard"))
    entries = [(entry[0], entry[2:]) for entry in listing]
    index.update((name for tag, name in entries if tag.islower()), "--no-assume-unchanged")
    # Outside of a sparse checkout the file is rightly absent; one that is there may differ.
    skipped = (name for tag, name in entries if tag in "Ss" and _is_present(top / name))
    index.update(skipped, "--no-skip-worktree")
    return [name for tag, name in entries if tag == "?"]


def _store_tracked(top: Path, index: _Index) -> None:
    changed = set(_names(index.git("diff-files", "-z", "--name-only", "--ignore-submodules=dirty")))
    present = {name for name in changed if _is_present(top / name)}
    index.update(sorted(changed - present), "--force-remove")
    index.update(sorted(present), "--add", "--remove", "--replace")


def _changed_submodules(top: Path, index: _Index) -> list[OmittedFile]:
    """Submodules with uncommitted work, which no commit of the outer repository can hold."""
    if not (top / ".gitmodules").exists():
        return []
    listing = _names(index.git("diff-files", "-z", "--raw", "--ignore-submodules=none"))
    pairs = zip(listing[::2], listing[1::2], strict=True)
    return [OmittedFile(_text(name), 0, None, "unreadable") for raw, name in pairs if raw.startswith(":160000")]


def _names(listing: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listing.split(b"\0") if name]


def _text(name: str) -> str:
    """A name that is not UTF-8, in a way that JSON can hold."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_present(path: Path) -> bool:
    """Whether the file is there itself, rather than something seen through a symlinked folder."""
    return os.path.lexists(path) and path.parent.resolve() == path.parent


def _omitted_cache(root: Path) -> StatCache:
    paths = ProjectPaths(root)
    return StatCache(paths.omitted_hashes if paths.state.is_dir() else None)


def _without_tracker(root: Path, top: Path, names: Iterable[str]) -> list[str]:
    """The names but those of MLflow's store in the project, which every run changes."""
    paths = ProjectPaths(root.resolve())
    store = paths.mlflow_store.relative_to(top).as_posix()
    files = {store + suffix for suffix in ("", "-journal", "-shm", "-wal")}
    artifacts = paths.mlflow_artifacts.relative_to(top).as_posix() + "/"
    return [name for name in names if name not in files and not name.startswith(artifacts)]


def _sort_untracked(top: Path, names: Iterable[str], max_bytes: int, cache: StatCache) -> _Untracked:
    stored: dict[str, int] = {}
    omitted: list[OmittedFile] = []
    for name in names:
        path = top / name
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        is_file = stat.S_ISREG(found.st_mode)
        if looks_secret(name) or (is_file and found.st_size <= _LOOKED_INTO and _holds_secret(path)):
            omitted.append(OmittedFile(_text(name), found.st_size, None, "secret"))
        elif stat.S_ISDIR(found.st_mode) or (
            is_file and not os.access(path, os.R_OK)
        ):  # a folder: a repository of its own
            omitted.append(OmittedFile(_text(name), 0 if not is_file else found.st_size, None, "unreadable"))
        elif is_file and found.st_size > max_bytes:
            omitted.append(OmittedFile(_text(name), found.st_size, cache.digest(path, "sha256"), "large"))
        else:
            stored[name] = found.st_size
    cache.save()
    _check_total(stored, max_bytes)
    return _Untracked(tuple(stored), tuple(omitted))


def _holds_secret(path: Path) -> bool:
    try:
        return holds_secret(path.read_bytes())
    except OSError:  # gone, or not readable: told apart elsewhere
        return False


def _check_total(stored: dict[str, int], max_bytes: int) -> None:
    total = sum(stored.values())
    if total <= _TOO_MUCH * max_bytes:
        return
    folders: Counter[str] = Counter()
    for name, size in stored.items():
        folders[name.partition("/")[0]] += size
    heaviest = _text(folders.most_common(1)[0][0])
    raise UserError(
        f"{total / 2**20:,.0f} MiB of untracked files would be copied into git, most of them in {heaviest!r}",
        fix=f"Track it with `dvc add {heaviest}`, or name it in .gitignore.",
    )


def _check_project_is_in(root: Path, top: Path, tree: str) -> None:
    """A project that its repository ignores would be lost without a word."""
    folder = root.resolve().relative_to(top).as_posix()
    if folder == "." or _git.run(top, "ls-tree", "-d", tree, "--", folder):
        return
    raise UserError(
        "the git repository around the project ignores it",
        where=str(top),
        fix="Mend that .gitignore, or start a repository in the project: `git init`.",
    )


def _commit(top: Path, tree: str, parent: str, run_id: str) -> str:
    message = f"kit: the working tree of run {run_id}\n"
    made = _git.run(top, "commit-tree", tree, "-p", parent, stdin=message.encode(), env=_IDENTITY)
    return made.decode().strip()
