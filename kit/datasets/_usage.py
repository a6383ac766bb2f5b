"""Who uses an output: runs, by the version that they read; schedules, that wait for it or make it; stages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit._dvc_files import Output
from kit.models import RunRecord
from kit.project import Project
from kit.schedule import Schedule
from kit.schedules import Schedules
from kit.stores.base import RunQuery
from kit.triggers import OnData

__all__ = ["LOOKED_AT", "Usage", "Users", "runs_by_version", "usage"]

LOOKED_AT = 1000
"""Runs, the newest ones. Each is read for the data that it had."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Who uses one output.

    Attributes:
        runs: Those that read the version that is there now, the newest first.
        schedules: Names.
        stages: Those of `dvc.yaml` that read it.
    """

    runs: tuple[RunRecord, ...] = ()
    schedules: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


@dataclass(slots=True)
class Users:
    """Everyone who uses data of the project."""

    runs: Mapping[tuple[str, str], list[RunRecord]]
    schedules: Iterable[Schedule] = ()
    outputs: Iterable[Output] = field(default_factory=list)

    def of(self, path: str, version: str | None) -> Usage:
        """Who uses an output, and this version of it."""
        own = next((output for output in self.outputs if output.path == path), None)
        reads = set() if own is None else {each.stage for each in self.outputs if _reads(each, own) and each.stage}
        stage = None if own is None else own.stage
        return Usage(
            runs=tuple(self.runs.get((path, version or ""), ())),
            schedules=tuple(each.name for each in self.schedules if _uses(each, path, stage)),
            stages=tuple(sorted(reads)),
        )


def usage(project: Project, outputs: Iterable[Output]) -> Users:
    """Who uses the data of a project, now.

    Raises:
        HostError: If the store cannot be read.
    """
    schedules = Schedules(project).load().schedules.values()
    return Users(runs_by_version(project), tuple(schedules), tuple(outputs))


def runs_by_version(project: Project) -> dict[tuple[str, str], list[RunRecord]]:
    """The runs that read each version of each output, by path and hash, the newest first."""
    found: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for record in project.store.runs(RunQuery(limit=LOOKED_AT)):
        spec = project.store.spec(record.run_id)
        for version in () if spec is None else spec.snapshot.data:
            if version.used is not None:
                found[version.path, version.used].append(record)
    return found


def _uses(schedule: Schedule, path: str, stage: str | None) -> bool:
    waits = isinstance(schedule.trigger, OnData) and _overlap(Path(schedule.trigger.path), Path(path))
    return waits or (stage is not None and stage in schedule.repro)


def _reads(output: Output, other: Output) -> bool:
    """Whether one is made from the other."""
    return any(_overlap(need, other.file) for need in output.dependencies)


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
