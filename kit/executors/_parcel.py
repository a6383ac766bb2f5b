"""A run packed for a machine that has nothing of its project: the code that it is made from, and its own folder.

A parcel is a folder of three things: a git repository of one commit, the run's snapshot, as an archive (engines leave
out what is called `.git`); the run's folder, with the checkpoints that it has by now; and a note of what is where.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from kit import _git, vcs
from kit._files import write_atomic
from kit.errors import HostError, KitError, from_os_error
from kit.models import Launch, RunSpec, from_json, masked, to_json
from kit.paths import ProjectPaths, RunPaths
from kit.stores.opening import read_settings, server_of
from kit.trackers.spool import relocate

__all__ = ["Unpacked", "expect_servers", "pack", "unpack"]

_NOTE, _REPOSITORY, _RUN = "parcel.json", Path("repository.zip"), "run"
_REF = "refs/kit/parcel"
_LEFT = shutil.ignore_patterns("masked", "settle.lock", "supervisor.log", "cancelled", "elsewhere", "taken")
"""What belongs to the machine that the run's folder is on."""


@dataclass(frozen=True, slots=True)
class _Note:
    """What is in a parcel.

    Attributes:
        top: The name of the folder that is the repository: a project that says no name has it, also in the store.
        place: Where in it the project lies.
    """

    run_id: str
    top: str
    place: str


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was made of a parcel.

    Attributes:
        folder: All of it.
        run: The run's folder in the project there.
    """

    folder: Path
    run: RunPaths


def pack(project: ProjectPaths, run: RunPaths, into: Path) -> None:
    """Make the folder `into`, which is empty, the run's parcel.

    Raises:
        UserError: If its snapshot is not in this repository.
        HostError: If the disk refuses.
    """
    spec = from_json(run.spec.read_bytes(), RunSpec)
    top = vcs.repository(project.root)
    commit = vcs.resolve(project.root, spec.snapshot.code.commit)
    try:
        with tempfile.TemporaryDirectory(prefix="kit-parcel-") as made:
            repository = Path(made)
            _git.run(repository, "init", "--quiet")
            _git.run(repository, "fetch", "--quiet", "--depth=1", "--no-tags", top.as_uri(), f"{commit}:{_REF}")
            shutil.make_archive(str(into / _REPOSITORY.stem), "zip", repository, ".git")
        shutil.copytree(run.root, into / _RUN, symlinks=True, ignore=_LEFT)
    except OSError as error:
        raise from_os_error(error) from error
    note = _Note(spec.run_id, top.name, project.root.resolve().relative_to(top).as_posix())
    write_atomic(into / _NOTE, to_json(note))


def expect_servers(project: ProjectPaths, run: RunPaths) -> None:
    """See that a machine that gets no more than the parcel could do with it, and whoever reads it may.

    Raises:
        HostError: If the store or the tracker's is a file of this machine, or a secret would be shown.
    """
    spec = from_json(run.spec.read_bytes(), RunSpec)
    if server_of(read_settings(project)) is None:
        fix = "Keep it on a server that nodes reach: `KIT_STORE=postgresql://...`, or [tool.kit] store."
        raise HostError("the run store is a file of this machine", where=str(project.store), fix=fix)
    if spec.tracking_uri.startswith("sqlite:"):
        fix = "Have an MLflow server that nodes reach: `MLFLOW_TRACKING_URI=http://...`, or [tool.kit] tracking-uri."
        raise HostError("MLflow's store is a file of this machine", where=spec.tracking_uri, fix=fix)
    if masked(spec) != spec:
        fix = "Have the task read it where it runs; or use a cluster whose nodes share the project's folder."
        raise HostError("its config holds a secret, and an upload would show it", where=spec.name, fix=fix)


def unpack(parcel: Path, under: Path) -> Unpacked:
    """Make a project of a parcel, in a new folder that only this user can read.

    Raises:
        HostError: If the disk refuses, or it is no parcel.
    """
    try:
        note = from_json((parcel / _NOTE).read_bytes(), _Note)
        under.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"kit-{note.run_id}-", dir=under))
    except OSError as error:
        raise from_os_error(error) from error
    try:
        return Unpacked(folder, _make(parcel, note, folder / note.top))
    except (KitError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise from_os_error(error) from error
        raise


def _make(parcel: Path, note: _Note, top: Path) -> RunPaths:
    shutil.unpack_archive(parcel / _REPOSITORY, top)
    _git.run(top, "checkout", "--quiet", "--detach", _REF)
    paths = ProjectPaths((top / note.place).resolve())
    paths.create_state()
    run = paths.run(note.run_id)
    shutil.copytree(parcel / _RUN, run.root, symlinks=True)
    spec, launch = from_json(run.spec.read_bytes(), RunSpec), from_json(run.launch.read_bytes(), Launch)
    for spool in run.root.glob("copies/*/*/spool.jsonl"):
        relocate(RunPaths(spool.parent), Path(spec.project_root), paths.root)
    write_atomic(run.spec, to_json(_moved(spec, str(paths.root))), mode=0o600)
    write_atomic(run.launch, to_json(replace(launch, project_root=str(paths.root))))
    return run


def _moved(spec: RunSpec, root: str) -> RunSpec:
    """The spec in a project that lies elsewhere: Hydra puts the run's folder into its logging, and into configs."""
    old = re.compile(rf"{re.escape(spec.project_root)}(?=/|$)")

    def moved(value: object) -> object:
        if isinstance(value, str):
            return old.sub(lambda _: root, value)
        if isinstance(value, list):
            return [moved(each) for each in value]
        return {key: moved(each) for key, each in value.items()} if isinstance(value, dict) else value

    config, logging = cast("dict[str, Any]", moved(spec.config)), cast("dict[str, Any] | None", moved(spec.logging))
    return replace(spec, project_root=root, config=config, logging=logging)
