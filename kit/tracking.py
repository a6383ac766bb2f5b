"""What the tracker is told of a run: while its task works, at its end, and afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from kit import control, crash
from kit._files import write_atomic
from kit.errors import KitError, ServiceError
from kit.models import RunRecord, RunSpec, from_json, masked, to_json
from kit.paths import RunPaths
from kit.project import Project, open_project
from kit.redact import mask
from kit.states import TERMINAL, RunStatus
from kit.stores.base import RunQuery
from kit.trackers.base import Artifact, Refused, Tags
from kit.trackers.sender import Sender
from kit.trackers.spool import deliver

if TYPE_CHECKING:
    from kit.trackers.mlflow import MlflowTracker

__all__ = ["Sent", "Tracking", "backlog", "sent_each", "settle", "settle_all", "sync", "tracking_uri"]

_MASKED_AT_ONCE = 1 << 20


class Tracking:
    """A run's way to its tracker, in the process of its task, which never waits long for it.

    Args:
        paths: The run's folder.
        spec: With its secrets.
        project: Which keeps the run.
        resumed: How many times it was resumed.
    """

    def __init__(self, paths: RunPaths, spec: RunSpec, project: Project, *, resumed: int) -> None:
        self._paths = paths
        self._spec = spec
        self._project = project
        self._resumed = resumed
        self._record: RunRecord | None = None
        self._tries = 0
        self._warned = False
        self._tracker: MlflowTracker | None = None
        self._sender: Sender | None = None

    def begin(self, record: RunRecord) -> None:
        """Start to track, and to send. A tracker that cannot be reached stops no run: the spool keeps everything.

        Args:
            record: The run, as the store has it now.
        """
        self._record = record
        try:
            self._tracker = tracker = _tracker(self._spec, self._project)
            if tracker.patience is not None:
                self._sender = sender = Sender(self._paths, tracker, begin=self._begin, patience=tracker.patience)
                tracker.listen(sender.heard)
                if not sender.wait_begun():
                    self._warn(sender.why())
                    return
            else:
                self._begin()
                self._sender = Sender(self._paths, tracker)
            tracker.activate()
        except ServiceError as error:
            self._warn(error)

    def _begin(self) -> None:
        assert self._tracker is not None  # noqa: S101 - for the type checker
        tracker, spec, store = self._tracker, self._spec, self._project.store
        record, self._record = self._record or store.get(spec.run_id), None
        # An answer that was lost may have been that to a run that has begun.
        known = record.mlflow_run_id or (tracker.find(spec) if self._resumed or self._tries else None)
        self._tries += 1
        if known is None:
            known = tracker.start(masked(spec), record.params)
        else:
            tracker.resume(known)
            tracker.reopen()
            if record.mlflow_run_id is None:  # it was begun, and perhaps no more than that
                tracker.describe(masked(spec), record.params)
        store.attach(spec.run_id, mlflow_run_id=known)
        if self._resumed:
            tracker.send([Tags({"kit.resumed": str(self._resumed)})])
        tracker.send(_inputs_of(self._paths))

    def finish(self, status: RunStatus, reason: str | None, hide: Callable[[str], str]) -> bool:
        """Send what is left, and say how the run ended; whether the tracker knows everything then."""
        tracker, sender = self._tracker, self._sender
        if tracker is None or sender is None:
            return False
        records: list[Artifact] = []
        failed: Exception | None = None
        try:
            control.flush_console()
            records = _records_of(self._paths, hide)
        except OSError as error:
            failed = error

        def end() -> None:
            try:
                for artifact in records:
                    tracker.send([artifact])
                    sender.heard()
            finally:
                tracker.end(status, reason)

        try:
            sender.finish(end)
            tracker.leave(status)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has ended as it has
            tracker.forget()
            failed = error
        if failed is not None:
            self._warn(failed)
        return failed is None

    def forget(self) -> None:
        """Have MLflow say nothing of the end: why this run was stopped only its supervisor can tell."""
        if self._tracker is not None:
            self._tracker.forget()

    def _warn(self, error: BaseException | None) -> None:
        """Once is enough: what was not there at the beginning need not be said to be missing at the end."""
        if not self._warned:
            print(f"warning: {mask(str(error))}", file=sys.stderr)  # noqa: T201
        self._warned = True


def settle(paths: RunPaths) -> None:
    """Tell the tracker what the store knows of a run that could not do so itself.

    Raises:
        ServiceError: If the tracker does not answer; the run stays marked as not tracked.
    """
    spec = masked(from_json(paths.spec.read_bytes(), RunSpec))
    project = open_project(Path(spec.project_root))
    with filelock.FileLock(paths.settling):
        record = project.store.get(spec.run_id)
        if record.tracked or not record.status.is_terminal:  # one that is resumed is not over, and needs its secrets
            return
        write_atomic(paths.spec, to_json(spec))
        tracker = _tracker(spec, project)
        # A run killed while it began may be known there without having said so here.
        known = tracker.find(spec, known=record.mlflow_run_id)
        if known is None:
            known = tracker.start(spec, record.params)
        else:
            tracker.resume(known)
            if record.mlflow_run_id is None:  # it was begun, and perhaps no more than that
                tracker.describe(spec, record.params)
        project.store.attach(spec.run_id, mlflow_run_id=known)
        tracker.end(record.status, record.reason)  # first: what follows may fail, and this is what matters most
        deliver(paths, tracker)
        tracker.send([*_inputs_of(paths), *_records_of(paths, crash.secrets_of(spec).mask)])
        project.store.attach(spec.run_id, tracked=True)


def backlog(project: Project) -> list[RunRecord]:
    """The runs that have ended and that the tracker does not know all of, the oldest first."""
    query = RunQuery(statuses=TERMINAL, tracked=False, descending=False)
    return [
        record
        for record in project.store.runs(query)
        if record.began and project.paths.run(record.run_id).is_told_from_here
    ]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one run, or sweep, of the backlog.

    Attributes:
        why: What kept it from the tracker; None if it has everything now.
    """

    id: str
    name: str
    why: KitError | None

    @property
    def is_unanswered(self) -> bool:
        """Whether the tracker did not answer: asking it for another one would be of no use."""
        return isinstance(self.why, ServiceError) and not isinstance(self.why, Refused)


def sync(project: Project) -> Iterator[Sent]:
    """Tell the tracker of every run that it does not know all of, the oldest first.

    What is wrong with one run holds up no other; once the tracker does not answer, no further one is tried.
    """
    return sent_each([(record.run_id, record.name, partial(_settled, project, record)) for record in backlog(project)])


def sent_each(backlog: Iterable[tuple[str, str, Callable[[], object]]]) -> Iterator[Sent]:
    """Send one after the other, as `sync` does: the id and name of each, and what sends it."""
    sent: Sent | None = None
    for one, name, send in backlog:
        if sent is None or not sent.is_unanswered:
            sent = Sent(one, name, _what_kept(send))
        else:
            sent = Sent(one, name, sent.why)
        yield sent


def _settled(project: Project, record: RunRecord) -> None:
    settle(project.paths.run(record.run_id))


def _what_kept(send: Callable[[], object]) -> KitError | None:
    try:
        send()
    except KitError as error:
        return error
    return None


def settle_all(root: Path) -> None:
    """The same, for nobody to see.

    Raises:
        KitError: The first thing that kept a run from the tracker; it waits for another time.
    """
    for sent in list(sync(open_project(root))):
        if sent.why is not None:
            raise sent.why


def _tracker(spec: RunSpec, project: Project) -> MlflowTracker:
    from kit.trackers.mlflow import MlflowTracker

    return MlflowTracker(tracking_uri(spec, project), locks=project.paths.locks)


def tracking_uri(spec: RunSpec, project: Project) -> str:
    """Where the run is tracked: what is kept of a spec has no password."""
    same = spec.tracking_uri == mask(project.tracking_uri)
    return project.tracking_uri if same else spec.tracking_uri


def _inputs_of(paths: RunPaths) -> list[Artifact]:
    return [Artifact(path, path.name) for path in (paths.config, paths.spec)]


def _records_of(paths: RunPaths, hide: Callable[[str], str]) -> list[Artifact]:
    """What the run printed, without the secrets that may be in it: others can read the tracker; and how it crashed."""
    paths.masked.mkdir(exist_ok=True)
    logs = [Artifact(_masked_copy(log, paths.masked, hide), f"logs/{log.name}") for log in paths.logs if log.exists()]
    return [*logs, *crash.artifacts(paths)]


def _masked_copy(log: Path, folder: Path, hide: Callable[[str], str]) -> Path:
    copy = folder / log.name
    with log.open(errors="replace") as source, copy.open("w") as target:
        while lines := source.readlines(_MASKED_AT_ONCE):
            target.write(hide("".join(lines)))
    return copy
