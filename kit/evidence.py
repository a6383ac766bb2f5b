"""What a run produced: its metrics, point by point, its parameters and its artifacts."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from kit import _files
from kit.models import MetricPoint, RunRecord
from kit.paths import RunPaths
from kit.project import Project
from kit.states import RunStatus
from kit.trackers.spool import points_of

__all__ = ["Evidence", "Point", "collect", "same"]


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric. `step` counts from 0, as the task logged it."""

    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that can be compared of what two runs produced.

    Attributes:
        series: The points of each metric, in the order in which they were logged; the metrics, too.
        params: The flattened config, and what the task recorded itself.
        artifacts: The SHA-256 of each file that the run kept, by its name.
        folder: Whether the run's own folder was there. Without it only the last value of each metric is known.
    """

    run_id: str
    status: RunStatus
    series: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    folder: bool = True

    @property
    def points(self) -> int:
        return sum(map(len, self.series.values()))


def collect(project: Project, record: RunRecord) -> Evidence:
    """Read what a run left in its folder and in the store.

    Raises:
        OSError: If an artifact cannot be read.
    """
    paths = project.paths.run(record.run_id)
    there = paths.spool.exists()
    series = _series(points_of(paths.spool)) if there else {}
    # A metric that the store alone knows, as after the folder was cleaned away, has its last value.
    for key, value in record.metrics.items():
        series.setdefault(key, [Point(0, value)])
    return Evidence(
        run_id=record.run_id,
        status=record.status,
        series={key: tuple(points) for key, points in series.items()},
        params=dict(record.params),
        artifacts=_artifacts(paths),
        folder=there,
    )


def same(one: float, other: float) -> bool:
    """Whether two values are the same bit for bit; every NaN is the same."""
    return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))


def _series(points: list[MetricPoint]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.key, []).append(Point(point.step, point.value))
    return found


def _artifacts(paths: RunPaths) -> dict[str, str]:
    files = sorted(path for path in paths.artifacts.rglob("*") if path.is_file())
    return {path.relative_to(paths.artifacts).as_posix(): _files.sha256(path) for path in files}
