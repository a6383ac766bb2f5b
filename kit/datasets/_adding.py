"""`dvc add`, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kit import data
from kit._dvc_cli import dvc
from kit._dvc_files import find_dvc_root
from kit.compare_data import Reader
from kit.datasets._contents import Contents, contents, schema_changes
from kit.errors import ServiceError, UserError
from kit.project import Project
from kit.redact import looks_secret, mask
from kit.snapshot import DataVersion

__all__ = ["Added", "add"]

_MUCH = 200_000_000
"""Bytes that DVC takes more than a moment for."""


@dataclass(frozen=True, slots=True)
class Added:
    """One output, as DVC has it now.

    Attributes:
        before: The version that was on record; None if it is new.
        schema: How its columns differ from those of that one.
    """

    version: DataVersion
    contents: Contents
    before: DataVersion | None = None
    old: Contents | None = None
    schema: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether nothing came of it: DVC had this very content."""
        return self.before is not None and self.before.md5 == self.version.md5


def add(project: Project, paths: Sequence[Path], *, progress: bool) -> list[Added]:
    """Have DVC keep these files and folders.

    Args:
        paths: Absolute, or from the working directory.
        progress: Whether DVC's progress goes to stderr, where there is enough data for it to say something.

    Raises:
        UserError: If there is no DVC here, a path is not there or outside, or a stage makes it.
        ServiceError: If DVC does not take it.
    """
    root = project.root
    if find_dvc_root(root) is None:
        raise UserError("this project has no DVC yet", where=str(root), fix="Begin with `dvc init`.")
    before = {version.path: version for version in data.versions(root, cache=project.paths.data_hashes)}
    names = [_checked(root, path, before) for path in paths]
    recorded = {path: version for path, version in before.items() if version.md5 is not None}
    reader = Reader(project, "`dvc pull` gets it")
    old = {name: contents(_as_recorded(recorded[name]), reader) for name in names if name in recorded}
    done = dvc(root, "add", "--", *names, show=progress and sum(_size(root / name) for name in names) > _MUCH)
    if not done.ok:
        raise ServiceError(
            f"`dvc add` failed: {mask(done.reason)}", where=", ".join(names), fix="Mend that, and again."
        )
    after = {version.path: version for version in data.versions(root, cache=project.paths.data_hashes)}
    return [_added(after[name], recorded.get(name), old.get(name), reader) for name in dict.fromkeys(names)]


def _added(version: DataVersion, before: DataVersion | None, old: Contents | None, reader: Reader) -> Added:
    now = contents(version, reader)
    return Added(version, now, before, old, tuple(schema_changes(old, now)) if old is not None else ())


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _as_recorded(version: DataVersion) -> DataVersion:
    return replace(version, state="matches", found=None)


def _checked(root: Path, path: Path, known: dict[str, DataVersion]) -> str:
    place = path.absolute()
    if not place.exists():
        raise UserError("there is nothing to add", where=str(path), fix="Name a file or a folder that is there.")
    if not place.resolve().is_relative_to(root.resolve()):
        raise UserError("it lies outside of the project", where=str(path), fix="Copy it into the project.")
    name = place.resolve().relative_to(root.resolve()).as_posix()
    if name == ".":
        raise UserError("that is the whole project", where=str(path), fix="Name the folder with the data.")
    if looks_secret(name):
        fix = "Keep secrets out of data that others get."
        raise UserError("its name promises a secret", where=str(path), fix=fix)
    stage = known[name].stage if name in known else None
    if stage is not None:
        raise UserError(f"stage {stage!r} makes it", where=name, fix=f"Make it anew with `dvc repro {stage}`.")
    return name
