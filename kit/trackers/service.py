"""What kit asks of MLflow, whichever way it reaches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from kit.models import MetricPoint
from kit.snapshot import DataVersion

__all__ = ["Opened", "Service"]

Opened = tuple[str, Mapping[str, str]]
"""The experiment of a run, and its tags."""


class Service(Protocol):
    """MLflow, as plain values. Everything raises what MLflow, or the way to it, raises: see `mlflow.explained`.

    Attributes:
        patience: For how many seconds nothing may come back before a run goes on without it; None for a local file,
            which is waited for.
        heard: Called whenever something comes back, or a piece of a file went out, where that can be told.
    """

    patience: float | None
    heard: Callable[[], None]

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made if there is none."""

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """The id of a new run, under way."""

    def made(self, run_id: str) -> object | None:
        """The run as MLflow's own client made it in this process; None if it did not."""

    def tagged(self, experiment_id: str, key: str, value: str) -> list[str]:
        """The runs that have a tag, the oldest first."""

    def opened(self, run_id: str) -> Opened:
        """What is known of a run."""

    def set_status(self, run_id: str, status: str) -> None:
        """`RUNNING`, or how it ended, now."""

    def delete_run(self, run_id: str) -> None:
        """Put it into MLflow's trash."""

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag that is there."""

    def log_inputs(self, run_id: str, data: Sequence[DataVersion]) -> None:
        """Note which data it uses."""

    def log_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Add points, no more than fit into one request."""

    def log_params(self, run_id: str, values: Mapping[str, str]) -> None:
        """Add parameters, no more than fit into one request."""

    def set_tags(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags, no more than fit into one request."""

    def log_artifact(self, run_id: str, path: Path, name: str) -> None:
        """Keep a file, or a folder, as `name`."""
