"""Settle runs whose process is gone without a word: after a power cut, or when even the supervisor was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta

from kit import _clock
from kit._process import boot_id, identify, is_alive
from kit.errors import ExitCode
from kit.models import RunRecord
from kit.project import Project
from kit.states import IllegalTransition, RunStatus
from kit.stores.base import RunQuery
from kit.trackers.spool import last_metrics

__all__ = ["lose", "recover"]

_ACTIVE = frozenset(status for status in RunStatus if not status.is_terminal)
_PATIENCE = timedelta(seconds=60)
"""How long a run may take from its row in the store to its supervisor's first word."""


def recover(project: Project) -> list[RunRecord]:
    """Settle every run that is said to be active and is not; gives those that were settled.

    The store has the truth when this returns. MLflow is told by a process of its own, since loading it takes longer
    than anyone wants to wait for a list of runs.
    """
    settled = []
    for record in project.store.runs(RunQuery(statuses=_ACTIVE)):
        reason = _why_lost(record, _clock.now())
        if reason is None:
            continue
        lost = lose(project, record, reason)
        if lost.status is RunStatus.LOST:
            settled.append(lost)
    return settled


def lose(project: Project, record: RunRecord, reason: str) -> RunRecord:
    """Settle one run as lost, unless someone else was quicker and knows better."""
    _end_rest(record)
    project.store.set_metrics(record.run_id, last_metrics(project.paths.run(record.run_id).spool))
    try:
        lost = project.store.transition(
            record.run_id, RunStatus.LOST, at=_clock.now(), exit_code=ExitCode.RUN, reason=reason
        )
    except IllegalTransition:
        return project.store.get(record.run_id)
    _tell_tracker(project, lost.run_id)
    return lost


def _end_rest(record: RunRecord) -> None:
    """Kill what the run started and its supervisor no longer can, unless another has the number of its group by now."""
    process = record.process
    if process is None or process.boot != boot_id() or identify(process.pid) not in {None, process}:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _why_lost(record: RunRecord, now: datetime) -> str | None:
    if record.supervisor is not None:
        return None if is_alive(record.supervisor) else "its supervisor was killed, or the machine stopped"
    return "it never came to start" if now - record.created_at > _PATIENCE else None


def _tell_tracker(project: Project, run_id: str) -> None:
    run = project.paths.run(run_id)
    if not run.spec.exists():  # someone tidied up
        return
    with run.supervisor_log.open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "kit._worker", "--settle", str(run.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=project.root,
            env=os.environ,
            start_new_session=True,
        )
