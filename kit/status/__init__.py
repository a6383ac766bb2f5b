"""Is production well? Everything that kit can tell without starting anything, in about a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kit import health, recovery, serving
from kit._reach import ask, dvc_remote
from kit.board import Moves
from kit.errors import KitError
from kit.executors._telling import send_alerts
from kit.health import ScheduleHealth
from kit.project import Project
from kit.schedules import Loaded, Schedules
from kit.states import RunStatus
from kit.status._around import ask_tracking, check_disk, check_reach
from kit.status._check import MOST, Check, State, failed
from kit.status._runs import check_alerts, check_runs, check_spool
from kit.status._schedules import check_missed, check_queue, check_scheduler, check_schedules

__all__ = ["Check", "State", "Status", "check"]

_LOCK_PATIENCE = 3.0
"""Seconds to wait for a store that somebody else writes to."""
_REACH_PATIENCE = 4.0


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
    mlflow = ask(lambda: ask_tracking(project), patience=_REACH_PATIENCE)
    remote = ask(lambda: dvc_remote(project.root))
    checks: list[Check] = []
    found: tuple[tuple[ScheduleHealth, ...], Mapping[RunStatus, int]] = ((), {})
    try:
        store = _settle(project, now)
        loaded, unreadable = _load(project)
        checks += unreadable
        schedules = health.look(project, loaded, now)
        found = schedules, project.store.counts()
        checks += _checks(project, loaded, schedules, now)
    except (KitError, OSError) as error:
        store = failed("store", error)
    checks += [store, check_disk(project), check_reach("mlflow", mlflow), check_reach("dvc", remote)]
    return Status(project.name, now, tuple(checks), *found)


def _load(project: Project) -> tuple[Loaded, list[Check]]:
    """The schedules; if not even their folder can be read, none, and what is wrong."""
    try:
        return Schedules(project).load(), []
    except KitError as error:
        return Loaded({}, {}), [failed("schedules", error)]


def _checks(project: Project, loaded: Loaded, schedules: Sequence[ScheduleHealth], now: datetime) -> Iterator[Check]:
    """Everything that the store knows.

    Raises:
        HostError: If the store cannot be used.
    """
    yield check_scheduler(project, loaded, schedules, now)
    yield from check_schedules(schedules, now)
    yield from check_missed(project.store.fires.gaps(limit=MOST), {one.name for one in schedules}, now)
    yield from check_runs(project, now)
    yield check_queue(project, schedules, now)
    yield check_spool(project, now)
    yield check_alerts(project.store.fires.messages(limit=MOST), now)


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
    except (KitError, OSError) as error:
        return failed("store", error)
    return Check("store", State.OK, "can be used")
