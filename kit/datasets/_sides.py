"""Two versions of all outputs: those of a commit, of a run, or of the working tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kit import data, runs
from kit.compare import spec_of
from kit.compare_data import DataChange, Reader, compare_versions
from kit.errors import UserError
from kit.project import Project
from kit.snapshot import DataVersion

__all__ = ["Compared", "compare"]

_HERE = "the working tree"
_LAST = re.compile(r"last(~\d+)?")


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs; `old` and `new` say what was compared."""

    old: str
    new: str
    changes: tuple[DataChange, ...]


def compare(project: Project, old: str | None, new: str | None) -> Compared:
    """Compare the data of two commits or runs.

    Args:
        old: A run as every command takes it, or else a git revision; None for HEAD.
        new: None for the working tree.

    Raises:
        UserError: If one of them is neither.
    """
    here = [each for each in data.versions(project.root, cache=project.paths.data_hashes) if each.used is not None]
    old_name, before = _side(project, old or "HEAD")
    new_name, after = (_HERE, here) if new is None else _side(project, new)
    reader = Reader(project, "`dvc fetch --all-commits` gets it, if a remote has it", workspace=here)
    return Compared(old_name, new_name, compare_versions(before, after, reader))


def _side(project: Project, name: str) -> tuple[str, Sequence[DataVersion]]:
    if _LAST.fullmatch(name) or project.store.ids(name, limit=1):
        record = runs.find(project, name)
        versions = spec_of(project, record).snapshot.data
        return f"run {record.run_id}", [version for version in versions if version.used is not None]
    try:
        return f"commit {name}", data.at_commit(project.root, name)
    except UserError as error:
        if not error.what.startswith("no revision"):
            raise
        what = f"{name!r} is neither a run nor a git revision"
        raise UserError(what, where=str(project.root), fix=error.fix) from error
