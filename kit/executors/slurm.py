"""Runs as jobs of a SLURM cluster: each is one batch job that starts `kit._node` on a node.

SLURM refuses no second job of the same name, so the claim comes first: the run's row says that it is submitted before
`sbatch` is asked, and who dies in between is found by the job's name, which follows from the run's id.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Iterator, Sequence

from kit._files import write_atomic
from kit.errors import ExitCode, HostError
from kit.executors._handle import EngineHandle
from kit.executors._logs import last_words, read_log
from kit.executors._slurm_commands import Job, ask, find_jobs
from kit.executors.base import Word
from kit.models import Launch, RunRecord, RunSpec, from_json
from kit.outcomes import Outcome
from kit.paths import ProjectPaths, RunPaths
from kit.resources import Resources
from kit.settings import ExecutorSettings
from kit.states import RunStatus
from kit.stores.base import Store

__all__ = ["SlurmExecutor", "job_name"]

_TRIES = (1.0, 3.0, 10.0)
"""Seconds between attempts to reach a controller that may be just restarted."""


def job_name(run_id: str) -> str:
    """What the run's job is called, whoever submits it."""
    return f"kit-{run_id}"


class SlurmExecutor:
    """The executor for a cluster whose nodes share the project's folder."""

    def __init__(self, paths: ProjectPaths, store: Store, settings: ExecutorSettings) -> None:
        self._paths = paths
        self._store = store
        self._settings = settings

    def submit(self, launch: Launch, *, interactive: bool = False, attached: bool = True) -> EngineHandle:  # noqa: ARG002
        run = self._paths.run(launch.run_id)
        spec = from_json(run.spec.read_bytes(), RunSpec)
        command, script = self._command(run, spec.resources), self._script(run)
        job = self._submit(launch.run_id, command, script, resumed=launch.resumed > 0)
        self._store.attach(launch.run_id, job=job)
        return self.handle(launch.run_id)

    def handle(self, run_id: str) -> EngineHandle:
        """For a run that was submitted, by whomever."""
        return EngineHandle(run_id, self, self._store)

    def again(self, record: RunRecord, job: str | None) -> bool:  # noqa: ARG002 - SLURM knows it by its job
        with contextlib.suppress(HostError):
            if job is not None:
                ask("scontrol", "requeue", job)
                return True
        return False

    def _submit(self, run_id: str, command: list[str], script: str, *, resumed: bool) -> str:
        """Submit once, also if an answer is lost. One that was resumed has an older job, too, which has ended."""
        for pause in (*_TRIES, None):
            try:
                return ask(*command, given=script).strip().partition(";")[0]
            except HostError as error:
                if "controller" not in error.what and "timed out" not in error.what.lower():
                    raise
                with contextlib.suppress(HostError):
                    job = find_jobs([job_name(run_id)]).get(job_name(run_id))
                    if job is not None and (job.is_alive or not resumed):
                        return job.id
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError

    def _command(self, run: RunPaths, resources: Resources) -> list[str]:
        settings = self._settings
        named = {"partition": settings.partition, "account": settings.account, "qos": settings.qos}
        wanted = {
            "cpus-per-task": resources.cpus,
            "gres": f"gpu:{resources.gpus}" if resources.gpus else None,
            "mem": None if resources.memory is None else f"{-(-resources.memory // 2**20)}M",
            "time": None if resources.time is None else _minutes(resources.time),
        }
        given = [f"--{name}={value}" for name, value in (named | wanted).items() if value is not None]
        return [
            "sbatch",
            "--parsable",
            "--requeue",
            "--export=ALL",
            f"--job-name={job_name(run.root.name)}",
            f"--chdir={self._paths.root}",
            f"--output={run.supervisor_log}",
            "--open-mode=append",
            f"--signal=B:USR1@{settings.warning}",
            *given,
            *settings.options,
        ]

    def _script(self, run: RunPaths) -> str:
        settings = self._settings
        node = [settings.python or sys.executable, "-P", "-m", "kit._node", str(run.root)]
        scratch = (
            [f'--scratch "{settings.scratch}"'] if settings.scratch else []
        )  # the node's shell knows its variables
        return "\n".join(["#!/bin/sh", *settings.setup, " ".join(["exec", shlex.join(node), *scratch]), ""])

    def status(self, records: Sequence[RunRecord]) -> dict[str, Word]:
        jobs = find_jobs([job_name(record.run_id) for record in records])
        return {record.run_id: self._word(record, jobs.get(job_name(record.run_id))) for record in records}

    def _word(self, record: RunRecord, job: Job | None) -> Word:
        if job is None:
            return Word(None, Outcome(RunStatus.LOST, ExitCode.RUN, "SLURM knows no job of it"))
        if job.is_alive:
            return Word(job.id, None)
        words = last_words(self._paths.run(record.run_id))
        match job.state:
            case "CANCELLED":
                return Word(job.id, Outcome(RunStatus.CANCELLED, ExitCode.CANCELLED, "cancelled in SLURM"))
            case "TIMEOUT" | "DEADLINE":
                limit = "stopped at its job's time limit"
                return Word(job.id, Outcome(RunStatus.TIMED_OUT, ExitCode.TIMED_OUT, limit))
            case _:
                reason = f"its job {job.id} ended: {job.state}{words and ': '}{words}"
                return Word(job.id, Outcome(RunStatus.LOST, ExitCode.RUN, reason))

    def cancel(self, record: RunRecord, *, at_once: bool = False) -> None:
        name = f"--name={job_name(record.run_id)}"
        if record.supervisor is None:
            ask("scancel", name)
            return
        # Else it would be taken for SLURM's wish, after which a run goes on.
        if not (cancelled := self._paths.run(record.run_id).cancelled).exists():
            write_atomic(cancelled, "cancelled on request")
        # Only the supervisor: it asks the run and waits for it, which SLURM's own way does not.
        for _ in range(1 + at_once):
            ask("scancel", name, "--batch", "--signal=TERM")
            ask("scancel", name, "--state=PENDING")

    def logs(self, run_id: str, *, follow: bool = False) -> Iterator[bytes]:
        handle = self.handle(run_id)
        return read_log(self._paths.run(run_id), lambda: not follow or handle.wait(0))


def _minutes(seconds: float) -> str:
    """As `sbatch --time` takes it; no less."""
    minutes, rest = divmod(-(-int(seconds * 1000) // 1000), 60)
    return f"{minutes}:{rest:02}"
