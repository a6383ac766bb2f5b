"""One copy of a run on a machine that an engine chose: it takes the lease, restores the project, and supervises.

    python -P -m kit._node RUN_FOLDER [--scratch FOLDER] [--job ID] [--listen [--stop-after SECONDS]]
    python -P -m kit._node --parcel FOLDER ...

It needs the run's folder, the repository and the store, and nothing of whoever submitted it: neither its process nor
its working tree. A parcel has the former two; what is made of it is gone when all is told. The engine may start this
again for the same run, while the one before still lives or after it was asked to make room: the run goes on from its
last checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kit import _clock, checkpoints, worktrees
from kit._files import write_atomic
from kit._process import ProcessId, boot_id, is_alive, this_process
from kit.crash import secrets_of
from kit.errors import ExitCode, HostError, KitError
from kit.executors import _copies
from kit.executors._lease import LEASE_SECONDS, Lease
from kit.executors._listening import listen
from kit.executors._logs import echoed
from kit.executors._parcel import unpack
from kit.executors._ray_code import carried
from kit.executors._supervisor import Supervisor
from kit.executors._telling import tell_tracker
from kit.executors.registry import executor_named
from kit.models import Launch, RunRecord, RunSpec, from_json, masked, to_json
from kit.outcomes import Outcome, Stop
from kit.paths import RunPaths
from kit.project import Project, open_project
from kit.redact import mask
from kit.states import IllegalTransition, RunStatus
from kit.stores.base import RUN_PATIENCE
from kit.trackers.spool import last_metrics, params_of

__all__ = ["main"]

_LOOK = 1.0
_TELLING = 600.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kit._node")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("run", type=Path, nargs="?")
    what.add_argument("--parcel", type=Path)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--job", default=os.environ.get("SLURM_JOB_ID"))
    parser.add_argument("--listen", action="store_true")
    parser.add_argument("--stop-after", type=float)
    options = parser.parse_args(arguments)
    options.scratch = options.scratch or Path(tempfile.gettempdir())
    try:
        if options.parcel is None:
            return _run(RunPaths(options.run), options)
        with _unpacked(options.parcel, options.scratch) as run:
            return _run(run, options)
    except KitError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code


@contextlib.contextmanager
def _unpacked(parcel: Path, scratch: Path) -> Iterator[RunPaths]:
    """What is in a parcel, for as long as the block lasts; but what was not told of stays."""
    opened = unpack(parcel, scratch)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, opened.folder, ignore_errors=True)
        try:
            yield opened.run
        except _Untold:
            stack.pop_all()
            raise


def _run(run: RunPaths, options: argparse.Namespace) -> int:
    """See this copy of the run through; gives the job's exit code."""
    launch = from_json(run.launch.read_bytes(), Launch)
    os.chdir(launch.project_root)
    project = open_project(Path(launch.project_root), patience=RUN_PATIENCE)
    before = project.store.get(launch.run_id)
    _refuse_distant_file(project, before)
    try:
        record = project.store.lease(launch.run_id, at=_clock.now(), holder=this_process())
    except IllegalTransition:
        return ExitCode.OK  # it has ended by now: this copy was started for nothing
    if options.listen:
        listen(run, stop_after=options.stop_after)
    return _Copy(project, run, launch, record, options).run(before)


def _refuse_distant_file(project: Project, record: RunRecord) -> None:
    """A database in a file is safe among the processes of one machine only."""
    starter = record.starter
    if project.store_server is None and starter is not None and _machine(starter.boot) != _machine(boot_id()):
        raise HostError(
            "the run store is a file of another machine",
            where=str(project.paths.store),
            fix="Keep it on a server that nodes reach: `KIT_STORE=postgresql://...`, or [tool.kit] store.",
        )


def _machine(boot: str) -> str:
    return boot.partition("/")[0]


class _Copy:
    """This copy of the run."""

    def __init__(
        self, project: Project, run: RunPaths, launch: Launch, record: RunRecord, options: argparse.Namespace
    ) -> None:
        self._project = project
        self._run = run
        self._launch = launch
        self._record = record
        self._job: str | None = options.job
        self._scratch: Path = options.scratch
        self._is_alone = options.parcel is not None
        self._token = record.token or 1
        self._lease = Lease(run, self._token, by_signal=self._is_alone)

    def run(self, before: RunRecord) -> int:
        """See it through; gives the job's exit code."""
        code = self._seen_through(before)
        if self._is_alone:
            self._tell_all()
        return code

    def _seen_through(self, before: RunRecord) -> int:
        try:
            if not self._outlived(before):
                return ExitCode.OK
            stop, warned, step = self._supervised()
        except (KitError, OSError) as error:
            text = error.what if isinstance(error, KitError) else str(error)
            print(mask(str(error)), file=sys.stderr)  # noqa: T201
            code = error.exit_code if isinstance(error, KitError) else ExitCode.HOST
            self._end(Outcome(RunStatus.FAILED, code, mask(text)))
            return code
        if stop is Stop.INTERRUPTED and not (warned and not self._go_on(step)):
            return ExitCode.CANCELLED
        _copies.close(self._run, self._token)
        return self._project.store.get(self._launch.run_id).exit_code or ExitCode.OK

    def _outlived(self, before: RunRecord) -> bool:
        """Wait until the copy before this one has ended for sure; False if this one has no say any more."""
        while (holder := before.supervisor) is not None and not _is_gone(holder, before):
            time.sleep(_LOOK)
            if not self._lease.is_held_quietly(self._project.store):
                return False
        return True

    def _supervised(self) -> tuple[Stop | None, bool, int]:
        """Supervise it; gives why it was stopped, whether by its time limit, and the checkpoint that it began from."""
        spec = from_json(self._run.spec.read_bytes(), RunSpec)
        place = self._scratch / f"kit-{hashlib.sha256(os.fsencode(self._project.root)).hexdigest()[:12]}"
        copy = _copies.begin(self._run, self._token)
        found = checkpoints.latest(copy)
        with worktrees.restored(self._project, spec, f"{spec.run_id}-{self._token}", under=place) as restored:
            worktree = str(restored.source)
            os.environ.update(carried(restored.source, self._project.settings.package))
            write_atomic(copy.spec, to_json(replace(spec, worktree=worktree)), mode=0o600)
            launch = replace(
                self._launch,
                worktree=worktree,
                token=self._token,
                resumed=self._launch.resumed + self._token - 1 - (self._launch.token or 0),
            )
            write_atomic(copy.launch, to_json(launch))
            supervisor = Supervisor(copy, launch, lease=self._lease)
            with echoed(copy, secrets_of(spec).mask) if self._is_alone else contextlib.nullcontext():
                supervisor.supervise()
        with contextlib.suppress(OSError):  # other copies may be there
            place.rmdir()
        if supervisor.stopped not in {Stop.INTERRUPTED, Stop.FENCED}:
            write_atomic(self._run.spec, to_json(masked(spec)))  # nobody begins with it any more
        return supervisor.stopped, supervisor.warned, -1 if found is None else found.step

    def _go_on(self, step: int) -> bool:
        """Have the engine start this job once more, if that would be of use; else the run has ended here."""
        found = checkpoints.latest(_copies.folder_of(self._run, self._token))
        limit = "stopped at its job's time limit"
        if found is None or found.step <= step:
            why = f"{limit}; it left no checkpoint to go on from"
        elif self._queued_again():
            return True
        else:
            why = f"{limit}; the job could not be queued again"
        self._end(Outcome(RunStatus.TIMED_OUT, ExitCode.TIMED_OUT, why))
        return False

    def _queued_again(self) -> bool:
        project, record = self._project, self._record
        engine = executor_named(record.executor, project.paths, project.store, project.settings)
        with contextlib.suppress(KitError):
            return engine.again(record, self._job)
        return False

    def _end(self, outcome: Outcome) -> None:
        copy, store = _copies.folder_of(self._run, self._token), self._project.store
        try:
            store.finish(
                self._launch.run_id,
                outcome,
                at=_clock.now(),
                metrics=last_metrics(copy.spool),
                params=params_of(copy.spool),
                token=self._token,
            )
        except IllegalTransition:
            return
        self._tell()

    def _tell(self) -> None:
        telling = tell_tracker(self._run, self._project.root)
        while telling.poll() is None:
            time.sleep(0.1)

    def _tell_all(self) -> None:
        """Where nobody else has what the run left: see that its tracker gets it.

        Raises:
            _Untold: If it does not take it.
        """
        until = time.monotonic() + _TELLING
        while (record := self._project.store.get(self._launch.run_id)).status.is_terminal:
            if record.tracked or record.token != self._token:
                return
            if time.monotonic() > until:
                raise _Untold(
                    "MLflow does not take what the run left", where=f"{socket.gethostname()}:{self._run.root}"
                )
            self._tell()
            time.sleep(_LOOK)


class _Untold(HostError):
    """What a run left is still only where it ran."""


def _is_gone(holder: ProcessId, record: RunRecord) -> bool:
    if holder.boot == boot_id():
        return not is_alive(holder)
    heard = record.heartbeat_at or record.created_at
    return (_clock.now() - heard).total_seconds() > LEASE_SECONDS


if __name__ == "__main__":
    sys.exit(main())
