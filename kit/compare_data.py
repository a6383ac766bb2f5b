"""What differs in the data of two runs: files, sizes, rows, columns, as far as both versions are here to be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

from kit._dvc_cache import Cache, DamagedListing, find_cache
from kit._shapes import KnownShapes, NoShape, Shape, is_table, read_shape
from kit.compare import data_differs, spec_of
from kit.data import lying
from kit.errors import KitError
from kit.models import RunRecord
from kit.project import Project
from kit.redact import mask
from kit.snapshot import DataVersion

__all__ = [
    "Content",
    "DataChange",
    "FileChange",
    "Limits",
    "Reader",
    "compare_data",
    "compare_versions",
    "fetch",
    "files_of",
    "size_of",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be read of one pair of runs, so that a look at them takes seconds.

    Attributes:
        csv_bytes: Of one CSV file.
        all_csv_bytes: Of all of them.
        tables: How many files of tables may be opened.
    """

    csv_bytes: int = 200_000_000
    all_csv_bytes: int = 500_000_000
    tables: int = 1000


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of one version of a file. `size` in bytes; None for what is not known."""

    md5: str | None
    size: int | None = None
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of an output that is not the same; None where a version does not have it.

    Attributes:
        path: Relative to a folder's path; an output that is a file itself has its own name.
        was: What a moved file, whose content is the same, was called.
        note: Why its rows are not known.
    """

    path: str
    kind: Literal["added", "removed", "changed", "moved"]
    old: Content | None
    new: Content | None
    was: str | None = None
    note: str | None = None

    @property
    def rows(self) -> int | None:
        """How many more rows there are; None if that is not known."""
        if self.kind == "moved":
            return 0
        sides = [side for side in (self.old, self.new) if side is not None]
        if any(side.shape is None for side in sides):
            return None
        old, new = (0 if side is None or side.shape is None else side.shape.rows for side in (self.old, self.new))
        return new - old

    @property
    def added_columns(self) -> tuple[str, ...]:
        old, new = self._columns
        return tuple(name for name in new if name not in old)

    @property
    def removed_columns(self) -> tuple[str, ...]:
        old, new = self._columns
        return tuple(name for name in old if name not in new)

    @property
    def retyped_columns(self) -> tuple[tuple[str, str, str], ...]:
        """Name, old and new type."""
        old, new = self._columns
        return tuple((name, kind, new[name]) for name, kind in old.items() if new.get(name, kind) != kind)

    @property
    def _columns(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        old, new = (None if side is None else side.shape for side in (self.old, self.new))
        return ({}, {}) if old is None or new is None else (old.columns, new.columns)


@dataclass(frozen=True, slots=True)
class DataChange:
    """One DVC output whose content is not the same; None where a run does not have it.

    Attributes:
        files: What is added, removed, changed or moved; empty if that is not known.
        note: Why it is not known, and what to do about it.
    """

    path: str
    old: DataVersion | None
    new: DataVersion | None
    files: tuple[FileChange, ...] = ()
    note: str | None = None

    @property
    def rows(self) -> int | None:
        """How many more rows there are in all of its tables; None if that is not known, or it has none."""
        found = [change.rows for change in self.files if is_table(change.path)]
        known = [rows for rows in found if rows is not None]
        return sum(known) if found and len(known) == len(found) else None


def size_of(version: DataVersion) -> int | None:
    """Bytes of what a run read; None if only something else is on record."""
    return version.size if version.state == "matches" else None


def files_of(version: DataVersion) -> int | None:
    """How many files the folder had that a run read; None for a file, and if only something else is on record."""
    return version.files if version.state == "matches" else None


def fetch(project: Project, old: RunRecord, new: RunRecord) -> None:
    """Pull what the cache lacks of the data that differs between two runs; the workspace stays as it is.

    Raises:
        UserError: If one of the runs was never planned, or its snapshot is not in this repository.
        ServiceError: If data can neither be found nor pulled.
        HostError: If the disk refuses.
    """
    from kit import worktrees  # with all that changes data: those who only look do not wait for it

    cache = find_cache(project.root)
    specs = [spec_of(project, record) for record in (old, new)]
    before, after = ({version.path: version for version in spec.snapshot.data} for spec in specs)
    differing = [path for path in {*before, *after} if data_differs(before.get(path), after.get(path))]
    for spec, versions in zip(specs, (before, after), strict=True):
        lacking = tuple(
            versions[path] for path in differing if path in versions and cache and _is_lacking(cache, versions[path])
        )
        if lacking:
            wanted = replace(spec, snapshot=replace(spec.snapshot, data=lacking))
            with worktrees.restored(project, wanted, f"diff-{spec.run_id}"):
                pass  # to have it there, all of it had to be in the cache


def _is_lacking(cache: Cache, version: DataVersion) -> bool:
    """Whether DVC has a copy, and not here."""
    if version.used is None or version.state != "matches":
        return False
    if cache.find(version.used) is None:
        return True
    try:
        listing = cache.listing(version.used) if version.used.endswith(".dir") else {}
    except DamagedListing:  # DVC makes it anew
        return True
    return any(cache.find(md5) is None for md5 in (listing or {}).values())


def compare_data(
    project: Project, old: RunRecord, new: RunRecord, *, limits: Limits | None = None
) -> tuple[DataChange, ...]:
    """Look into every DVC output that differs. The workspace is not looked at, and nothing is downloaded.

    Raises:
        UserError: If one of the runs was never planned.
    """
    before, after = (spec_of(project, record).snapshot.data for record in (old, new))
    reader = Reader(project, f"`kit diff {old.run_id} {new.run_id} --fetch` gets it", limits=limits)
    return compare_versions(before, after, reader)


def compare_versions(old: Iterable[DataVersion], new: Iterable[DataVersion], reader: Reader) -> tuple[DataChange, ...]:
    """Look into every output of which there are two versions, or only one."""
    before, after = ({version.path: version for version in versions} for versions in (old, new))
    changes = (
        DataChange(path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if data_differs(before.get(path), after.get(path))
    )
    return tuple(map(reader.look_into, changes))


class Reader:
    """Looks into the versions of outputs, no longer than its limits allow.

    Args:
        project: Whose cache has them.
        fix: How to get what the cache lacks, in words that end a sentence.
        limits: None for as much as a look may take.
        workspace: What lies in the workspace now, and can be read there. Of what lay there once DVC has no copy.
    """

    def __init__(
        self, project: Project, fix: str, *, limits: Limits | None = None, workspace: Iterable[DataVersion] = ()
    ) -> None:
        self._project = project
        self._limits = limits or Limits()
        self._fix = fix
        self._workspace = frozenset(workspace)
        self._bytes = self._limits.all_csv_bytes
        self._tables = self._limits.tables
        self._known: dict[str, tuple[Content, str | None]] = {}
        self._files: dict[str, Path] = {}  # of the workspace, by hash

    @cached_property
    def _shapes(self) -> KnownShapes:
        return KnownShapes(self._project.paths.data_shapes)

    @cached_property
    def _found(self) -> Cache | str:
        """The cache, or why there is none."""
        try:
            return find_cache(self._project.root) or "this project has no `.dvc` any more"
        except KitError as error:
            return str(error)

    @property
    def _cache(self) -> Cache:
        assert isinstance(self._found, Cache)  # noqa: S101 - looked at first
        return self._found

    def look_into(self, change: DataChange) -> DataChange:
        """The same change, with its files."""
        if isinstance(self._found, str):
            return replace(change, note=self._found)
        listings = []
        for version in (change.old, change.new):
            try:
                found = self._listing(version)
            except (DamagedListing, OSError) as error:
                return replace(change, note=str(error))
            if found is None:
                return replace(change, note=self._lacking(change, version))
            listings.append(found)
        files = _files(*listings)
        return replace(change, files=tuple(self._measured(each) for each in files))

    def _lacking(self, change: DataChange, version: DataVersion | None) -> str:
        """Which version the cache does not have, and how to get it."""
        which = "old" if version is change.old else "new"
        if version is not None and version.state != "matches":
            return (
                f"the {which} version was in the workspace only ({version.state}): DVC has no copy of it; "
                f"`dvc add` or `dvc commit` before a run keeps one"
            )
        return f"the {which} version is not in the cache here: {self._fix}"

    def _listing(self, version: DataVersion | None) -> dict[str, str] | None:
        """The files of a version with their hashes; a file is one of its own. None if the cache does not have it."""
        if version is None or version.used is None:
            return {}
        if version in self._workspace and self._cache.find(version.used) is None:
            return self._lying(version)
        if version.used.endswith(".dir"):
            return self._cache.listing(version.used)
        return {version.path.rpartition("/")[2]: version.used} if self._cache.find(version.used) else None

    def _lying(self, version: DataVersion) -> dict[str, str]:
        """What of it the cache need not have."""
        listing = lying(self._project.root, version, cache=self._project.paths.data_hashes)
        place = self._project.root / version.path
        self._files |= {md5: place / name if place.is_dir() else place for name, md5 in listing.items()}
        return listing

    def _file(self, md5: str) -> Path | None:
        return self._cache.find(md5) or self._files.get(md5)

    def _measured(self, change: FileChange) -> FileChange:
        sides: dict[str, Content | None] = {"old": change.old, "new": change.new}
        note = None
        for side, content in sides.items():
            if content is not None:
                measured, why = self._content(change, content)
                sides[side], note = measured, note or why
        return replace(change, **sides, note=note)  # type: ignore[arg-type]

    def _content(self, change: FileChange, content: Content) -> tuple[Content, str | None]:
        """What can be said of one version of a file, and why no more can."""
        file = self._file(content.md5 or "")
        if file is None:
            return content, f"not in the cache here: {self._fix}"
        content = replace(content, size=file.stat().st_size)
        if not is_table(change.path) or change.kind == "moved":
            return content, None
        key = f"{content.md5}{PurePosixPath(change.path).suffix}"
        if key not in self._known:
            self._known[key] = self._read(change, content, file, key)
        return self._known[key]

    def _read(self, change: FileChange, content: Content, file: Path, key: str) -> tuple[Content, str | None]:
        if (known := self._shapes.get(key)) is not None:
            return replace(content, shape=known), None
        if self._tables <= 0:
            return content, f"more than {self._limits.tables:,} tables differ: its rows are not counted"
        self._tables -= 1
        try:
            shape, read = read_shape(file, change.path, most=min(self._limits.csv_bytes, self._bytes))
        except (NoShape, OSError) as error:
            return content, str(error)
        self._bytes -= read
        columns = {mask(name): kind for name, kind in shape.columns.items()}  # in a file of secrets, its first line
        told = Shape(shape.rows, columns)
        self._shapes.keep(key, told, read)
        return replace(content, shape=told), None


def _files(old: Mapping[str, str], new: Mapping[str, str]) -> list[FileChange]:
    """By path; a file that went and one that came with the same content is a file that moved."""
    gone: dict[str, list[str]] = defaultdict(list)
    for path in sorted(old.keys() - new.keys(), reverse=True):
        gone[old[path]].append(path)
    changes: list[FileChange] = []
    for path in sorted(new):
        if path in old and old[path] != new[path]:
            changes.append(FileChange(path, "changed", Content(old[path]), Content(new[path])))
        elif path not in old and (was := gone.get(new[path])):
            changes.append(FileChange(path, "moved", Content(new[path]), Content(new[path]), was=was.pop()))
        elif path not in old:
            changes.append(FileChange(path, "added", None, Content(new[path])))
    left: Iterable[str] = (path for paths in gone.values() for path in paths)
    changes += [FileChange(path, "removed", Content(old[path]), None) for path in left]
    return sorted(changes, key=lambda change: change.path)
