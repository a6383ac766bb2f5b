"""What a run is made from, taken down before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from kit import _clock, data, environment, vcs
from kit.project import Project
from kit.snapshot import DataVersion, Environment, Snapshot

__all__ = ["prepare_data", "take"]


def prepare_data(project: Project, *, repro: Sequence[str] = (), progress: bool) -> tuple[DataVersion, ...]:
    """Bring these DVC stages up to date, fetch what the workspace lacks, and say which data there is.

    Raises:
        ServiceError: If a stage fails, or missing data can neither be pulled nor made.
    """
    data.refresh(project.source, repro, progress=progress)
    cache = None if project.worktree else project.paths.data_hashes
    if not project.settings.pull:
        return data.versions(project.source, cache=cache)
    return data.ensure(project.source, cache=cache, progress=progress)


def take(
    project: Project,
    run_id: str,
    *,
    seed: int,
    versions: Sequence[DataVersion],
    command: tuple[str, ...] | None = None,
    packages: Environment | None = None,
) -> Snapshot:
    """Record code, data, environment, host, seed and command; environment and command by default of this process.

    Raises:
        UserError: If the project is in no git repository, or in one without commits.
    """
    packages, host = packages or environment.capture(project.source), environment.host()
    return Snapshot(
        # Last, since it leaves something behind: a ref.
        code=vcs.snapshot(project.source, run_id, max_bytes=project.settings.snapshot_max_bytes),
        data=tuple(versions),
        environment=packages,
        host=host,
        seed=seed,
        command=environment.command() if command is None else command,
        taken_at=_clock.now(),
    )
