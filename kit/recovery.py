"""Settle runs whose process is gone without a word: after a power cut, or when even the supervisor was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import datetime, timedelta

from kit import _clock
from kit._process import boot_id, identify, is_alive, marked, signal_processes
from kit.errors import ExitCode, KitError
from kit.executors._telling import tell_tracker, tell_tracker_of_all
from kit.executors._token import take, taken_by
from kit.executors._unplanned import close_unplanned
from kit.executors.base import Executor, Word
from kit.executors.registry import executor_named
from kit.models import RunRecord, from_json
from kit.outcomes import NEVER_STARTED, Outcome, Result, judge
from kit.project import Project
from kit.states import TERMINAL, IllegalTransition, RunStatus
from kit.stores.base import RunQuery
from kit.trackers.spool import last_metrics, params_of

__all__ = ["awaits_engine", "end", "lose", "recover"]

_BEGUN = frozenset({RunStatus.STARTING, RunStatus.RUNNING})
"""A queued run is nobody's yet, and waits for its turn as long as it has to."""
_LOOKED_AT = 100
_REMINDED_EVERY = 60.0
_PATIENCE = timedelta(seconds=60)
"""How long a supervisor that cannot be seen may be silent, at the beginning and later."""
_HEARD_WITHIN = timedelta(seconds=15)
"""A run on an engine is heard every few seconds, once it has begun."""
_ROUNDS = 5
"""Whoever was born while others were killed is met the next time round."""
_BEGINNING = timedelta(seconds=10)
"""How long a supervisor may take to say its first word, when the process that was to start it is gone."""


def recover(project: Project, now: datetime | None = None, *, asks_engines: bool = True) -> list[RunRecord]:
    """Settle every run that is said to be active and is not; gives those that were settled.

    The store has the truth when this returns. MLflow is told by a process of its own, since loading it takes longer
    than anyone wants to wait for a list of runs.

    Args:
        now: The instant by which silence is measured; None asks the clock.
        asks_engines: Whether engines are asked for what became of silent runs; that may take as long as they like.
    """
    settled = []
    under_way = project.store.runs(RunQuery(statuses=_BEGUN | {RunStatus.QUEUED}))
    for record in [record for record in under_way if record.executor is None and record.status in _BEGUN]:
        reason = _why_lost(project, record, now or _clock.now())
        if reason is None:
            continue
        lost = lose(project, record, reason)
        if lost.status is RunStatus.LOST:
            settled.append(lost)
    if asks_engines:
        settled += _settle_elsewhere(project, [record for record in under_way if record.executor is not None], now)
    _remind_tracker(project)
    return settled


def awaits_engine(project: Project, now: datetime) -> bool:
    """Whether a run is on an engine, and so silent that the engine should be asked for it."""
    under_way = project.store.runs(RunQuery(statuses=_BEGUN | {RunStatus.QUEUED}))
    return any(record.executor is not None and _silence(record, now) > _HEARD_WITHIN for record in under_way)


def _settle_elsewhere(project: Project, records: list[RunRecord], now: datetime | None) -> list[RunRecord]:
    """Of runs on engines, those that are silent *and* that their engine says are over. A pid there tells nothing here.

    An engine that cannot be asked says nothing of them: they stay as they are.
    """
    settled = []
    silent = [record for record in records if _silence(record, now or _clock.now()) > _HEARD_WITHIN]
    for name in sorted({record.executor or "" for record in silent}):
        mine = [record for record in silent if record.executor == name]
        words: dict[str, Word] = {}
        engine = None
        with contextlib.suppress(KitError):
            engine = executor_named(name, project.paths, project.store, project.settings)
            words = engine.status(mine)
        for record in mine:
            word = words.get(record.run_id)
            if engine is None or word is None or _goes_on(engine, record, word):
                continue
            if _is_over(project, record, word, now):
                assert word.outcome is not None  # noqa: S101 - for the type checker
                settled.append(end(project, record, word.outcome))
    return settled


def _goes_on(engine: Executor, record: RunRecord, word: Word) -> bool:
    """Whether one more copy of the run begins, or may begin as soon as its engine can be asked."""
    if not word.again:
        return False
    try:
        return engine.again(record, word.job)
    except KitError:
        return True


def _is_over(project: Project, record: RunRecord, word: Word, now: datetime | None) -> bool:
    # One that was resumed had a job before, which has ended.
    is_its_own = record.job is not None or record.token is None or word.outcome is None
    if record.job is None and word.job is not None and is_its_own:  # who submitted it had no time to note it
        project.store.attach(record.run_id, job=word.job)
    if word.outcome is None:
        return False
    # Who has claimed it may be about to submit it.
    return (word.job is not None and is_its_own) or _silence(record, now or _clock.now()) > _PATIENCE


def lose(project: Project, record: RunRecord, reason: str) -> RunRecord:
    """Settle one run whose supervisor is gone: by its own last word, else as lost."""
    _end_rest(project, record)
    outcome = Outcome(RunStatus.LOST, ExitCode.RUN, reason)
    with contextlib.suppress(FileNotFoundError):
        result = from_json(project.paths.run(record.run_id).result.read_bytes(), Result)
        outcome = judge(result.exit_code, result, None)
    return end(project, record, outcome)


def end(project: Project, record: RunRecord, outcome: Outcome) -> RunRecord:
    """Note the end of a run that no supervisor sees to, unless someone else was quicker, and knows better."""
    run = project.paths.run(record.run_id)
    with contextlib.suppress(IllegalTransition):
        project.store.finish(
            record.run_id,
            outcome,
            at=_clock.now(),
            metrics=last_metrics(run.spool),
            params=params_of(run.spool),
            token=record.token,  # a copy that began since then is not judged
        )
        run.elsewhere.unlink(missing_ok=True)  # nobody there will tell of it
        if run.spec.exists():
            tell_tracker(run, project.root)
        elif record.commit is None:  # not even planned
            close_unplanned(project.paths, project.store, record)
    return project.store.get(record.run_id)


def _remind_tracker(project: Project) -> None:
    """Have what a tracker did not take sent now, once in a while: it may be there again."""
    query = RunQuery(statuses=TERMINAL, tracked=False, limit=_LOOKED_AT)
    waiting = [record for record in project.store.runs(query) if record.began]
    mark = project.paths.state / "settle.log"
    with contextlib.suppress(FileNotFoundError):
        if not waiting or time.time() - mark.stat().st_mtime < _REMINDED_EVERY:
            return
    if any(project.paths.run(record.run_id).is_told_from_here for record in waiting):
        mark.touch()
        tell_tracker_of_all(project.paths)


def _end_rest(project: Project, record: RunRecord) -> None:
    """Kill what the run started and its supervisor no longer can: its group, and what left that, as daemons do."""
    supervisor = record.supervisor or taken_by(project.paths.run(record.run_id))
    if supervisor is None or supervisor.boot != boot_id():
        return
    process = record.process
    if process is not None and identify(process.pid) in {None, process}:  # no other has the group's number by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    for _ in range(_ROUNDS):
        signal_processes(left := marked("KIT_RUN_ID", record.run_id), signal.SIGKILL)
        if not left:
            return


def _why_lost(project: Project, record: RunRecord, now: datetime) -> str | None:
    supervisor = record.supervisor
    if supervisor is None:
        if not _is_overdue(record, now):
            return None
        run = project.paths.run(record.run_id)
        if take(run):  # so that a supervisor that comes after all finds the run gone
            return NEVER_STARTED
        if (supervisor := taken_by(run)) is None:
            return "its supervisor was killed" if _silence(record, now) > _PATIENCE else None
    if supervisor.boot == boot_id():
        return None if is_alive(supervisor) else "its supervisor was killed"
    # The machine was restarted, or it runs in another container: who lives there cannot be seen, but is heard.
    return "its supervisor is silent: the machine stopped" if _silence(record, now) > _PATIENCE else None


def _is_overdue(record: RunRecord, now: datetime) -> bool:
    """Whether a supervisor should have said a word by now."""
    starter = record.starter
    gone = starter is not None and starter.boot == boot_id() and not is_alive(starter)
    # The clock may have been set back since.
    return abs(_silence(record, now)) > (_BEGINNING if gone else _PATIENCE)


def _silence(record: RunRecord, now: datetime) -> timedelta:
    return now - (record.heartbeat_at or record.created_at)
