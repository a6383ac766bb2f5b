"""Every version of one output that git has on record, with what came of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from kit import _git, data
from kit._dvc_record import read_commit
from kit._near import did_you_mean, nearest
from kit.compare_data import Reader
from kit.datasets._contents import Contents, contents, schema_changes
from kit.datasets._usage import runs_by_version
from kit.errors import UserError
from kit.models import RunRecord
from kit.project import Project
from kit.snapshot import DataVersion

__all__ = ["Version", "history"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an output, as a commit recorded it.

    Attributes:
        commit: In full; None for what is not committed yet.
        at: When it was committed.
        subject: The first line of what the commit says.
        more_rows: Than the version before has; None if that is not known.
        schema: How its columns differ from those of the version before.
        runs: That read it, the newest first.
    """

    commit: str | None
    at: datetime | None
    subject: str
    data: DataVersion
    contents: Contents
    more_rows: int | None = None
    schema: tuple[str, ...] = ()
    runs: tuple[RunRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class _Commit:
    name: str
    at: datetime
    subject: str


def history(project: Project, path: str, *, limit: int) -> list[Version]:
    """The versions of an output, the newest first: what lies in the working tree, if it is another, then commits'.

    Args:
        path: Relative to the project.
        limit: No more of them.

    Raises:
        UserError: If no output has that path, here or in a commit.
        HostError: If git is not installed.
    """
    path = os.path.normpath(path)
    here = data.versions(project.root, cache=project.paths.data_hashes)
    now = next((version for version in here if version.path == path), None)
    # One more than is told: what the oldest of them changed is told by the one before it.
    found = _distinct(project, path, now, limit + 1)
    if not found:
        known = [version.path for version in here]
        fix = did_you_mean(nearest(path, known)) or f"The outputs: {', '.join(known[:10]) or 'none yet'}."
        raise UserError(f"DVC has no output {path!r}, and had none", where=str(project.root), fix=fix)
    reader = Reader(project, "`dvc fetch --all-commits` gets it, if a remote has it", workspace=here)
    used = runs_by_version(project)
    versions = [
        Version(
            commit=None if commit is None else commit.name,
            at=None if commit is None else commit.at,
            subject="not committed" if commit is None else commit.subject,
            data=version,
            contents=contents(version, reader),
            runs=tuple(used.get((path, version.used or ""), ())),
        )
        for commit, version in found
    ]
    return [_with_changes(*pair) for pair in zip(versions, [*versions[1:], None], strict=True)][:limit]


def _with_changes(version: Version, before: Version | None) -> Version:
    if before is None:
        return version
    old, new = before.contents.rows, version.contents.rows
    more = None if old is None or new is None else new - old
    return replace(version, more_rows=more, schema=tuple(schema_changes(before.contents, version.contents)))


def _distinct(
    project: Project, path: str, now: DataVersion | None, limit: int
) -> list[tuple[_Commit | None, DataVersion]]:
    """Each version once, by the commit that brought it: the oldest of those in a row that have it."""
    found: list[tuple[_Commit | None, DataVersion]] = []
    if now is not None and now.used is not None:
        found.append((None, now))
    git = _git.offline(project.root)
    for commit in _commits(project.root, path, now):
        recorded = read_commit(project.root, commit.name, git).outputs
        output = next((output for output in recorded if output.path == path), None)
        if output is None or output.md5 is None:
            continue
        if found and found[-1][1].used == output.md5:
            found[-1] = (commit, found[-1][1])
            continue
        if len(found) >= limit:
            break
        version = DataVersion(path, output.md5, output.size, output.files, "matches", output.source, output.stage)
        found.append((commit, version))
    return found


def _commits(root: Path, path: str, now: DataVersion | None) -> Iterator[_Commit]:
    """Those that touched a file that may record the output, along the branch's own line, the newest first."""
    sources = {":(top,glob)**/dvc.lock", f":(literal){path}.dvc", *([] if now is None else [f":(literal){now.source}"])}
    text = _git.run(root, "log", "--first-parent", "-z", "--format=%H%x09%cI%x09%s", "--", *sorted(sources))
    for entry in text.decode("utf-8", "replace").split("\0"):
        if entry.strip():
            name, at, subject = entry.strip().split("\t", 2)
            yield _Commit(name, datetime.fromisoformat(at), subject)
