"""What one turn of the scheduler knows, and what it has decided so far.

`kit.board` decides; here it is written down so that a fire, its attempts and their runs always fit together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from kit._process import ProcessId
from kit.alerting import Alert, Event, EventKind, OutboxEntry
from kit.fires import Attempt, Fire, FireKey, Gap, ScheduleState
from kit.models import Origin, RunRecord
from kit.schedule import Schedule
from kit.states import FireStatus, RunStatus, check_fire_transition

__all__ = ["Active", "Board", "Ledger", "Moves", "Rules"]


@dataclass(frozen=True, slots=True)
class Active:
    """A fire that is not over, and the run that is its last attempt."""

    fire: Fire
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Board:
    """What the store knows.

    Attributes:
        states: Of the schedules that were asked for, of all that something is active of, and of all that follow one.
        active: Every fire that is not over.
        unfollowed: Fires that succeeded, and whose followers were not told.
        known: The fires among these keys that there are already, whatever became of them.
        causes: Every version that ever made this schedule fire.
    """

    states: Mapping[str, ScheduleState]
    active: Collection[Active]
    unfollowed: Collection[Fire]
    known: Callable[[Collection[FireKey]], Mapping[FireKey, Fire]]
    causes: Callable[[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a turn goes by.

    Attributes:
        schedules: Those that can be read, by name.
        broken: The names of those that cannot: nothing is begun for them, and nothing of them is given up.
        due: Whose clock is looked at in this turn; every one of them must be on the board if it was ever seen.
        project: The project's name, for its runs.
        experiment: The one that a schedule runs that names none.
        pools: The size of each pool of slots.
        max_runs: How many attempts run at a time on the starter's machine; those that an engine has are not there.
        new_id: Gives the id of a new run.
        starter: The process that asks, and will start the runs.
        owns: Whether a schedule is this scheduler's; what is another's is left alone.
        follows: Whether it sees all schedules, and so can tell those that come after a success.
        starts: Which fires it may start; the others wait for somebody else, and nothing waits for them meanwhile.
    """

    schedules: Mapping[str, Schedule]
    project: str
    experiment: str
    pools: Mapping[str, int]
    max_runs: int
    new_id: Callable[[], str]
    starter: ProcessId | None = None
    broken: Collection[str] = ()
    due: Collection[str] = ()
    owns: Callable[[str], bool] = lambda _name: True
    follows: bool = True
    starts: Callable[[FireKey], bool] = lambda _key: True


@dataclass(slots=True)
class Moves:
    """What a turn changes, all of it in one transaction, and what is done after that.

    Attributes:
        at: When it was decided.
        starter: The process that starts what is to be started.
        fires: New or changed, by key, as they are to be.
        ended: Those among them that are over as of now, in order; their last attempt may have ended long ago.
        attempts: New runs by id; nothing is known of them yet but that they are to be made.
        runs: Queued runs that change: id to status and reason.
        gaps: What was passed over.
        states: Schedules whose state is new or changed, by name.
        alerts: What people are to be told, by schedule.
        messages: The same, as texts: `kit.scheduler` words them.
        start: Runs to start after the commit, in order.
        stop: Runs to stop after the commit, with the reason.
    """

    at: datetime
    starter: ProcessId | None = None
    fires: dict[FireKey, Fire] = field(default_factory=dict)
    ended: list[FireKey] = field(default_factory=list)
    attempts: dict[str, RunRecord] = field(default_factory=dict)
    runs: dict[str, tuple[RunStatus, str | None]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    states: dict[str, ScheduleState] = field(default_factory=dict)
    alerts: list[tuple[str, Alert]] = field(default_factory=list)
    messages: list[OutboxEntry] = field(default_factory=list)
    start: list[Fire] = field(default_factory=list)
    stop: dict[str, str] = field(default_factory=dict)

    def changed(self, record: RunRecord, status: RunStatus, reason: str | None) -> RunRecord:
        """A queued run's record as it is after these moves."""
        if status is RunStatus.STARTING:
            return replace(record, status=status, starter=self.starter, heartbeat_at=self.at)
        return replace(record, status=status, reason=reason, ended_at=self.at, tracked=True)

    def __bool__(self) -> bool:
        return bool(self.fires or self.runs or self.gaps or self.states or self.stop)


class Ledger:
    """The moves of one turn in the making, and the fires that are not over as they stand after them."""

    def __init__(self, board: Board, rules: Rules, now: datetime) -> None:
        self.board = board
        self.rules = rules
        self.now = now
        self.active = {item.fire.key: item for item in board.active if rules.owns(item.fire.schedule)}
        self.others = [item for item in board.active if not rules.owns(item.fire.schedule)]
        self.events: dict[str, list[Event]] = defaultdict(list)
        self.moves = Moves(now, rules.starter)

    def claim(self, fire: Fire) -> Fire:
        """Write a fire down together with its first run, or its next."""
        claimed = replace(fire, attempt=fire.attempt + 1, run_id=self.rules.new_id())
        self.change(claimed)
        self._begin_attempt(claimed)
        return claimed

    def end(self, fire: Fire, status: FireStatus, reason: str | None, at: datetime | None = None) -> None:
        """A fire ended when its last attempt did, though nobody may have been there to note it."""
        self.change(replace(fire, status=status, reason=reason, ended_at=at or self.now, stopping=None))
        self.moves.ended.append(fire.key)
        kinds = {FireStatus.SUCCEEDED: EventKind.SUCCEEDED, FireStatus.FAILED: EventKind.FAILED}
        if status in kinds:
            self.events[fire.schedule].append(Event(kinds[status], fire.scheduled_at, reason))

    def try_again(self, fire: Fire, due_at: datetime) -> None:
        """Have another attempt; a fire whose run was given up while it waited goes on waiting for its turn."""
        status = FireStatus.RETRYING if fire.status is FireStatus.RUNNING else fire.status
        again = replace(fire, status=status, attempt=fire.attempt + 1, run_id=self.rules.new_id(), due_at=due_at)
        self.change(again)
        self._begin_attempt(again)

    def give_up(self, fire: Fire, status: FireStatus, reason: str) -> None:
        """End a fire whose run, if there is one, has not been started."""
        if fire.attempt == 1 and fire.run_id in self.moves.attempts:  # of which nobody has heard yet
            del self.moves.attempts[fire.run_id]
            fire = replace(fire, attempt=0, run_id=None)
        elif fire.run_id is not None:
            end = RunStatus.FAILED if status is FireStatus.FAILED else RunStatus.CANCELLED
            self.change_run(fire.run_id, end, reason)
        self.end(fire, status, reason)

    def state(self, name: str) -> ScheduleState | None:
        return self.moves.states.get(name) or self.board.states.get(name)

    def known(self, keys: Iterable[FireKey]) -> set[FireKey]:
        asked = list(keys)
        return {*self.board.known(asked), *(key for key in asked if key in self.moves.fires)}

    def change(self, fire: Fire) -> None:
        old = self.moves.fires.get(fire.key) or (item.fire if (item := self.active.get(fire.key)) else None)
        if old is not None and old.status is not fire.status:
            check_fire_transition(old.status, fire.status)
        self.moves.fires[fire.key] = fire
        if fire.status.is_terminal:
            self.active.pop(fire.key, None)
        elif fire.run_id is not None:
            status = RunStatus.STARTING if fire.status is FireStatus.RUNNING else RunStatus.QUEUED
            self.active[fire.key] = Active(fire, Attempt(fire.run_id, status))

    def _begin_attempt(self, fire: Fire) -> None:
        if fire.run_id is not None:
            schedule = self.rules.schedules.get(fire.schedule)
            self.moves.attempts[fire.run_id] = RunRecord(
                run_id=fire.run_id,
                name=fire.schedule,
                project=self.rules.project,
                experiment=(schedule.experiment if schedule else None) or self.rules.experiment,
                task=None,
                status=RunStatus.QUEUED,
                created_at=self.now,
                commit=None,
                dirty=False,
                seed=None,
                origin=Origin("schedule", fire.schedule, fire.attempt, fire.scheduled_at),
            )

    def change_run(self, run_id: str, status: RunStatus, reason: str | None) -> None:
        """A run that is new in this very turn begins with the status."""
        if (record := self.moves.attempts.get(run_id)) is None:
            self.moves.runs[run_id] = (status, reason)
            return
        self.moves.attempts[run_id] = self.moves.changed(record, status, reason)
