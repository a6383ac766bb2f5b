"""The tracker that is MLflow, in this process or behind a server."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from kit import redact
from kit._files import write_atomic
from kit._importing import after_import
from kit.errors import ServiceError, UserError
from kit.models import MetricPoint, RunSpec
from kit.states import RunStatus
from kit.trackers._active import Active
from kit.trackers._client import ClientService, made_client, set_limits
from kit.trackers._rest import RestService, is_plain
from kit.trackers.base import POINTS_PER_REQUEST, Artifact, Entry, Metrics, Params, Refused, Tags
from kit.trackers.service import Service

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["MlflowTracker", "client_of", "explained"]

_VALUES_PER_BATCH = 100
_TAG_CHARACTERS = 8000
_ENDS = {
    RunStatus.SUCCEEDED: "FINISHED",
    RunStatus.FAILED: "FAILED",
    RunStatus.LOST: "FAILED",
    RunStatus.TIMED_OUT: "KILLED",
    RunStatus.CANCELLED: "KILLED",
}
# What MLflow answers to a request that will never be right; anything else may pass later.
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}

_log = logging.getLogger(__name__)


class MlflowTracker:
    """One run in MLflow.

    Args:
        uri: Where MLflow keeps runs.
        locks: A folder for the locks and marks that let many first runs begin at once.
    """

    def __init__(self, uri: str, *, locks: Path) -> None:
        self._uri = uri
        self._locks = locks
        self._run_id = ""
        self._experiment_id = ""
        self._active: Active | None = None
        self._service = _service(uri, locks)

    def start(self, spec: RunSpec, params: Mapping[str, str]) -> str:
        with explained(self._uri):
            tags = _tags(spec)
            if spec.origin.kind == "sweep" and spec.origin.parent is not None:
                tags |= {"mlflow.parentRunId": self.start_sweep(spec.origin.parent, experiment=_experiment_name(spec))}
            self._experiment_id = self._service.experiment(_experiment_name(spec))
            self._run_id = self._service.create_run(self._experiment_id, spec.name, tags)
        self.describe(spec, params)
        return self._run_id

    def describe(self, spec: RunSpec, params: Mapping[str, str]) -> None:
        """Say what the run was made from, again if need be.

        Raises:
            ServiceError: If the service does not answer, or refuses.
        """
        with explained(self._uri):
            self.send([Params(params)])
            if used := [version for version in spec.snapshot.data if version.used is not None]:
                self._service.log_inputs(self._run_id, used)

    def start_sweep(self, sweep_id: str, *, experiment: str, tags: Mapping[str, str] | None = None) -> str:
        # Of the trials that begin at once, one begins it; and those of other experiments lie below the same one.
        mark = self._locks / f"sweep-{hashlib.sha256(f'{self._uri} {sweep_id}'.encode()).hexdigest()[:12]}.mlflow"
        with filelock.FileLock(self._locks / "sweeps.lock"), explained(self._uri):
            if mark.exists():
                known = mark.read_text()
            elif found := self._tagged("kit.sweep", sweep_id, experiment):
                known = found[0]
            else:
                named = {"kit.sweep": sweep_id} | {key: redact.mask(value) for key, value in (tags or {}).items()}
                known = self._service.create_run(self._service.experiment(experiment), sweep_id, named)
            write_atomic(mark, known)
        self._run_id = known
        return known

    @property
    def patience(self) -> float | None:
        """For how many seconds nothing may come back before a run goes on without it; None for a local file."""
        return self._service.patience

    def listen(self, heard: Callable[[], None]) -> None:
        """Have `heard` called whenever something comes back."""
        self._service.heard = heard

    def find(self, spec: RunSpec, *, known: str | None = None) -> str | None:
        """MLflow's id of a run that `start` began, also where nobody noted it: its answer may have been lost.

        Where several were begun so, one is kept, and the others, which have nothing that it has not, are deleted.

        Args:
            spec: The run's.
            known: The one to keep.

        Raises:
            ServiceError: If the service does not answer, or refuses.
        """
        if known is not None and self.patience is None:
            return known
        with explained(self._uri):
            found = self._tagged("kit.run_id", spec.run_id, _experiment_name(spec))
            kept = known or (found[0] if found else None)
            for other in found:
                if other != kept:
                    self._service.delete_run(other)
            return kept

    def _tagged(self, key: str, value: str, experiment: str) -> list[str]:
        """The oldest first."""
        return self._service.tagged(self._service.experiment(experiment), key, value)

    def resume(self, tracker_id: str) -> None:
        self._run_id = tracker_id

    def reopen(self) -> None:
        with explained(self._uri):
            self._experiment_id, tags = self._service.opened(self._run_id)
            self._service.set_status(self._run_id, "RUNNING")
            if "kit.reason" in tags:
                self._service.delete_tag(self._run_id, "kit.reason")

    def activate(self) -> None:
        """Make this the run that `import mlflow` finds in this process and those it starts.

        MLflow's own sampling of CPU, memory, disk, network and GPU begins with it. A script's own
        `with mlflow.start_run():` joins the run instead of being refused. Where the run is tracked without MLflow, all
        that begins when the task imports it.
        """
        os.environ["MLFLOW_TRACKING_URI"] = self._uri
        os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "2")
        if not isinstance(self._service, RestService):
            self._activate()
            return
        os.environ["MLFLOW_RUN_ID"] = self._run_id
        after_import("mlflow", lambda _: self._activate_or_warn())

    def _activate_or_warn(self) -> None:
        set_limits()
        try:
            self._activate()
        except ServiceError as error:  # the task, which imports it, has nothing to do with that
            _log.warning("%s", error)

    def _activate(self) -> None:
        with explained(self._uri):
            made = self._service.made(self._run_id)
            self._active = Active(self._uri, self._run_id, self._experiment_id, made)

    def leave(self, status: RunStatus) -> None:
        """End what `activate` began, in the same thread; the service was told by `end`, and answers.

        Raises:
            ServiceError: If it does not, after all.
        """
        active, self._active = self._active, None
        if active is None:
            return
        with explained(self._uri):
            if not active.leave(_ENDS[status]) and self.patience is None:
                self._service.set_status(self._run_id, _ENDS[status])

    def forget(self) -> None:
        """End it without a word to the service: else MLflow tells it FINISHED when the process exits, and waits."""
        active, self._active = self._active, None
        if active is not None:
            active.forget()

    def send(self, entries: Sequence[Entry]) -> None:
        self._send_points([point for entry in entries if isinstance(entry, Metrics) for point in entry.points])
        for entry in entries:
            with self._or_warned():
                match entry:
                    case Params(values):
                        self._send_params(values)
                    case Tags(values):
                        self._send_tags(values)
                    case Artifact(path, name):
                        self._send_artifact(path, name)

    @contextmanager
    def _or_warned(self) -> Iterator[None]:
        """What is refused for good must not hold up what comes after it."""
        try:
            with explained(self._uri):
                yield
        except Refused as error:
            _log.warning("%s", error.what)

    def end(self, status: RunStatus, reason: str | None) -> None:
        with explained(self._uri):
            if reason is not None:
                self._send_tags({"kit.reason": reason})
            if self._active is None or self.patience is not None:  # else `leave` says so, the same way as MLflow
                self._service.set_status(self._run_id, _ENDS[status])

    def _send_points(self, points: Sequence[MetricPoint]) -> None:
        odd = {f"kit.nonfinite.{point.key}": f"{point.value} at step {point.step}"
               for point in points if not math.isfinite(point.value)}  # fmt: skip
        if odd:  # MLflow's page breaks on NaN and its store changes infinities
            with self._or_warned():
                self._send_tags(odd)
        rest = (point for point in points if math.isfinite(point.value))
        while batch := list(islice(rest, POINTS_PER_REQUEST)):
            self._log_points(batch)

    def _log_points(self, points: Sequence[MetricPoint]) -> None:
        """One point that is refused must not take the others of its batch with it: the batch is halved."""
        try:
            with explained(self._uri):
                self._service.log_metrics(self._run_id, points)
        except Refused as error:
            if len(points) == 1:
                _log.warning("%s: %s", points[0].key, error.what)
                return
            half = len(points) // 2
            self._log_points(points[:half])
            self._log_points(points[half:])

    def _send_params(self, values: Mapping[str, str]) -> None:
        for batch in _in_batches(values):
            self._service.log_params(self._run_id, batch)

    def _send_tags(self, values: Mapping[str, str]) -> None:
        for batch in _in_batches({key: value[:_TAG_CHARACTERS] for key, value in values.items()}):
            self._service.set_tags(self._run_id, batch)

    def _send_artifact(self, path: Path, name: str) -> None:
        if path.exists():
            self._service.log_artifact(self._run_id, path, name)
        else:
            _log.warning("artifact %s is gone, not sent", path)


def client_of(uri: str, *, locks: Path) -> MlflowClient:
    """MLflow's client, patient only as long as a run may be kept waiting; makes the tables of a fresh store.

    Raises:
        ServiceError: If the service does not answer, or refuses.
    """
    with explained(uri):
        return made_client(uri, locks=locks)


def _service(uri: str, locks: Path) -> Service:
    if is_plain(uri):
        return RestService(uri)
    with explained(uri):
        return ClientService(uri, locks=locks)


def _in_batches(values: Mapping[str, str]) -> Iterator[dict[str, str]]:
    rest = iter(values.items())
    while batch := dict(islice(rest, _VALUES_PER_BATCH)):
        yield batch


def _experiment_name(spec: RunSpec) -> str:
    return f"{spec.project}/{spec.experiment}"


def _tags(spec: RunSpec) -> dict[str, Any]:
    code = spec.snapshot.code
    tags = {
        "kit.run_id": spec.run_id,
        "kit.experiment": spec.experiment,
        "kit.task": spec.task,
        "kit.origin": spec.origin.kind,
        "kit.host": spec.snapshot.host.name,
        "kit.seed": str(spec.snapshot.seed),
        "kit.base_commit": code.base,
        "kit.dirty": str(code.dirty).lower(),
        "kit.command": " ".join(spec.snapshot.command),
        "mlflow.source.git.commit": code.commit,
        "mlflow.source.git.branch": code.branch or "",
        "mlflow.source.name": spec.task,
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": spec.note or "",
    }
    if spec.origin.parent is not None:
        tags["kit.parent"] = spec.origin.parent
    if spec.origin.kind == "schedule":
        tags |= {
            "kit.schedule": spec.origin.parent or "",
            "kit.scheduled_at": "" if spec.origin.scheduled_at is None else spec.origin.scheduled_at.isoformat(),
            "kit.attempt": str(spec.origin.index),
        }
    return {key: redact.mask(value)[:_TAG_CHARACTERS] for key, value in (tags | spec.tags).items() if value}


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what MLflow and what lies below it raise into a ServiceError with a fix."""
    try:
        yield
    except (ServiceError, UserError):
        raise
    except Exception as error:
        where = redact.mask(uri)
        said = " ".join(str(error).split())[:300] or type(error).__name__
        code = getattr(error, "error_code", None)
        if code in _REFUSALS:
            fix = "See in MLflow whether the experiment is there; what was logged is kept."
            raise Refused(f"MLflow refused: {redact.mask(said)}", where=where, fix=fix) from error
        raise ServiceError(
            f"MLflow does not answer: {redact.mask(said)}",
            where=where,
            fix="`kit doctor` says which part is wrong; what was logged is kept, and sent when that is mended.",
        ) from error
