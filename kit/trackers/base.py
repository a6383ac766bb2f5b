"""What a tracker does; `mlflow` and `memory` are the twins that do it, under one contract suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from kit.errors import ServiceError
from kit.models import MetricPoint, RunSpec
from kit.states import RunStatus

__all__ = ["POINTS_PER_REQUEST", "Artifact", "Entry", "Metrics", "Params", "Refused", "Tags", "Tracker"]

POINTS_PER_REQUEST = 1000
"""MLflow takes no more at once."""


class Refused(ServiceError):
    """The service will never take this, however often it is asked."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Points of one or more metrics."""

    points: tuple[MetricPoint, ...]


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters, set once each."""

    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags, the last value counts."""

    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or folder at `path`, to be kept as `name` (`/` separates folders)."""

    path: Path
    name: str


Entry: TypeAlias = Metrics | Params | Tags | Artifact


class Tracker(Protocol):
    """One run's way to the place where runs are tracked."""

    def start(self, spec: RunSpec, params: Mapping[str, str]) -> str:
        """Begin to track a run; gives the tracker's own id for it.

        Raises:
            ServiceError: If the service does not answer, or refuses.
        """

    def start_sweep(self, sweep_id: str, *, experiment: str, tags: Mapping[str, str] | None = None) -> str:
        """Find the run that stands for a sweep, above its trials; begin it if there is none yet.

        It is a run like any other from here on: `send` gives it tags, metrics and artifacts, `end` ends it. A run that
        `start` begins and whose origin is a sweep finds it so by itself, and lies below it.

        Args:
            sweep_id: The sweep's id in kit, its name there, and its tag `kit.sweep`.
            experiment: `<project>/<experiment>`, where a new one is put.
            tags: More tags, for a new one.

        Returns:
            The tracker's own id for it.

        Raises:
            ServiceError: If the service does not answer, or refuses.
        """

    def resume(self, tracker_id: str) -> None:
        """Go on with a run that `start` began, in this process or another."""

    def reopen(self) -> None:
        """Say that the run, which has ended, goes on; why it ended is forgotten.

        Raises:
            ServiceError: If the service does not answer, or refuses.
        """

    def send(self, entries: Sequence[Entry]) -> None:
        """Deliver, in order. What was delivered before and comes again changes nothing.

        Raises:
            ServiceError: If the service does not answer; none or some of `entries` may have arrived.
        """

    def end(self, status: RunStatus, reason: str | None) -> None:
        """Say how the run ended; said again, the last word counts.

        Raises:
            ServiceError: If the service does not answer, or refuses.
        """
