"""The project as a run had it, in a working tree of its own: code, data and all that belongs to them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from kit import _files, _git_worktree, data, vcs
from kit._dvc_share import place, share_cache
from kit._process import ProcessId, boot_id, is_alive, this_process
from kit.errors import ServiceError, from_os_error
from kit.models import RunSpec, from_json, to_json
from kit.project import Project, open_project
from kit.snapshot import DataVersion, OmittedFile

__all__ = ["remove", "restored", "stale"]


@contextlib.contextmanager
def restored(
    project: Project,
    code: RunSpec,
    name: str,
    *,
    config: RunSpec | None = None,
    of_data: RunSpec | None = None,
    under: Path | None = None,
) -> Iterator[Project]:
    """The project as it was when a run was planned, for as long as the block lasts.

    The worktree lies in the project's `.kit`; the user's own files, index, branches and stash are not touched.

    Args:
        project: Where the run is kept.
        code: The run whose code is wanted.
        name: Of the worktree.
        config: The run whose folder of configs is wanted; None for the same.
        of_data: The run whose data is wanted; None for the same.
        under: A folder to put it in; None for the project's own.

    Yields:
        The project, made from the worktree; its store and the folders of its runs stay where they are.

    Raises:
        UserError: If the snapshot is not in this repository, or what it holds is not a project.
        ServiceError: If data of the run can neither be found nor pulled.
        HostError: If the disk refuses.
    """
    place = project.paths.worktrees if under is None else under
    for folder in stale(project, place):
        remove(project, folder)
    folder = place / project.paths.worktree(name).name
    try:
        try:
            copy = _restore(project, code, config or code, of_data or code, folder)
        except OSError as error:
            raise from_os_error(error) from error
        yield copy
    finally:
        remove(project, folder)


def _restore(project: Project, code: RunSpec, config: RunSpec, of_data: RunSpec, folder: Path) -> Project:
    top = vcs.repository(project.root)
    commits = [vcs.resolve(project.root, spec.snapshot.code.commit) for spec in (code, config, of_data)]
    project.paths.create_state()
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _files.write_atomic(_owner(folder), to_json(this_process()))  # first: what has no owner is nobody's
    _git_worktree.add(top, commits[0], folder)
    place = project.root.resolve().relative_to(top)
    root = folder / place
    if config is not code:
        _git_worktree.replace(folder, commits[1], (place / open_project(root).settings.config_dir).as_posix())
    if of_data is not code:
        for source in sorted({version.source for version in (*code.snapshot.data, *of_data.snapshot.data)}):
            _git_worktree.replace(folder, commits[2], (place / source).as_posix())
    _bring_omitted(top, folder, code.snapshot.code.omitted)
    _bring_data(project, root, of_data.snapshot.data)
    recorded = open_project(root).settings
    # Nothing is fetched but the run's own data, and runs are tracked where they are now.
    settings = replace(recorded, pull=False, tracking_uri=project.settings.tracking_uri)
    return replace(project, settings=settings, worktree=root)


def stale(project: Project, under: Path | None = None) -> list[Path]:
    """Worktrees whose owner was killed."""
    owners = sorted((under or project.paths.worktrees).glob("*.json"))
    return [owner.with_suffix("") for owner in owners if not _is_owned(owner)]


def remove(project: Project, folder: Path) -> None:
    """Remove a worktree of kit's. One that is gone already, whole or in part, is fine.

    Raises:
        HostError: If the disk refuses.
    """
    try:
        _git_worktree.remove(vcs.repository(project.root), folder)
        _owner(folder).unlink(missing_ok=True)  # last: who is killed in between leaves it to be found
    except OSError as error:
        raise from_os_error(error) from error


def _owner(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _is_owned(owner: Path) -> bool:
    try:
        process = from_json(owner.read_bytes(), ProcessId)
        # One in another container, on the same files, cannot be seen: those are for `kit gc`, after a day.
        return process.boot != boot_id() or is_alive(process)
    except (FileNotFoundError, msgspec.DecodeError):
        return False


def _bring_omitted(top: Path, folder: Path, omitted: Iterable[OmittedFile]) -> None:
    """Files that the snapshot only names come from the user's tree, if they are still what they were.

    Those that looked secret have no hash: they come as they are today, as do passwords from the environment.
    """
    for file in omitted:
        source, target = top / file.path, folder / file.path
        unchanged = file.reason == "secret" or (file.sha256 is not None and _hash(source) == file.sha256)
        if source.is_file() and unchanged and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _hash(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return _files.sha256(path)
    return None


def _bring_data(project: Project, root: Path, wanted: Iterable[DataVersion]) -> None:
    """Link what DVC's cache has, pull what it lacks, and take the rest from the user's tree if it is still there."""
    versions = [version for version in wanted if version.used is not None]
    if not versions:
        return
    cache = share_cache(project.root, root)
    if cache is None:
        names = ", ".join(version.path for version in versions)
        raise ServiceError(f"there is no DVC project to take {names} from", where=str(project.root), fix="Mend `.dvc`.")
    recorded = {version.path: version.md5 for version in data.versions(root)}
    as_recorded = [version.path for version in versions if recorded.get(version.path) == version.used]
    data.pull(root, as_recorded, progress=True)
    others = [version for version in versions if version.path not in as_recorded]
    today = {version.path: version.used for version in data.versions(project.root)} if others else {}
    for version in others:
        target = root / version.path
        if place(cache, version.used or "", target):
            continue
        if today.get(version.path) != version.used:
            raise _lost(version)
        _copy(project.root / version.path, target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _lost(version: DataVersion) -> ServiceError:
    return ServiceError(
        f"the data that the run read is nowhere: {version.path} {version.label}",
        where=version.source,
        fix="DVC was never told of it (`dvc add` or `dvc commit` would have); bring it back as it was, if you can.",
    )
