"""Runs as jobs of a Ray cluster: each is one job whose entrypoint starts `kit._node` on a node.

A job's id follows from the run's id and a number, and Ray refuses a second job of the same id: whoever submits, and
however often, there is one. Ray starts no job again whose node is gone; whoever hears of it here does, under the next
number (`Word.again`), and the lease sees to it that only one copy counts.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kit._files import write_atomic
from kit.errors import ExitCode, HostError
from kit.executors._handle import EngineHandle
from kit.executors._listening import AT_ONCE, POLITELY
from kit.executors._logs import last_words, read_log
from kit.executors._parcel import expect_servers, pack
from kit.executors._ray_jobs import Job, RayJobs
from kit.executors.base import Word
from kit.models import Launch, RunRecord, RunSpec, from_json
from kit.outcomes import Outcome
from kit.paths import ProjectPaths, RunPaths
from kit.redact import mask
from kit.resources import Resources
from kit.settings import ExecutorSettings
from kit.states import RunStatus
from kit.stores.base import Store

__all__ = ["RayExecutor", "job_id"]

_STORE = "KIT_STORE"
_POLL = 1.0
_TELLING = 150.0
"""Seconds that a run which was asked to stop may need besides its grace, to tell its tracker."""


def job_id(run_id: str, number: int) -> str:
    """What the run's job of this number is called, whoever submits it."""
    return f"kit-{run_id}-{number}"


class RayExecutor:
    """The executor for a cluster whose nodes share the project's folder, or get what a run needs with its job."""

    def __init__(self, paths: ProjectPaths, store: Store, settings: ExecutorSettings) -> None:
        self._paths = paths
        self._store = store
        self._settings = settings
        self._uploads = settings.delivery == "upload"
        self._jobs = RayJobs(settings.address)

    def submit(self, launch: Launch, *, interactive: bool = False, attached: bool = True) -> EngineHandle:  # noqa: ARG002
        run = self._paths.run(launch.run_id)
        if self._uploads:
            expect_servers(self._paths, run)
        if not self._settings.autoscales:
            self._jobs.expect_room(_needs(run))
        before = self._jobs.find([launch.run_id])[launch.run_id] if launch.resumed else []
        self._submit(run, job_id(launch.run_id, 1 + max((job.number for job in before), default=0)))
        return self.handle(launch.run_id)

    def handle(self, run_id: str) -> EngineHandle:
        """For a run that was submitted, by whomever."""
        return EngineHandle(run_id, self, self._store)

    def again(self, record: RunRecord, job: str | None) -> bool:
        if job is None:
            return False
        number = Job(job, "").number + 1
        self._submit(self._paths.run(record.run_id), job_id(record.run_id, number))
        return True

    def _submit(self, run: RunPaths, job: str) -> None:
        needs = _needs(run)
        with self._uploaded(run) as folder:
            self._jobs.submit(job, self._entrypoint(run, job, needs), needs, self._variables(run), folder)
        self._store.attach(run.root.name, job=job)

    @contextlib.contextmanager
    def _uploaded(self, run: RunPaths) -> Iterator[Path | None]:
        """A folder with all that the run needs; nothing where nodes share the project's."""
        if not self._uploads:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="kit-parcel-") as folder:
            pack(self._paths, run, Path(folder))
            run.elsewhere.touch()
            try:
                yield Path(folder)
            except BaseException:
                run.elsewhere.unlink(missing_ok=True)
                raise

    def _entrypoint(self, run: RunPaths, job: str, needs: Resources) -> str:
        """Lines of shell. What is printed goes where every executor has it, and to Ray only where there is no such."""
        settings = self._settings
        node = [settings.python or sys.executable, "-P", "-m", "kit._node", f"--job={job}", "--listen"]
        if needs.time is not None:
            node.append(f"--stop-after={max(needs.time - settings.warning, needs.time / 2):g}")
        if self._uploads:
            first, rest = 'kit_parcel="$PWD"', ['--parcel "$kit_parcel"']
        else:
            folder, root, into = (shlex.quote(str(path)) for path in (run.root, self._paths.root, run.supervisor_log))
            first, rest = f"cd {root} || exit 3", [folder, f">>{into} 2>&1"]
        if settings.scratch:
            rest.insert(0, f'--scratch "{settings.scratch}"')  # the node's shell knows its variables
        return "\n".join([first, *settings.setup, " ".join(["exec", shlex.join(node), *rest])])

    def _variables(self, run: RunPaths) -> dict[str, str]:
        """What a job has besides its node's own environment. Whoever may ask Ray can read it.

        Raises:
            HostError: If there is a secret in what every job needs.
        """
        names = self._settings.env
        given = {name: os.environ[name] for name in (*names, _STORE) if name in os.environ}
        if _STORE not in names and (store := given.get(_STORE)) is not None and mask(store) != store:
            fix = "Keep it in ~/.pgpass where nodes find it; or add `KIT_STORE` to `env` in [tool.kit.executors.NAME]."
            raise HostError("the password in KIT_STORE would be shown to all who may ask Ray", where=_STORE, fix=fix)
        grace = from_json(run.launch.read_bytes(), Launch).limits.grace
        if (address := self._settings.address) is not None:  # to ask for the next job from within this one
            given = {"RAY_API_SERVER_ADDRESS": address} | given
        return {"RAY_JOB_STOP_WAIT_TIME_S": str(round(grace + _TELLING))} | given

    def status(self, records: Sequence[RunRecord]) -> dict[str, Word]:
        found = self._jobs.find([record.run_id for record in records])
        return {record.run_id: self._word(record, found[record.run_id]) for record in records}

    def _word(self, record: RunRecord, jobs: Sequence[Job]) -> Word:
        alive = [job for job in jobs if job.is_alive]
        if alive:
            return Word(alive[-1].id, None)
        run = self._paths.run(record.run_id)
        if run.cancelled.exists() or (jobs and jobs[-1].state == "STOPPED"):
            why = "cancelled on request" if run.cancelled.exists() else "stopped in Ray"
            return Word(jobs[-1].id if jobs else record.job, Outcome(RunStatus.CANCELLED, ExitCode.CANCELLED, why))
        if not jobs:
            return self._forgotten(record)
        last = jobs[-1]
        reason = f"its job {last.id} ended: {last.state}: {last_words(run) or last.told or 'no reason given'}"
        died = sum(job.has_died for job in jobs)
        # What an uploaded run wrote is gone with its node; half of it was told already.
        again = last.has_waited_in_vain or (last.has_died and died <= self._settings.restarts and not self._uploads)
        return Word(last.id, Outcome(RunStatus.LOST, ExitCode.RUN, reason), again=again)

    def _forgotten(self, record: RunRecord) -> Word:
        """What Ray says that knows no job of the run: a head that was started anew knows none from before."""
        lost = Outcome(RunStatus.LOST, ExitCode.RUN, "Ray knows no job of it")
        begun = record.token or 0
        most = 0 if self._uploads else self._settings.restarts
        return Word(record.job, lost, again=record.job is not None and begun <= most)

    def cancel(self, record: RunRecord, *, at_once: bool = False) -> None:
        # The job listens for it. Ray itself would signal every process of the run, and kill what is not gone soon.
        write_atomic(self._paths.run(record.run_id).cancelled, AT_ONCE if at_once else POLITELY)
        try:
            for job in self._jobs.find([record.run_id])[record.run_id]:
                if job.state == "PENDING" or (job.is_alive and self._uploads):
                    self._jobs.stop(job.id)
        except HostError:
            if record.supervisor is None or self._uploads:  # else it hears of it all the same
                raise

    def logs(self, run_id: str, *, follow: bool = False) -> Iterator[bytes]:
        if self._uploads:
            return self._printed(run_id, follow=follow)
        handle = self.handle(run_id)
        return read_log(self._paths.run(run_id), lambda: not follow or handle.wait(0))

    def _printed(self, run_id: str, *, follow: bool) -> Iterator[bytes]:
        """What its jobs printed, one after the other: the run's folder is on their nodes."""
        handle, known = self.handle(run_id), 0
        while True:
            ended = not follow or handle.wait(0)
            jobs = self._jobs.find([run_id])[run_id]
            for job in jobs[known:]:
                pieces = self._jobs.followed(job.id) if follow else [self._jobs.printed(job.id)]
                yield from (piece.encode() for piece in pieces)
            known = len(jobs)
            if ended:
                break
            time.sleep(_POLL)
        if not known and self._store.get(run_id).job is not None:
            fix = "What it printed is among its artifacts in MLflow, if it came to track: `kit show` has the address."
            raise HostError(f"Ray knows no job of run {run_id} any more", fix=fix)


def _needs(run: RunPaths) -> Resources:
    """What the job is to have; a job that asks for nothing would run on the head, beside all others of its kind."""
    needs = from_json(run.spec.read_bytes(), RunSpec).resources
    return replace(needs, cpus=needs.cpus or 1)
