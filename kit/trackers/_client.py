"""The way to MLflow through its own client: to local stores, and to servers that need more than kit knows."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from kit.models import MetricPoint
from kit.snapshot import DataVersion
from kit.trackers.service import Opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["ClientService", "made_client", "set_limits"]

_REMOTE = ("http:", "https:", "databricks")
_REMOTE_PATIENCE = 30.0
"""Seconds: what it does meanwhile, with a large file say, cannot be told."""


class ClientService:
    """A `Service` of MLflow's client."""

    def __init__(self, uri: str, *, locks: Path) -> None:
        self.patience = _REMOTE_PATIENCE if uri.startswith(_REMOTE) else None
        self.heard: Callable[[], None] = lambda: None
        self._client = made_client(uri, locks=locks)
        self._made: dict[str, Run] = {}

    def experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id)

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        made = self._client.create_run(experiment_id, run_name=name, tags=dict(tags))
        self._made[made.info.run_id] = made
        return str(made.info.run_id)

    def made(self, run_id: str) -> Run | None:
        return self._made.get(run_id)

    def tagged(self, experiment_id: str, key: str, value: str) -> list[str]:
        found = self._client.search_runs(
            [experiment_id], filter_string=f"tags.`{key}` = '{value}'", order_by=["attributes.start_time ASC"]
        )
        return [str(run.info.run_id) for run in found]

    def opened(self, run_id: str) -> Opened:
        run = self._client.get_run(run_id)
        return str(run.info.experiment_id), run.data.tags

    def set_status(self, run_id: str, status: str) -> None:
        if status == "RUNNING":
            self._client.update_run(run_id, status=status)
        else:
            self._client.set_terminated(run_id, status)

    def delete_run(self, run_id: str) -> None:
        self._client.delete_run(run_id)

    def delete_tag(self, run_id: str, key: str) -> None:
        self._client.delete_tag(run_id, key)

    def log_inputs(self, run_id: str, data: Sequence[DataVersion]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(name=version.path, digest=version.used, source_type="dvc", source=version.source),
                [InputTag("mlflow.data.context", "input"), InputTag("workspace", version.state)],
            )
            for version in data
        ]
        self._client.log_inputs(run_id, datasets=inputs)

    def log_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(each.key, each.value, round(each.timestamp * 1000), each.step) for each in points]
        self._client.log_batch(run_id, metrics=metrics)

    def log_params(self, run_id: str, values: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(run_id, params=[Param(key, value) for key, value in values.items()])

    def set_tags(self, run_id: str, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in values.items()])

    def log_artifact(self, run_id: str, path: Path, name: str) -> None:
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), artifact_path=name)
            return
        folder = str(Path(name).parent)
        inside = None if folder == "." else folder
        if self.patience is None and (made := self._made.get(run_id)) is not None:
            # The client would ask the store for all of the run, to know where its artifacts go.
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            get_artifact_repository(made.info.artifact_uri).log_artifact(str(path), artifact_path=inside)
        else:
            self._client.log_artifact(run_id, str(path), artifact_path=inside)


def made_client(uri: str, *, locks: Path) -> MlflowClient:
    """MLflow's client, patient only as long as a run may be kept waiting; makes the tables of a fresh store."""
    set_limits()
    with _made_once(uri, locks):
        from mlflow import MlflowClient

        for name in ("alembic", "mlflow.store.db", "mlflow.system_metrics"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return MlflowClient(uri)


@contextmanager
def _made_once(uri: str, locks: Path) -> Iterator[None]:
    """Let one process make a fresh SQLite store and the others wait: two at once would break it for good.

    The lock lies beside the file, which projects may share; that it was made is known to each project by itself.
    """
    mark = locks / f"mlflow-{hashlib.sha256(uri.encode()).hexdigest()[:12]}.made"
    file = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:") or (mark.exists() and file.exists()):
        yield
        return
    with filelock.FileLock(f"{file}.lock"):
        yield
        mark.touch()


def set_limits() -> None:
    """MLflow's own defaults wait over four minutes for a server that is down."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
