"""Is production well? Everything that kit can tell without starting anything, in under a second."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from kit import health, recovery, serving
from kit._durations import rough_duration
from kit._reach import Answer, ask, dvc_remote, tracking
from kit.alerting import OutboxEntry
from kit.board import Moves
from kit.errors import KitError, from_os_error
from kit.executors._telling import send_alerts
from kit.fires import Gap, SchedulerRecord
from kit.health import Health, ScheduleHealth
from kit.models import RunRecord
from kit.outcomes import NEVER_STARTED
from kit.paths import RunPaths
from kit.project import Project
from kit.schedules import Loaded, Schedules
from kit.states import TERMINAL, FireStatus, RunStatus
from kit.stores.base import RunQuery

__all__ = ["Check", "State", "Status", "check"]

_LOCK_PATIENCE = 3.0
"""Seconds to wait for a store that somebody else writes to."""
_REACH_PATIENCE = 4.0
_DAY = timedelta(days=1)
_STUCK = timedelta(seconds=60)
"""A supervisor speaks every five seconds."""
_LONG_WAIT = timedelta(hours=1)
_SETTLING = timedelta(minutes=5)
"""So long may MLflow take to be told how a run ended before it is worth a word."""
_MOST = 1000
"""So many records of a kind are looked at."""
_GB = 10**9
_PLENTY = 100 * _GB
"""However small a part of the disk it is."""
_BAD = frozenset({Health.BROKEN, Health.LATE, Health.FAILING})
_ODD = frozenset({Health.PAUSED, Health.RETRYING})


class State(StrEnum):
    """How one thing is."""

    OK = "ok"
    WARNING = "warning"
    """Worth a look; production goes on."""
    BAD = "bad"
    """Somebody has to do something."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and how it is.

    Attributes:
        what: One line, without secrets.
        fix: What to do, as an imperative; None if nothing is to be done.
        values: The same as figures, for machines: counts, bytes, seconds.
    """

    name: str
    state: State
    what: str
    fix: str | None = None
    values: Mapping[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """How a project does.

    Attributes:
        checks: In a fixed order; of one name there may be several, or none where it could not be looked at.
        schedules: Every schedule there is a file of; empty if the store cannot be read.
        runs: How many there are of each status.
    """

    project: str
    at: datetime
    checks: tuple[Check, ...]
    schedules: tuple[ScheduleHealth, ...] = ()
    runs: Mapping[RunStatus, int] = field(default_factory=dict)

    def count(self, state: State) -> int:
        return sum(check.state is state for check in self.checks)

    @property
    def is_well(self) -> bool:
        """Whether nobody has to do anything. What is only worth a look does not count."""
        return not self.count(State.BAD)


def check(project: Project, now: datetime) -> Status:
    """Look at everything.

    Runs and schedulers that are gone without a word are noted as such first, as by every command that lists runs.
    """
    project = replace(project, patience=_LOCK_PATIENCE)
    mlflow = ask(lambda: _tracking(project), patience=_REACH_PATIENCE)
    remote = ask(lambda: dvc_remote(project.root))
    checks: list[Check] = []
    found: tuple[tuple[ScheduleHealth, ...], Mapping[RunStatus, int]] = ((), {})
    try:
        store = _settle(project, now)
        loaded = Schedules(project).load()
        schedules = health.look(project, loaded, now)
        found = schedules, project.store.counts()
        checks += _checks(project, loaded, schedules, now)
    except KitError as error:
        store = Check("store", State.BAD, _what(error), error.fix)
    checks += [store, _disk(project), _reached("mlflow", mlflow), _reached("dvc", remote)]
    return Status(project.name, now, tuple(checks), *found)


def _checks(project: Project, loaded: Loaded, schedules: Sequence[ScheduleHealth], now: datetime) -> Iterator[Check]:
    """Everything that the store knows.

    Raises:
        HostError: If the store cannot be used.
    """
    yield _scheduler(project, loaded, schedules, now)
    yield from _schedules(schedules, now)
    yield from _missed(project.store.fires.gaps(limit=_MOST), now)
    yield from _runs(project, now)
    yield _queue(project, schedules, now)
    yield _spool(project, now)
    yield _alerts(project.store.fires.messages(limit=_MOST), now)


def _settle(project: Project, now: datetime) -> Check:
    """Bring the store up to what is the case; what keeps it from that is all the same no reason not to read it.

    Raises:
        HostError: If it cannot even be opened.
    """
    fires = project.store.fires
    try:
        recovery.recover(project)
        serving.notice_stopped(project, now)
        fires.act(lambda _board: Moves(now))  # it can be written, too
        if fires.pending_alerts(now):  # a scheduler that is not there sends none
            send_alerts(project.paths)
    except KitError as error:
        return Check("store", State.BAD, _what(error), error.fix)
    except OSError as error:
        told = from_os_error(error)
        return Check("store", State.BAD, _what(told), told.fix)
    return Check("store", State.OK, "can be used")


def _what(error: KitError) -> str:
    return error.what if error.where is None else f"{error.what} ({error.where})"


def _ago(instant: datetime, now: datetime) -> str:
    return f"{rough_duration((now - instant).total_seconds())} ago"


def _show(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _age(instant: datetime, now: datetime) -> float:
    """Seconds; not less than none, if the clock was set back."""
    return max(0.0, (now - instant).total_seconds())


# Schedules


def _scheduler(project: Project, loaded: Loaded, schedules: Sequence[ScheduleHealth], now: datetime) -> Check:
    records = [record for record in project.store.fires.schedulers() if not record.scope]
    running = [record for record in records if record.stopped_at is None]
    values: dict[str, float | str | None] = {"running": len(running)}
    if records:
        values["heartbeat_age_seconds"] = _age(records[0].heartbeat_at, now)
    if running:
        return _running_scheduler(running, values, now)
    idle = {Health.DISABLED, Health.PAUSED, Health.BROKEN}
    waiting = [item for item in project.store.fires.active() if item.fire.schedule in loaded.schedules]
    needed = bool(waiting) or any(schedule.health not in idle for schedule in schedules)
    what = _why_none(records[0] if records else None, now)
    turns = bool(records) and records[0].reason == serving.ONE_TURN and _age(records[0].heartbeat_at, now) < 86400
    if turns or not needed:
        return Check("scheduler", State.OK, what, values=values)
    return Check("scheduler", State.BAD, what, "Start it: `kit scheduler`. To keep it: `--install systemd`.", values)


def _running_scheduler(
    running: Sequence[SchedulerRecord], values: Mapping[str, float | str | None], now: datetime
) -> Check:
    newest = running[0]
    who = f"pid {newest.process.pid} on {newest.host}"
    if now - newest.heartbeat_at > serving.SILENT:
        fix = f"See what it does, or end it with `kill -9 {newest.process.pid}` and start another; runs go on."
        return Check(
            "scheduler", State.BAD, f"{who} hangs: last heard of {_ago(newest.heartbeat_at, now)}", fix, values
        )
    more = "" if len(running) == 1 else f"; {len(running) - 1} more"
    since = f"since {_show(newest.started_at)}"
    what = f"{who}, {since}, last heard of {_ago(newest.heartbeat_at, now)}{more}"
    return Check("scheduler", State.OK, what, values=values)


def _why_none(last: SchedulerRecord | None, now: datetime) -> str:
    if last is None:
        return "none is running, and none ever was"
    heard = _ago(last.heartbeat_at, now)
    if last.reason == serving.ONE_TURN:
        return f"takes turns when it is called (--once); the last was {heard}"
    if last.reason is not None:
        return f"none is running: {last.reason}, last heard of {heard} (pid {last.process.pid} on {last.host})"
    return f"none is running: it was stopped {heard} (on {last.host})"


def _schedules(schedules: Sequence[ScheduleHealth], now: datetime) -> Iterator[Check]:
    """One check for all of them, and one for each that is not as it should be, the worst first."""
    counts = Counter(schedule.health for schedule in schedules)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in reversed(Health) if counts[kind])
    coming = [schedule for schedule in schedules if schedule.next_at is not None]
    following = min(coming, key=lambda schedule: (schedule.next_at, schedule.name), default=None)
    after = ""
    if following is not None and following.next_at is not None:
        wait = rough_duration((following.next_at - now).total_seconds())
        after = f"; next: {following.name} in {wait}"
    yield Check(
        "schedules",
        State.OK,
        f"{told}{after}" if told else "there are none",
        values={str(kind): number for kind, number in counts.items()},
    )
    for states, kinds in ((State.BAD, _BAD), (State.WARNING, _ODD)):
        for schedule in schedules:
            if schedule.health in kinds:
                what = f"{schedule.name} {_is(schedule.health)}: {schedule.why}"
                values = {"schedule": schedule.name, "health": schedule.health.value}
                yield Check("schedules", states, what, schedule.fix, values)


def _is(kind: Health) -> str:
    return "fails" if kind is Health.FAILING else "tries again" if kind is Health.RETRYING else f"is {kind}"


def _missed(gaps: Sequence[Gap], now: datetime) -> Iterator[Check]:
    """What was missed is past mending, but not past telling for a day."""
    missed = [gap for gap in gaps if gap.status is FireStatus.MISSED and now - gap.noted_at < _DAY]
    if missed:
        count, last = sum(gap.count for gap in missed), max(missed, key=lambda gap: gap.noted_at)
        names = _listed(sorted({gap.schedule for gap in missed}))
        what = f"{count} {'fire' if count == 1 else 'fires'} of {names} missed; found {_ago(last.noted_at, now)}"
        fix = f"Make up for it: `kit schedule backfill {last.schedule} --from {last.first:%Y-%m-%dT%H:%MZ} ...`."
        yield Check("schedules", State.WARNING, f"{what}: {last.reason}", fix, {"missed": count})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# Runs


def _runs(project: Project, now: datetime) -> Iterator[Check]:
    store = project.store
    under_way = store.runs(RunQuery(statuses=frozenset({RunStatus.STARTING, RunStatus.RUNNING})))
    stuck = [run for run in under_way if now - (run.heartbeat_at or run.created_at) > _STUCK]
    lost = [
        run
        for run in store.runs(RunQuery(statuses=frozenset({RunStatus.LOST}), limit=_MOST))
        if run.reason != NEVER_STARTED and run.ended_at is not None and now - run.ended_at < _DAY
    ]
    values = {"under_way": len(under_way), "stuck": len(stuck), "lost": len(lost)}
    if not stuck and not lost:
        yield Check("runs", State.OK, f"{len(under_way)} under way; none stuck, none lost in a day", values=values)
    if stuck:
        run = stuck[0]
        heard = _ago(run.heartbeat_at or run.created_at, now)
        what = f"{run.run_id} ({run.name}) is stuck: its supervisor was last heard of {heard}{_more(stuck)}"
        pid = f" `kill -9 {run.supervisor.pid}`" if run.supervisor is not None else f" `kit cancel {run.run_id}`"
        yield Check("runs", State.BAD, what, f"See `kit logs {run.run_id}`; to give it up:{pid}.", values)
    if lost:
        run = lost[0]
        what = f"{run.run_id} ({run.name}) was lost: {run.reason}{_more(lost)}"
        yield Check("runs", State.WARNING, what, f"See `kit show {run.run_id}`; start it anew if it is missed.", values)


def _more(runs: Sequence[RunRecord]) -> str:
    return f"; {len(runs) - 1} more" if len(runs) > 1 else ""


def _queue(project: Project, schedules: Sequence[ScheduleHealth], now: datetime) -> Check:
    """Fires that could start if it were their turn. One of a paused schedule waits for somebody to resume it."""
    paused = {schedule.name for schedule in schedules if schedule.health is Health.PAUSED}
    waiting = [
        fire
        for fire in (item.fire for item in project.store.fires.active())
        if fire.status is FireStatus.PENDING and fire.due_at <= now and (fire.requested or fire.schedule not in paused)
    ]
    if not waiting:
        return Check("queue", State.OK, "nothing waits", values={"waiting": 0, "longest_wait_seconds": 0})
    first = min(waiting, key=lambda fire: fire.due_at)
    wait = now - first.due_at
    values = {"waiting": len(waiting), "longest_wait_seconds": wait.total_seconds()}
    long = rough_duration(wait.total_seconds())
    what = f"{len(waiting)} {'waits' if len(waiting) == 1 else 'wait'}, {first.schedule} the longest: {long}"
    if wait <= _LONG_WAIT:
        return Check("queue", State.OK, what, values=values)
    fix = "See `kit runs`; slots and `max-runs` are set in pyproject.toml, [tool.kit]."
    return Check("queue", State.WARNING, what, fix, values)


def _spool(project: Project, now: datetime) -> Check:
    """Runs that ended and of which MLflow does not know everything."""
    ended = project.store.runs(RunQuery(statuses=TERMINAL, tracked=False, limit=_MOST))
    waiting = [run for run in ended if run.began]
    size = sum(_unsent(project.paths.run(run.run_id)) for run in waiting)
    values = {"runs": len(waiting), "bytes": size}
    if not waiting:
        return Check("spool", State.OK, "MLflow knows every run that ended", values=values)
    many = f"{len(waiting)}{'+' if len(ended) == _MOST else ''} {'run waits' if len(waiting) == 1 else 'runs wait'}"
    what = f"{many} to be sent to MLflow ({_bytes(size)})"
    if not any(run.ended_at is not None and now - run.ended_at > _SETTLING for run in waiting):
        return Check("spool", State.OK, what, values=values)
    fix = f"It is tried again every minute; why it fails: {project.paths.state.name}/settle.log."
    return Check("spool", State.WARNING, what, fix, values)


def _unsent(run: RunPaths) -> int:
    try:
        sent = int(run.sent.read_text()) if run.sent.exists() else 0
        return max(0, run.spool.stat().st_size - sent)
    except (OSError, ValueError):  # it is gone: sent just now, or cleared away
        return 0


def _alerts(messages: Sequence[OutboxEntry], now: datetime) -> Check:
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
    again = "given up" if last.next_try_at is None else f"tried again {_show(last.next_try_at)}"
    what = f"{len(failed)} could not be sent; {last.title!r} of {_ago(last.created_at, now)}: {last.error} ({again})"
    fix = "Check the URLs with `kit schedule validate`, and whether the service can be reached."
    return Check("alerts", State.BAD, what, fix, {"unsent": len(failed)})


# This machine, and what is elsewhere


def _disk(project: Project) -> Check:
    place = project.paths.state if project.paths.state.exists() else project.root
    try:
        disk = shutil.disk_usage(place)
    except OSError as error:
        told = from_os_error(error)
        return Check("disk", State.BAD, _what(told), told.fix)
    share = disk.free / disk.total if disk.total else 0.0
    what = f"{_bytes(disk.free)} free of {_bytes(disk.total)} ({share:.0%})"
    values = {"free_bytes": disk.free, "total_bytes": disk.total}
    if disk.free >= _PLENTY:
        return Check("disk", State.OK, what, values=values)
    if disk.free < _GB or share < 0.02:
        return Check("disk", State.BAD, what, "Free some space: runs fail when there is none.", values)
    if share < 0.1:
        return Check("disk", State.WARNING, what, "Free some space before runs fail.", values)
    return Check("disk", State.OK, what, values=values)


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _tracking(project: Project) -> Answer:
    try:
        return tracking(project.tracking_uri)
    except KitError as error:
        return Answer(ok=False, what=_what(error), fix=error.fix)


def _reached(name: str, answer: Callable[[], Answer]) -> Check:
    told = answer()
    return Check(name, State.OK if told.ok else State.BAD, told.what, told.fix, {"up": int(told.ok)})
