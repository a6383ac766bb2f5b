"""The tracker that keeps everything in memory: for tests, users' ones too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kit.models import MetricPoint, RunSpec
from kit.states import RunStatus
from kit.trackers.base import Artifact, Entry, Metrics, Params, Tags

__all__ = ["MemoryTracker"]


class MemoryTracker:
    """A `Tracker` whose content is its attributes."""

    def __init__(self) -> None:
        self.points: list[MetricPoint] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.artifacts: dict[str, Path] = {}
        self.status: RunStatus | None = None
        self.reason: str | None = None

    def start(self, spec: RunSpec, params: Mapping[str, str]) -> str:
        self.params.update(params)
        self.tags.update(spec.tags)
        if spec.origin.kind == "sweep" and spec.origin.parent is not None:
            self.tags["mlflow.parentRunId"] = spec.origin.parent
        self.status = RunStatus.RUNNING
        return spec.run_id

    def start_sweep(self, sweep_id: str, *, experiment: str, tags: Mapping[str, str] | None = None) -> str:  # noqa: ARG002 - there is one run
        if "kit.sweep" not in self.tags:
            self.tags.update({"kit.sweep": sweep_id} | dict(tags or {}))
            self.status = RunStatus.RUNNING
        return sweep_id

    def resume(self, tracker_id: str) -> None:
        """Nothing is needed: there is one run."""

    def reopen(self) -> None:
        self.status = RunStatus.RUNNING
        self.reason = None

    def send(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            match entry:
                case Metrics(points):
                    self.points.extend(point for point in points if point not in self.points)
                case Params(values):
                    self.params.update(values)
                case Tags(values):
                    self.tags.update(values)
                case Artifact(path, name):
                    self.artifacts[name] = path

    def end(self, status: RunStatus, reason: str | None) -> None:
        self.status = status
        self.reason = reason
