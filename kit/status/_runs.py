"""Runs, what MLflow is still to be told of them, and alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from kit.alerting import OutboxEntry
from kit.models import RunRecord
from kit.outcomes import NEVER_STARTED
from kit.paths import RunPaths
from kit.project import Project
from kit.states import TERMINAL, RunStatus
from kit.status._check import DAY, MOST, Check, State, age, ago, amount, show
from kit.stores.base import RunQuery

__all__ = ["check_alerts", "check_runs", "check_spool"]

_STUCK = 60.0
"""Seconds. A supervisor speaks every five."""
_SETTLING = 300.0
"""So long may MLflow take to be told how a run ended before it is worth a word."""


def check_runs(project: Project, now: datetime) -> Iterator[Check]:
    """Runs that hang, and those that were lost within a day."""
    store = project.store
    under_way = store.runs(RunQuery(statuses=frozenset({RunStatus.STARTING, RunStatus.RUNNING})))
    stuck = [run for run in under_way if age(run.heartbeat_at or run.created_at, now) > _STUCK]
    lost = [
        run
        for run in store.runs(RunQuery(statuses=frozenset({RunStatus.LOST}), limit=MOST))
        if run.reason != NEVER_STARTED and run.ended_at is not None and age(run.ended_at, now) < DAY
    ]
    values = {"under_way": len(under_way), "stuck": len(stuck), "lost": len(lost)}
    if not stuck and not lost:
        yield Check("runs", State.OK, f"{len(under_way)} under way; none stuck, none lost in a day", values=values)
    if stuck:
        run = stuck[0]
        heard = ago(run.heartbeat_at or run.created_at, now)
        what = f"{run.run_id} ({run.name}) is stuck: its supervisor was last heard of {heard}{_more(stuck)}"
        pid = f" `kill -9 {run.supervisor.pid}`" if run.supervisor is not None else f" `kit cancel {run.run_id}`"
        yield Check("runs", State.BAD, what, f"See `kit logs {run.run_id}`; to give it up:{pid}.", values)
    if lost:
        run = lost[0]
        what = f"{run.run_id} ({run.name}) was lost: {run.reason}{_more(lost)}"
        yield Check("runs", State.WARNING, what, f"See `kit show {run.run_id}`; start it anew if it is missed.", values)


def _more(runs: Sequence[RunRecord]) -> str:
    return f"; {len(runs) - 1} more" if len(runs) > 1 else ""


def check_spool(project: Project, now: datetime) -> Check:
    """Runs that ended and of which MLflow does not know everything."""
    ended = project.store.runs(RunQuery(statuses=TERMINAL, tracked=False, limit=MOST))
    waiting = [run for run in ended if run.began]
    size = sum(_unsent(project.paths.run(run.run_id)) for run in waiting)
    values = {"runs": len(waiting), "bytes": size}
    if not waiting:
        return Check("spool", State.OK, "MLflow knows every run that ended", values=values)
    many = f"{len(waiting)}{'+' if len(ended) == MOST else ''} {'run waits' if len(waiting) == 1 else 'runs wait'}"
    what = f"{many} to be sent to MLflow ({amount(size)})"
    if not any(run.ended_at is not None and age(run.ended_at, now) > _SETTLING for run in waiting):
        return Check("spool", State.OK, what, values=values)
    fix = "It is tried again every minute; to send it now, and see why it fails: `kit sync`."
    return Check("spool", State.WARNING, what, fix, values)


def _unsent(run: RunPaths) -> int:
    try:
        sent = int(run.sent.read_text()) if run.sent.exists() else 0
        return max(0, run.spool.stat().st_size - sent)
    except (OSError, ValueError):  # it is gone: sent just now, or cleared away
        return 0


def check_alerts(messages: Sequence[OutboxEntry], now: datetime) -> Check:
    """Messages that could not be sent; one that was given up counts until a later one to the same people arrives."""
    told: set[str | None] = set()
    failed: list[OutboxEntry] = []
    for message in messages:  # the newest first
        if message.sent_at is not None:
            told.add(message.schedule)
        elif message.error is not None and (message.next_try_at is not None or message.schedule not in told):
            failed.append(message)
    if not failed:
        return Check("alerts", State.OK, "none that could not be sent", values={"unsent": 0})
    last = failed[0]
    again = "given up" if last.next_try_at is None else f"tried again {show(last.next_try_at)}"
    what = f"{len(failed)} could not be sent; {last.title!r} of {ago(last.created_at, now)}: {last.error} ({again})"
    fix = "Check the URLs with `kit schedule validate`, and whether the service can be reached."
    return Check("alerts", State.BAD, what, fix, {"unsent": len(failed)})
