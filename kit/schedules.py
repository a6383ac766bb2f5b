"""The schedules of a project: every `conf/schedule/<name>.yaml`, read once and again when it changes."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kit import config
from kit._near import did_you_mean, nearest
from kit._plain_yaml import read_plain
from kit.errors import KitError, UserError, from_os_error
from kit.paths import safe_name
from kit.project import Project
from kit.schedule import Schedule, parse_schedule, reference_errors

__all__ = ["GROUP", "Loaded", "Schedules"]

GROUP = "schedule"
"""The config group that they are."""

_SUFFIX = ".yaml"
_OF_HYDRA = frozenset({"defaults", "hydra"})
"""Keys that Hydra takes for itself."""
_RACY = 2_000_000_000
"""Nanoseconds. A file may change again within its file system's tick and look the same; FAT's tick is the longest."""

_Identity = tuple[int, int, int, int, int]
"""Mode, size, mtime and ctime in nanoseconds, inode; another means that a file was changed or replaced."""

_GONE: _Identity = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What there was at one moment.

    Attributes:
        schedules: Those that can be used, by name, in order. One that is `after` a broken one is among them: it waits.
        broken: What is wrong with each of the others.
    """

    schedules: Mapping[str, Schedule]
    broken: Mapping[str, KitError]

    def find(self, name: str) -> Schedule:
        """The schedule of that name.

        Raises:
            KitError: What is wrong with it, if it is broken.
            UserError: If there is none.
        """
        if name in self.broken:
            raise self.broken[name]
        if name not in self.schedules:
            known = [*self.schedules, *self.broken]
            hint = did_you_mean(nearest(name, known)) or _listed(known)
            raise UserError(f"no schedule {name!r}", fix=hint)
        return self.schedules[name]


def _listed(names: list[str]) -> str:
    if not names:
        return "There are none yet: write one as conf/schedule/NAME.yaml."
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"The schedules: {', '.join(sorted(names)[:10])}{more}."


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file as it was read.

    Attributes:
        settled: Whether it looks the same only as long as it is the same.
        result: What it means, or what is wrong with it.
        sources: What else it was made from, and how that looked; None if that is unknown: anything may matter.
        generation: What the folder of the configs looked like then, as a number.
    """

    identity: _Identity
    settled: bool
    result: Schedule | KitError
    sources: Mapping[str, _Identity] | None
    generation: int


class Schedules:
    """Reads the schedules' files, each again only if it changed, or something that it is composed from.

    A file that stands for itself is read as plain YAML; one with a `defaults` list or an interpolation takes Hydra.
    Files whose names begin with a dot or an underscore are no schedules: an editor's, and what others are based on.
    """

    def __init__(self, project: Project) -> None:
        self._root = project.root
        self._config_dir = project.settings.config_dir
        self._folder = os.path.join(project.root, self._config_dir, GROUP)  # noqa: PTH118 (texts: they are quicker)
        self._entries: dict[str, _Entry] = {}
        self._tree: dict[str, _Identity] = {}
        self._generation = 0
        self._loaded = Loaded({}, {})

    def file(self, name: str) -> str:
        """A schedule's file, relative to the project."""
        return f"{self._config_dir}/{GROUP}/{name}{_SUFFIX}"

    def find(self, name: str) -> Schedule:
        """The schedule of that name, as it is now.

        Raises:
            KitError: What is wrong with it, if it is broken, or with the folder.
            UserError: If there is none.
        """
        return self.load().find(name)

    def load(self) -> Loaded:
        """All of them, as they are now; the same object as before if nothing has changed.

        Raises:
            HostError: If the folder cannot be read.
        """
        found = dict(_scan(self._folder))
        if any(entry.sources is None for entry in self._entries.values()):
            self._look_at_tree(found)
        looked: dict[str, _Identity] = {}
        before = self._entries
        self._entries = {
            name: old
            if (old := before.get(name)) is not None and old.identity == identity and self._is_fresh(old, looked)
            else self._entry(name, identity, old)
            for name, identity in found.items()
        }
        if before.keys() != self._entries.keys() or any(
            before[name].result is not entry.result for name, entry in self._entries.items()
        ):
            self._loaded = self._collected()
        return self._loaded

    def _look_at_tree(self, schedules: Mapping[str, _Identity]) -> None:
        tree = dict(schedules)
        for parent, _, names in os.walk(os.path.dirname(self._folder)):  # noqa: PTH120
            if parent != self._folder:
                tree |= {f"{parent}/{name}": _identity(f"{parent}/{name}") for name in names}
        if tree != self._tree:
            self._tree = tree
            self._generation += 1

    def _entry(self, filename: str, identity: _Identity, old: _Entry | None) -> _Entry:
        started = time.time_ns()
        result, sources = self._read(filename, identity)
        if old is not None and _says(old.result) == _says(result):
            result = old.result
        touched = max(max(made[2:4]) for made in (identity, *(sources or {}).values()))
        return _Entry(identity, abs(started - touched) > _RACY, result, sources, self._generation)

    def _is_fresh(self, entry: _Entry, looked: dict[str, _Identity]) -> bool:
        """Whether nothing else that it was made from has changed."""
        if not entry.settled or entry.sources is None:
            return entry.settled and entry.generation == self._generation
        for path, identity in entry.sources.items():
            if path not in looked:
                looked[path] = _identity(path)
            if looked[path] != identity:
                return False
        return True

    def _read(self, filename: str, identity: _Identity) -> tuple[Schedule | KitError, Mapping[str, _Identity] | None]:
        where = _shown(f"{self._config_dir}/{GROUP}/{filename}")
        sources: Mapping[str, _Identity] | None = {}
        try:
            name = _checked_name(filename, where)
            text = _text(f"{self._folder}/{filename}", identity, where)
            mapping = read_plain(text)
            if mapping is None or not _OF_HYDRA.isdisjoint(mapping):
                sources = None
                composed = config.compose_group(self._root, self._config_dir, f"{GROUP}/{name}")
                mapping = composed.config
                if "optional" not in text:  # what is not there yet is not among the files
                    paths = [os.path.join(self._root, file) for file in composed.files if file != where]  # noqa: PTH118
                    sources = {path: _identity(path) for path in paths}
            return parse_schedule(name, mapping, where=where), sources
        except KitError as error:
            return error, sources

    def _collected(self) -> Loaded:
        results = {_shown(name.removesuffix(_SUFFIX)): entry.result for name, entry in sorted(self._entries.items())}
        schedules = {name: result for name, result in results.items() if isinstance(result, Schedule)}
        broken = {name: result for name, result in results.items() if isinstance(result, KitError)}
        broken |= reference_errors(schedules, where=self.file, others=broken)
        return Loaded(
            {name: found for name, found in schedules.items() if name not in broken}, dict(sorted(broken.items()))
        )


def _scan(folder: str) -> Iterator[tuple[str, _Identity]]:
    """The names and identities of the files that should be schedules."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((_SUFFIX, ".yml")) and not entry.name.startswith((".", "_")):
                    identity = _identity(entry)
                    if identity != _GONE or entry.is_symlink():  # else it went away just now
                        yield entry.name, identity
    except FileNotFoundError:
        return
    except OSError as error:
        raise from_os_error(error) from error


def _identity(path: str | os.DirEntry[str]) -> _Identity:
    try:
        found = os.stat(path) if isinstance(path, str) else path.stat()  # noqa: PTH116 (for ten thousand files)
    except OSError:
        return _GONE
    return found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _checked_name(filename: str, where: str) -> str:
    name, suffix = os.path.splitext(filename)  # noqa: PTH122
    if suffix != _SUFFIX:
        raise UserError(f"Hydra reads {_SUFFIX} files only", where=where, fix=f"Rename it to {name}{_SUFFIX}.")
    try:
        return safe_name(name)
    except UserError as error:
        raise UserError(error.what, where=where, fix=error.fix) from error


def _text(path: str, identity: _Identity, where: str) -> str:
    if not stat.S_ISREG(identity[0]):
        raise UserError("there is no file", where=where, fix="Remove what is there, or mend the link.")
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read()
        return content.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8: {error.reason}", where=where, fix="Save the file as UTF-8.") from error
    except OSError as error:
        raise from_os_error(error) from error


def _shown(name: str) -> str:
    """Names of files need not be texts."""
    return name.encode(errors="backslashreplace").decode()


def _says(result: Schedule | KitError) -> object:
    return (type(result), str(result)) if isinstance(result, KitError) else result
