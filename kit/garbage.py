"""What kit keeps that nobody needs any more: finding it, and freeing it.

Runs, schedulers and other commands may be at work meanwhile, so nothing goes that is young, or in use as the store and
living processes tell. Whoever is killed here leaves what the next time finds: a folder is renamed into the trash before
it is emptied, and what names something is removed last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import filelock
import msgspec

from kit import _git_worktree, recovery, vcs, worktrees
from kit._disk_usage import freed
from kit._durations import rough_duration
from kit._git_fetch import WATCHED, watch_ref
from kit._git_refs import Ref, delete_refs, kept_refs, projects_beside
from kit._process import ProcessId, boot_id, is_alive
from kit._trash import delete, move_to_trash
from kit.checkpoints import Beginning
from kit.errors import HostError, UserError, from_os_error
from kit.executors._token import taken_by
from kit.models import Launch, from_json
from kit.paths import safe_name
from kit.project import Project
from kit.schedules import Schedules
from kit.states import TERMINAL, RunStatus
from kit.stores.base import RunQuery
from kit.triggers import OnData
from kit.venvs import COMPLETE

__all__ = ["Garbage", "Kind", "Scope", "find", "free"]

_YOUNG = timedelta(hours=1)
"""What was made or changed since may belong to a command that is at work."""
_UNSEEN = timedelta(days=1)
"""How long a process that cannot be seen from here, as in another container, is believed to live."""
_ACTIVE = frozenset(RunStatus) - TERMINAL
_ALL = 2**31 - 1


class Kind(StrEnum):
    """What is left, and whose."""

    TRASH = "trash"
    """What an interrupted `kit gc` had begun to remove."""
    WORKTREE = "worktree"
    """A copy of the project whose command was killed."""
    STILLBORN = "unstarted run"
    """The folder, and perhaps the snapshot, of a run that was killed before the store knew it."""
    WATCHED = "watched ref"
    """What was fetched for a schedule that is no longer there."""
    HARNESS = "harness"
    """The way to a kit that is no longer installed there."""
    SWEEP = "sweep"
    ENVIRONMENT = "environment"
    RUN = "run"
    """The folder of an old run."""
    FORGOTTEN = "run and record"
    """All of an old run."""
    ORPHAN = "orphan"
    """The folder or the snapshot of a run that the store does not know, but that may have been one."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How far to go.

    Attributes:
        unused: Environments and the folders of sweeps go that were not used for so long.
        runs: The folders of runs go that ended so long ago; None keeps all.
        forget: These runs go with their snapshots and their rows in the store.
        orphans: What belongs to runs that the store does not know goes, whoever made it.
    """

    unused: timedelta = timedelta(days=30)
    runs: timedelta | None = None
    forget: bool = False
    orphans: bool = False


@dataclass(frozen=True, slots=True)
class Garbage:
    """One thing that nobody needs.

    Attributes:
        name: Among its kind.
        why: In a few words.
        bytes: What removing it frees, as the file system counts it; git frees what refs held when it collects.
    """

    kind: Kind
    name: str
    why: str
    paths: tuple[Path, ...] = ()
    refs: tuple[Ref, ...] = ()
    bytes: int = 0


@dataclass(slots=True)
class _InUse:
    """What runs that are under way need.

    Attributes:
        runs: Those whose checkpoints they began from.
        folders: Worktrees, and interpreters of environments.
        parents: Sweeps, among others, that they belong to.
    """

    runs: set[str] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)

    def holds(self, folder: Path) -> bool:
        return any(path.is_relative_to(folder) for path in self.folders)


def find(project: Project, scope: Scope, now: datetime) -> list[Garbage]:
    """Everything within the scope that can go. Nothing is removed.

    Raises:
        UserError: If the project is in no git repository, or shares its snapshots with others that own some of them.
        HostError: If the store or the disk cannot be read.
    """
    if not project.paths.state.is_dir():
        return []
    try:
        found = list(_find(project, scope, now))
    except OSError as error:
        raise from_os_error(error) from error
    sizes = freed([each.paths for each in found])
    return [replace(each, bytes=size) for each, size in zip(found, sizes, strict=True)]


def free(project: Project, scope: Scope, wanted: Collection[Garbage], now: datetime) -> Generator[Garbage, None, None]:
    """Remove what was found, each as it is given; what has come into use since stays.

    Raises:
        HostError: If somebody is at it already, or the disk refuses.
    """
    try:
        with filelock.FileLock(project.paths.locks / "gc.lock", timeout=0):
            names = {(each.kind, each.name) for each in wanted}
            still = [each for each in find(project, scope, now) if (each.kind, each.name) in names]
            refs = [ref for each in still if each.kind in {Kind.WATCHED, Kind.ORPHAN} for ref in each.refs]
            delete_refs(project.root, refs)  # in one step: there may be thousands
            for each in still:
                if _remove(project, scope, each, now):
                    yield each
    except filelock.Timeout as error:
        raise HostError("another `kit gc` is at work here", fix="Wait until it is done.") from error
    except OSError as error:
        raise from_os_error(error) from error


def _find(project: Project, scope: Scope, now: datetime) -> Iterator[Garbage]:
    recovery.recover(project, now)
    # Before the store is asked: a run that begins meanwhile is in neither, or known by then.
    refs = {ref.name.rpartition("/")[2]: ref for ref in kept_refs(project.root, vcs.SNAPSHOTS)}
    folders = [path for path in _entries(project.paths.runs) if path.is_dir() and _is_named(path.name)]
    known = set(project.store.ids("", limit=_ALL))
    used = _in_use(project)
    for path in _entries(project.paths.trash):
        yield Garbage(Kind.TRASH, path.name, "left by a `kit gc` that was interrupted", (path,))
    yield from _find_worktrees(project, used, now)
    unknown = [path for path in folders if path.name not in known and _is_old(path, now)]
    yield from _find_stillborn(project, unknown, refs)
    if not (beside := projects_beside(project.root)):
        yield from _find_watched(project, now)
    yield from _find_unused(project, used, scope, now)
    yield from _find_runs(project, used, scope, refs, now)
    if scope.orphans:
        if beside:
            raise UserError(
                "snapshots here may be those of another project in this repository",
                where=str(beside[0]),
                fix="Leave out `--orphans`.",
            )
        yield from _find_orphans(project, unknown, {key: ref for key, ref in refs.items() if key not in known}, now)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_named(name: str) -> bool:
    """Whether kit can have given this name; what others have put there is theirs."""
    with contextlib.suppress(UserError):
        return bool(safe_name(name))
    return False


def _in_use(project: Project) -> _InUse:
    used = _InUse()
    for record in project.store.runs(RunQuery(statuses=_ACTIVE)):
        if record.origin.parent is not None:
            used.parents.add(record.origin.parent)
        run = project.paths.run(record.run_id)
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            launch = from_json(run.launch.read_bytes(), Launch)
            used.folders |= {Path(path) for path in (launch.worktree, launch.python) if path is not None}
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            used.runs.add(from_json(run.beginning.read_bytes(), Beginning).run_id)
    return used


def _find_worktrees(project: Project, used: _InUse, now: datetime) -> Iterator[Garbage]:
    top = vcs.repository(project.root)
    home = project.paths.worktrees
    registered = {path.name for path in _git_worktree.known(top) if path.parent in {home, home.resolve()}}
    names = registered | {path.name.removesuffix(".json") for path in _entries(home)}
    for name in sorted(filter(_is_named, names)):
        folder = project.paths.worktree(name)
        paths = tuple(path for path in (folder, folder.with_name(f"{name}.json")) if path.exists())
        why = _why_abandoned(folder.with_name(f"{name}.json"), paths, now)
        if why is not None and not used.holds(folder):
            yield Garbage(Kind.WORKTREE, name, why, paths)


def _why_abandoned(owner: Path, paths: Iterable[Path], now: datetime) -> str | None:
    age = now.timestamp() - max(map(_changed, paths), default=0.0)
    process: ProcessId | None = None
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        process = from_json(owner.read_bytes(), ProcessId)
    if process is None:
        return "nobody's" if age > _YOUNG.total_seconds() else None
    if process.boot != boot_id():  # before the machine started anew, or in another container on the same files
        return "its command was killed" if age > _UNSEEN.total_seconds() else None
    return None if is_alive(process) else "its command was killed"


def _find_stillborn(project: Project, unknown: Iterable[Path], refs: dict[str, Ref]) -> Iterator[Garbage]:
    for folder in unknown:
        if not _has_begun(project, folder):
            ref = refs.get(folder.name)
            why = "killed before it began"
            yield Garbage(Kind.STILLBORN, folder.name, why, (folder,), () if ref is None else (ref,))


def _has_begun(project: Project, folder: Path) -> bool:
    run = project.paths.run(folder.name)
    return run.taken.exists() or run.spool.exists() or run.log.exists()


def _find_watched(project: Project, now: datetime) -> Iterator[Garbage]:
    loaded = Schedules(project).load()
    if loaded.broken:  # who knows what they watch
        return
    triggers = [schedule.trigger for schedule in loaded.schedules.values()]
    needed = {
        watch_ref(trigger.remote, trigger.rev or "HEAD")
        for trigger in triggers
        if isinstance(trigger, OnData) and trigger.remote is not None
    }
    for ref in kept_refs(project.root, WATCHED):
        if ref.name not in needed and now.timestamp() - ref.written_at > _YOUNG.total_seconds():
            yield Garbage(Kind.WATCHED, ref.name.rpartition("/")[2], "no schedule looks at it", refs=(ref,))


def _find_unused(project: Project, used: _InUse, scope: Scope, now: datetime) -> Iterator[Garbage]:
    for folder in _entries(project.paths.harness):
        if folder.is_dir() and not any(link.exists() for link in folder.iterdir()) and _is_old(folder, now):
            yield Garbage(Kind.HARNESS, folder.name, "that kit is not there any more", (folder,))
    for folder in _entries(project.paths.sweeps):
        idle = now.timestamp() - _last_change(folder)
        if idle > max(scope.unused, _YOUNG).total_seconds() and folder.name not in used.parents:
            yield Garbage(Kind.SWEEP, folder.name, f"ended {rough_duration(idle)} ago", (folder,))
    for folder in _entries(project.paths.environments):
        if folder.is_dir() and not used.holds(folder) and (why := _why_unused(folder, scope, now)):
            yield Garbage(Kind.ENVIRONMENT, folder.name, why, (folder,))


def _find_runs(project: Project, used: _InUse, scope: Scope, refs: dict[str, Ref], now: datetime) -> Iterator[Garbage]:
    if scope.runs is None:
        return
    for record in project.store.runs(RunQuery(statuses=TERMINAL, tracked=True, descending=False)):
        if record.ended_at is None or now - record.ended_at <= max(scope.runs, _YOUNG) or record.run_id in used.runs:
            continue
        run = project.paths.run(record.run_id)
        paths = (run.root,) if run.root.exists() else ()
        why = f"ended {rough_duration((now - record.ended_at).total_seconds())} ago"
        # What a schedule did is on record for ever: an attempt that is forgotten could be made once more.
        if scope.forget and record.origin.kind != "schedule":
            ref = refs.get(record.run_id)
            yield Garbage(Kind.FORGOTTEN, record.run_id, why, paths, () if ref is None else (ref,))
        elif paths:
            yield Garbage(Kind.RUN, record.run_id, why, paths)


def _find_orphans(project: Project, folders: Iterable[Path], refs: dict[str, Ref], now: datetime) -> Iterator[Garbage]:
    left = dict(refs)
    for folder in folders:
        ref = left.pop(folder.name, None)
        supervisor = taken_by(project.paths.run(folder.name))
        if _has_begun(project, folder) and not (supervisor is not None and is_alive(supervisor)):
            why = "the store does not know it"
            yield Garbage(Kind.ORPHAN, folder.name, why, (folder,), () if ref is None else (ref,))
    for name, ref in left.items():
        if now.timestamp() - ref.written_at > _YOUNG.total_seconds():
            yield Garbage(Kind.ORPHAN, name, "the store does not know its run", refs=(ref,))


def _is_old(folder: Path, now: datetime) -> bool:
    return now.timestamp() - _last_change(folder) > _YOUNG.total_seconds()


def _last_change(folder: Path) -> float:
    """Of the folder, or of anything directly in it, in seconds since the epoch."""
    return max(map(_changed, (folder, *(folder.iterdir() if folder.is_dir() else ()))))


def _why_unused(environment: Path, scope: Scope, now: datetime) -> str | None:
    """Whoever uses one has its mark touched; one without a mark was never finished."""
    finished = _changed(environment / COMPLETE)
    idle = now.timestamp() - (finished or _changed(environment))
    if idle <= (max(scope.unused, _YOUNG) if finished else _YOUNG).total_seconds():
        return None
    return f"not used for {rough_duration(idle)}" if finished else "killed while it was made"


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(project: Project, scope: Scope, garbage: Garbage, now: datetime) -> bool:
    """Remove one thing; False if it has come into use this very moment."""
    match garbage.kind:
        case Kind.WORKTREE:
            worktrees.remove(project, project.paths.worktree(garbage.name))
        case Kind.ENVIRONMENT:
            return _remove_environment(project, scope, garbage.paths[0], now)
        case Kind.TRASH:
            delete(garbage.paths[0])
        case Kind.RUN | Kind.FORGOTTEN:
            record = project.store.get(garbage.name)
            if not record.status.is_terminal or not record.tracked:  # it was resumed
                return False
            _throw_away(project, garbage.paths)
            if garbage.kind is Kind.FORGOTTEN:
                delete_refs(project.root, garbage.refs)
                project.store.delete(garbage.name)  # last: as long as it is there, the rest is found
        case Kind.STILLBORN:
            delete_refs(project.root, garbage.refs)  # its folder is what tells that the snapshot is this project's
            _throw_away(project, garbage.paths)
        case _:
            _throw_away(project, garbage.paths)
    return True


def _remove_environment(project: Project, scope: Scope, folder: Path, now: datetime) -> bool:
    """Whoever makes or takes one holds its lock, and touches its mark before letting go."""
    try:
        with filelock.FileLock(folder.with_suffix(".lock"), timeout=0):
            if _why_unused(folder, scope, now) is None:
                return False
            rubbish = move_to_trash(folder, project.paths.trash)
    except filelock.Timeout:
        return False
    delete(rubbish)
    return True


def _throw_away(project: Project, paths: Iterable[Path]) -> None:
    for path in paths:
        delete(move_to_trash(path, project.paths.trash))
