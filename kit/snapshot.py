"""What a run was made from: the versions of its code, data and environment, and the machine. Plain frozen records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["CodeVersion", "DataVersion", "Environment", "Host", "OmittedFile", "Snapshot"]


@dataclass(frozen=True, slots=True)
class OmittedFile:
    """An untracked file that the code snapshot names but does not store."""

    path: str
    size: int
    sha256: str | None
    """None when even the hash is withheld, as for files that look like secrets."""
    reason: Literal["large", "secret", "unreadable"]


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """The exact working tree, as a git commit.

    Attributes:
        commit: The snapshot commit, reachable from `ref`; its tree is the working tree, uncommitted work included.
        base: The commit HEAD was at.
        branch: The branch HEAD was on; None when detached.
        dirty: Whether the working tree differed from `base`.
        ref: `refs/kit/runs/<run_id>`.
        omitted: Untracked files left out of the commit, with the reason.
    """

    commit: str
    base: str
    branch: str | None
    dirty: bool
    ref: str
    omitted: tuple[OmittedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class DataVersion:
    """One DVC output, as recorded in its `.dvc` file or in `dvc.lock`.

    Attributes:
        path: Relative to the project root, `/` separated.
        md5: DVC's hash; a directory's ends in `.dir`. None: declared but never produced.
        size: Bytes, None when not recorded.
        files: Number of files for a directory, None for a file.
        state: How the workspace compares with what is recorded.
        source: The `.dvc` or `dvc.lock` file that records it.
        stage: The stage in `dvc.yaml` that produces it; None for `dvc add`.
        found: The hash of what lies in the workspace, if it is not what is recorded and can be read.
    """

    path: str
    md5: str | None
    size: int | None
    files: int | None
    state: Literal["matches", "modified", "missing", "unrecorded"]
    source: str
    stage: str | None = None
    found: str | None = None

    @property
    def used(self) -> str | None:
        """The hash of what a run reads, recorded or not; None where nothing lies."""
        return self.md5 if self.state == "matches" else self.found

    @property
    def label(self) -> str:
        """A short name for it, with a mark where DVC does not know it."""
        return (self.used or "none")[:8] + ("" if self.state == "matches" else f" ({self.state})")


@dataclass(frozen=True, slots=True)
class Environment:
    """Interpreter and packages. `packages` maps normalised names to versions, sorted."""

    python: str
    implementation: str
    executable: str
    packages: dict[str, str]
    lock_file: str | None
    lock_sha256: str | None

    def others(self, own: str) -> dict[str, str]:
        """The packages but the one called `own`: a project's own is its code, whichever of it is installed."""
        name = re.sub(r"[-_.]+", "-", own).lower()
        return {package: version for package, version in self.packages.items() if package != name}


@dataclass(frozen=True, slots=True)
class Host:
    """The machine. `memory` in bytes; `gpus` one `name, memory, driver` text each."""

    name: str
    system: str
    machine: str
    cpu: str
    cores: int
    memory: int
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a run was made from."""

    code: CodeVersion
    data: tuple[DataVersion, ...]
    environment: Environment
    host: Host
    seed: int
    command: tuple[str, ...]
    taken_at: datetime
