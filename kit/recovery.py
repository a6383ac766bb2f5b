"""Settle runs whose process is gone without a word: after a power cut, or when even the supervisor was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import datetime, timedelta

from kit import _clock
from kit._process import boot_id, identify, is_alive
from kit.errors import ExitCode
from kit.executors._telling import tell_tracker, tell_tracker_of_all
from kit.models import RunRecord, from_json
from kit.outcomes import Outcome, Result, judge
from kit.project import Project
from kit.states import TERMINAL, IllegalTransition, RunStatus
from kit.stores.base import RunQuery
from kit.trackers.spool import last_metrics, params_of

__all__ = ["lose", "recover"]

_ACTIVE = frozenset(status for status in RunStatus if not status.is_terminal)
_LOOKED_AT = 100
_REMINDED_EVERY = 60.0
_PATIENCE = timedelta(seconds=60)
"""How long a supervisor that cannot be seen may be silent, at the beginning and later."""


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
    _remind_tracker(project)
    return settled


def lose(project: Project, record: RunRecord, reason: str) -> RunRecord:
    """Settle one run whose supervisor is gone: by its own last word, else as lost."""
    _end_rest(record)
    run = project.paths.run(record.run_id)
    outcome = Outcome(RunStatus.LOST, ExitCode.RUN, reason)
    with contextlib.suppress(FileNotFoundError):
        result = from_json(run.result.read_bytes(), Result)
        outcome = judge(result.exit_code, result, None)
    project.store.set_metrics(record.run_id, last_metrics(run.spool))
    project.store.set_params(record.run_id, params_of(run.spool))
    with contextlib.suppress(IllegalTransition):  # someone else was quicker, and knows better
        project.store.transition(
            record.run_id, outcome.status, at=_clock.now(), exit_code=outcome.exit_code, reason=outcome.reason
        )
        if run.spec.exists():
            tell_tracker(run, project.root)
    return project.store.get(record.run_id)


def _remind_tracker(project: Project) -> None:
    """Have what a tracker did not take sent now, once in a while: it may be there again."""
    query = RunQuery(statuses=TERMINAL, tracked=False, limit=_LOOKED_AT)
    waiting = [record for record in project.store.runs(query) if record.began]
    mark = project.paths.state / "settle.log"
    with contextlib.suppress(FileNotFoundError):
        if not waiting or time.time() - mark.stat().st_mtime < _REMINDED_EVERY:
            return
    if any(project.paths.run(record.run_id).spec.exists() for record in waiting):
        mark.touch()
        tell_tracker_of_all(project.paths)


def _end_rest(record: RunRecord) -> None:
    """Kill what the run started and its supervisor no longer can, unless another has the number of its group by now."""
    process = record.process
    if process is None or process.boot != boot_id() or identify(process.pid) not in {None, process}:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _why_lost(record: RunRecord, now: datetime) -> str | None:
    if record.supervisor is None:
        return "it never came to start" if now - record.created_at > _PATIENCE else None
    if record.supervisor.boot == boot_id():
        return None if is_alive(record.supervisor) else "its supervisor was killed"
    # The machine was restarted, or it runs in another container: who lives there cannot be seen, but is heard.
    heard = record.heartbeat_at or record.created_at
    return "its supervisor is silent: the machine stopped" if now - heard > _PATIENCE else None
