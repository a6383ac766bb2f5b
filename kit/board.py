"""What happens to schedules next: one turn of the scheduler, as a pure function.

The board is what the store knows, read in the transaction that will write the moves. Everything is decided here and
nothing is done: `kit.scheduler` writes the moves, and then starts and stops what they say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from kit._process import ProcessId
from kit.alerting import Alert, AlertState, Event, EventKind, OutboxEntry, alerts_for, is_late
from kit.fires import Attempt, Fire, FireKey, FireOrigin, Gap, ScheduleState
from kit.models import Origin, RunRecord
from kit.outcomes import NEVER_STARTED
from kit.policies import (
    Action,
    CatchUp,
    CatchUpMode,
    CatchUpPlan,
    Missed,
    Waiting,
    choose,
    decide_overlap,
    delay_before,
    plan_catch_up,
    should_retry,
)
from kit.schedule import Schedule
from kit.states import FireStatus, RunStatus, check_fire_transition
from kit.triggers import After, Trigger

__all__ = ["Active", "Board", "Moves", "Rules", "advance", "request"]

REMOVED = "its schedule was removed"
_FIRST_VERSION = "the version that was there when the schedule was first seen"
_FREE = 10
"""How often a fire is tried again whose run never came to start: where nothing ever does, that has to come out."""
_UNREADABLE_THEN = "its file could not be read when it was to follow"
_UNREADABLE = "its schedule cannot be read now, so it is not tried again"


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
        max_runs: How many attempts run at a time, in all.
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


def advance(board: Board, rules: Rules, now: datetime, *, observed: Mapping[str, str] | None = None) -> Moves:
    """Decide on everything that is to be done now.

    Args:
        observed: The version that each data trigger sees, for those that were looked at.
    """
    turn = _Turn(board, rules, now)
    turn.settle()
    if rules.follows:
        turn.follow()
    turn.look_at_clock()
    turn.look_at_data(observed or {})
    turn.decide_overlaps()
    turn.start()
    turn.tell()
    return turn.moves


def request(
    board: Board, rules: Rules, now: datetime, schedule: Schedule, instants: Iterable[datetime], origin: FireOrigin
) -> tuple[Moves, tuple[Fire, ...]]:
    """Claim these very fires of a schedule. What was skipped or missed before has its chance now.

    Returns:
        The moves, and the fires that were claimed: those that ran, or are under way, are not.
    """
    turn = _Turn(board, rules, now)
    # In UTC: an instant in the hour that autumn repeats is equal to itself in no other zone (PEP 495).
    wanted = {(schedule.name, instant.astimezone(UTC)): None for instant in instants}
    known = board.known(list(wanted))
    claimed = []
    for key in wanted:
        old = known.get(key)
        if old is not None and old.status not in {FireStatus.SKIPPED, FireStatus.MISSED}:
            continue
        fire = Fire(schedule.name, key[1], FireStatus.PENDING, origin, now, now, requested=True)
        if old is not None:
            check_fire_transition(old.status, fire.status)
            fire = replace(fire, cause=old.cause, created_at=old.created_at, attempt=old.attempt, uncounted=old.attempt)
        claimed.append(turn.claim(fire))
    if schedule.name not in board.states and claimed:
        turn.moves.states[schedule.name] = ScheduleState(schedule.name, schedule.trigger, now, schedule.enabled)
    return turn.moves, tuple(claimed)


class _Turn:
    """One turn in the making."""

    def __init__(self, board: Board, rules: Rules, now: datetime) -> None:
        self._board = board
        self._rules = rules
        self._now = now
        self._active = {item.fire.key: item for item in board.active if rules.owns(item.fire.schedule)}
        self._others = [item for item in board.active if not rules.owns(item.fire.schedule)]
        self._ready: list[Fire] = []
        # Of ten thousand schedules, many are due at the same times.
        self._plans: dict[tuple[Trigger, datetime, CatchUp], CatchUpPlan] = {}
        self._events: dict[str, list[Event]] = defaultdict(list)
        self.moves = Moves(now, rules.starter)

    # What has ended

    def settle(self) -> None:
        """Bring the fires up to what their runs came to."""
        for item in list(self._active.values()):
            if item.attempt.status.is_terminal:
                self._settle(item.fire, item.attempt)
            elif self._is_removed(item.fire.schedule) and item.fire.status is not FireStatus.RUNNING:
                self._give_up(item.fire, FireStatus.CANCELLED, REMOVED)
            elif item.fire.stopping is not None:  # whoever wrote that may have died before it was done
                self.moves.stop[item.attempt.run_id] = item.fire.stopping

    def _settle(self, fire: Fire, attempt: Attempt) -> None:
        tries = fire.attempt - fire.uncounted
        never_started = attempt.status is RunStatus.LOST and attempt.reason == NEVER_STARTED
        if attempt.status is RunStatus.SUCCEEDED:
            self._end(fire, FireStatus.SUCCEEDED, None, attempt.ended_at)
        elif attempt.status is RunStatus.CANCELLED or (never_started and fire.stopping is not None):
            self._end(fire, FireStatus.CANCELLED, fire.stopping or attempt.reason, attempt.ended_at)
        elif never_started and fire.uncounted < _FREE:  # nothing was tried
            self._try_again(replace(fire, uncounted=fire.uncounted + 1), self._now)
        elif (schedule := self._rules.schedules.get(fire.schedule)) is None:
            self._end(fire, FireStatus.FAILED, f"{attempt.reason} ({_UNREADABLE})", attempt.ended_at)
        elif fire.stopping is None and should_retry(schedule.retry, tries, attempt.status, attempt.exit_code):
            wait = delay_before(tries + 1, schedule.retry, schedule=fire.schedule, scheduled_at=fire.scheduled_at)
            self._try_again(fire, (attempt.ended_at or self._now) + timedelta(seconds=wait))
        else:
            self._end(fire, FireStatus.FAILED, attempt.reason, attempt.ended_at)

    def _end(self, fire: Fire, status: FireStatus, reason: str | None, at: datetime | None = None) -> None:
        """A fire ended when its last attempt did, though nobody may have been there to note it."""
        self._change(replace(fire, status=status, reason=reason, ended_at=at or self._now, stopping=None))
        self.moves.ended.append(fire.key)
        kinds = {FireStatus.SUCCEEDED: EventKind.SUCCEEDED, FireStatus.FAILED: EventKind.FAILED}
        if status in kinds:
            self._events[fire.schedule].append(Event(kinds[status], fire.scheduled_at, reason))

    def _try_again(self, fire: Fire, due_at: datetime) -> None:
        # One whose run was given up while it waited goes on waiting for its turn.
        status = FireStatus.RETRYING if fire.status is FireStatus.RUNNING else fire.status
        again = replace(fire, status=status, attempt=fire.attempt + 1, run_id=self._rules.new_id(), due_at=due_at)
        self._change(again)
        self._begin_attempt(again)

    def _give_up(self, fire: Fire, status: FireStatus, reason: str) -> None:
        """End a fire whose run, if there is one, has not been started."""
        if fire.attempt == 1 and fire.run_id in self.moves.attempts:  # of which nobody has heard yet
            del self.moves.attempts[fire.run_id]
            fire = replace(fire, attempt=0, run_id=None)
        elif fire.run_id is not None:
            end = RunStatus.FAILED if status is FireStatus.FAILED else RunStatus.CANCELLED
            self._change_run(fire.run_id, end, reason)
        self._end(fire, status, reason)

    def _is_removed(self, name: str) -> bool:
        return name not in self._rules.schedules and name not in self._rules.broken

    # What is due

    def look_at_clock(self) -> None:
        """Claim what became due, as far as each schedule catches up with it."""
        due: list[FireKey] = []
        for name in self._rules.due:
            if (schedule := self._rules.schedules.get(name)) is not None:
                due.extend((name, instant) for instant in self._due(schedule))
        known = self._known(due)
        for name, instant in due:
            if (name, instant) not in known:
                self._claim_due(self._rules.schedules[name], instant)

    def _due(self, schedule: Schedule) -> Collection[datetime]:
        """The instants to claim; notes those that are not, and how far the clock was dealt with."""
        name, now = schedule.name, self._now
        state = self._state(name)
        if state is None:  # what was due before anybody looked is nobody's
            self.moves.states[name] = ScheduleState(name, schedule.trigger, now, schedule.enabled)
            return ()
        if not schedule.enabled and not state.enabled:
            return ()
        # By the trigger that was in force until now: a changed one counts from now on, as does one enabled just now.
        plan = self._plan(state.trigger, state.cursor, schedule.catch_up) if state.enabled else CatchUpPlan()
        changed = (state.trigger, state.enabled) != (schedule.trigger, schedule.enabled)
        if plan.to_run or plan.missed or changed:
            self.moves.states[name] = replace(
                state, cursor=max(now, state.cursor), trigger=schedule.trigger, enabled=schedule.enabled
            )
        if state.paused_at is not None or not schedule.enabled:
            self._pass_over(name, plan, _why_paused(state) if schedule.enabled else "disabled (enabled: false)")
            return ()
        for gap in plan.missed:
            self._miss(name, gap)
        return plan.to_run

    def _plan(self, trigger: Trigger, cursor: datetime, catch_up: CatchUp) -> CatchUpPlan:
        key = (trigger, cursor, catch_up)
        if (plan := self._plans.get(key)) is None:
            plan = self._plans[key] = plan_catch_up(trigger, cursor, self._now, catch_up)
        return plan

    def _pass_over(self, name: str, plan: CatchUpPlan, reason: str) -> None:
        """One record for everything that was due while the schedule was not to run."""
        instants = [*plan.to_run, *(gap.first for gap in plan.missed), *(gap.last for gap in plan.missed)]
        if instants:
            count = len(plan.to_run) + sum(gap.count for gap in plan.missed)
            gap = Gap(name, FireStatus.SKIPPED, min(instants), max(instants), count, reason, self._now)
            self.moves.gaps.append(gap)

    def _miss(self, name: str, gap: Missed) -> None:
        self.moves.gaps.append(Gap(name, FireStatus.MISSED, gap.first, gap.last, gap.count, gap.reason, self._now))
        self._events[name].append(Event(EventKind.MISSED, gap.last, gap.reason, gap.count))

    def _claim_due(self, schedule: Schedule, instant: datetime) -> None:
        on_time = self._now - instant <= timedelta(seconds=schedule.catch_up.tolerance)
        origin = FireOrigin.CLOCK if on_time else FireOrigin.CATCH_UP
        # Those that are caught up with take turns, whatever the schedule does with fires that meet.
        wanted = schedule.catch_up.mode is CatchUpMode.ALL and not on_time
        self.claim(Fire(schedule.name, instant, FireStatus.PENDING, origin, self._now, self._now, wanted))

    def follow(self) -> None:
        """Make the schedules that come after a success due, at the same instant."""
        done = [*self._board.unfollowed, *(f for f in self.moves.fires.values() if f.status is FireStatus.SUCCEEDED)]
        done = [fire for fire in done if self._rules.owns(fire.schedule)]
        if not done:
            return
        followers = defaultdict(list)
        for schedule in self._rules.schedules.values():
            if isinstance(schedule.trigger, After) and schedule.enabled:
                followers[schedule.trigger.schedule].append(schedule)
        unreadable = defaultdict(list)
        for name in self._rules.broken:
            state = self._state(name)
            if state is not None and state.enabled and isinstance(state.trigger, After):
                unreadable[state.trigger.schedule].append(name)
        for fire in done:
            at = fire.scheduled_at
            self._change(replace(fire, followed=True))
            for schedule in followers[fire.schedule]:
                self._follow(schedule, fire)
            for name in unreadable[fire.schedule]:
                self.moves.gaps.append(Gap(name, FireStatus.MISSED, at, at, 1, _UNREADABLE_THEN, self._now))

    def _follow(self, schedule: Schedule, fire: Fire) -> None:
        if self._known([(schedule.name, fire.scheduled_at)]):
            return
        state = self._state(schedule.name)
        if state is not None and state.paused_at is not None:
            self._pass_over(schedule.name, CatchUpPlan((fire.scheduled_at,)), _why_paused(state))
            return
        self.claim(
            Fire(
                schedule.name,
                fire.scheduled_at,
                FireStatus.PENDING,
                FireOrigin.AFTER,
                self._now,
                self._now,
                requested=fire.requested,
                cause=None,
            )
        )

    def look_at_data(self, observed: Mapping[str, str]) -> None:
        """Make schedules due whose data has a version that never made them so."""
        for name, version in observed.items():
            state = self._state(name)
            schedule = self._rules.schedules.get(name)
            # While it is paused nobody looks: the version is still new afterwards.
            if schedule is None or not schedule.enabled or (state is not None and state.paused_at is not None):
                continue
            causes = self._board.causes(name)
            if version in causes or self._known([(name, self._now)]):  # the clock stands still: there is a next turn
                continue
            fire = Fire(name, self._now, FireStatus.PENDING, FireOrigin.DATA, self._now, self._now, cause=version)
            if causes:
                self.claim(fire)
            else:
                self._change(replace(fire, status=FireStatus.SKIPPED, reason=_FIRST_VERSION, ended_at=self._now))

    def claim(self, fire: Fire) -> Fire:
        """Write a fire down together with its first run, or its next."""
        claimed = replace(fire, attempt=fire.attempt + 1, run_id=self._rules.new_id())
        self._change(claimed)
        self._begin_attempt(claimed)
        return claimed

    # Who goes first

    def decide_overlaps(self) -> None:
        """What of each schedule may start, must wait, or is not run since the schedule is busy."""
        running: dict[str, set[datetime]] = defaultdict(set)
        waiting: dict[str, list[Fire]] = defaultdict(list)
        for item in self._active.values():
            if item.fire.status is FireStatus.RUNNING:
                running[item.fire.schedule].add(item.fire.scheduled_at)
            elif self._may_start(item.fire):
                waiting[item.fire.schedule].append(item.fire)
        for name, fires in waiting.items():
            in_order = sorted(fires, key=lambda fire: fire.scheduled_at)
            self._decide_overlaps(self._rules.schedules[name], in_order, running[name])

    def _may_start(self, fire: Fire) -> bool:
        """A paused schedule starts what somebody asks for, and nothing else; what it keeps is in nobody's way."""
        state = self._state(fire.schedule)
        paused = state is not None and state.paused_at is not None
        return (
            self._rules.owns(fire.schedule)
            and self._rules.starts(fire.key)
            and fire.schedule in self._rules.schedules
            and (not paused or fire.origin in {FireOrigin.REQUEST, FireOrigin.BACKFILL})
        )

    def _decide_overlaps(self, schedule: Schedule, fires: list[Fire], running: set[datetime]) -> None:
        retrying = [fire for fire in fires if fire.status is FireStatus.RETRYING]
        busy = running | {fire.scheduled_at for fire in retrying}
        waiting = {fire.scheduled_at for fire in fires} - busy
        for fire in fires:
            at = fire.scheduled_at
            if at not in waiting:
                continue
            decision = decide_overlap(
                schedule.overlap, at, running=busy, waiting=waiting - {at}, requested=fire.requested
            )
            action = decision.action
            for other in decision.cancel:
                rival = self._active[schedule.name, other].fire
                if not rival.requested:  # the clock does not replace what somebody wants
                    waiting.discard(other)
                    self._replace(rival, by=at)
                    busy -= {other} - running
            if action is Action.SKIP:
                waiting.discard(at)
                self._give_up(fire, FireStatus.SKIPPED, decision.reason or "skipped")
            elif action is Action.START or (decision.cancel and not busy):
                busy.add(at)
                self._ready.append(fire)
        if not running:
            due = (fire for fire in retrying if fire.key in self._active and fire.due_at <= self._now)
            self._ready.extend(islice(due, 1))

    def _replace(self, fire: Fire, *, by: datetime) -> None:
        reason = f"replaced by the fire of {by:%Y-%m-%d %H:%M:%S} UTC"
        if fire.status is not FireStatus.RUNNING:
            self._give_up(fire, FireStatus.CANCELLED, reason)
            return
        if fire.stopping is None:
            self._change(replace(fire, stopping=reason))
        if fire.run_id is not None:
            self.moves.stop[fire.run_id] = fire.stopping or reason

    def start(self) -> None:
        """Start what there are slots for."""
        # What has ended, and is nobody's to settle or not settled yet, takes no slot.
        running = [item.fire for item in [*self._active.values(), *self._others]
                   if item.fire.status is FireStatus.RUNNING and not item.attempt.status.is_terminal]  # fmt: skip
        used: Counter[str] = Counter()
        for fire in running:
            used.update(fire.slots)
        ready = {f"{fire.schedule} {fire.scheduled_at.isoformat()}": fire for fire in self._ready}
        queue = [self._waiting(key, fire) for key, fire in ready.items()]
        choice = choose(queue, self._rules.pools, used, limit=max(0, self._rules.max_runs - len(running)))
        for key, reason in choice.impossible.items():
            self._give_up(ready[key], FireStatus.FAILED, reason)
        for key in choice.start:
            self._start(ready[key])

    def _waiting(self, key: str, fire: Fire) -> Waiting:
        schedule = self._rules.schedules[fire.schedule]
        return Waiting(key, fire.due_at, schedule.priority, schedule.slots)

    def _start(self, fire: Fire) -> None:
        if fire.run_id is None:
            return
        slots = self._rules.schedules[fire.schedule].slots
        begun = replace(fire, status=FireStatus.RUNNING, started_at=fire.started_at or self._now, slots=slots)
        self._change(begun)
        self._change_run(begun.run_id or "", RunStatus.STARTING, None)
        self.moves.start.append(begun)
        if fire.started_at is None:
            self._look_if_late(begun)

    # Whom to tell

    def tell(self) -> None:
        """Turn what happened into alerts."""
        for item in self._active.values():
            if item.fire.status is FireStatus.PENDING:
                self._look_if_late(item.fire)
        for name, events in self._events.items():
            schedule, state = self._rules.schedules.get(name), self._state(name)
            if schedule is None:
                continue
            if state is None:
                state = ScheduleState(name, schedule.trigger, self._now, schedule.enabled)
            after, alerts = alerts_for(state.alerts, events, self._now, schedule.alert)
            if after != state.alerts:
                self.moves.states[name] = replace(state, alerts=after)
            if schedule.alert.to:
                self.moves.alerts.extend((name, alert) for alert in alerts)

    def _look_if_late(self, fire: Fire) -> None:
        schedule, state = self._rules.schedules.get(fire.schedule), self._state(fire.schedule)
        if schedule is None or fire.origin not in {FireOrigin.CLOCK, FireOrigin.CATCH_UP}:
            return
        told = (state.alerts if state is not None else AlertState()).late_until
        if told is not None and fire.scheduled_at <= told:
            return
        if is_late(schedule.alert, fire.scheduled_at, fire.started_at, self._now):
            seconds = (self._now - fire.scheduled_at).total_seconds()
            started = "started" if fire.started_at is not None else "not started"
            event = Event(EventKind.LATE, fire.scheduled_at, f"{started} {seconds:.0f} s after it was due")
            self._events[fire.schedule].append(event)

    # Writing it down

    def _state(self, name: str) -> ScheduleState | None:
        return self.moves.states.get(name) or self._board.states.get(name)

    def _known(self, keys: Iterable[FireKey]) -> set[FireKey]:
        asked = list(keys)
        return {*self._board.known(asked), *(key for key in asked if key in self.moves.fires)}

    def _change(self, fire: Fire) -> None:
        old = self.moves.fires.get(fire.key) or (item.fire if (item := self._active.get(fire.key)) else None)
        if old is not None and old.status is not fire.status:
            check_fire_transition(old.status, fire.status)
        self.moves.fires[fire.key] = fire
        if fire.status.is_terminal:
            self._active.pop(fire.key, None)
        elif fire.run_id is not None:
            status = RunStatus.STARTING if fire.status is FireStatus.RUNNING else RunStatus.QUEUED
            self._active[fire.key] = Active(fire, Attempt(fire.run_id, status))

    def _begin_attempt(self, fire: Fire) -> None:
        if fire.run_id is not None:
            schedule = self._rules.schedules.get(fire.schedule)
            self.moves.attempts[fire.run_id] = RunRecord(
                run_id=fire.run_id,
                name=fire.schedule,
                project=self._rules.project,
                experiment=(schedule.experiment if schedule else None) or self._rules.experiment,
                task=None,
                status=RunStatus.QUEUED,
                created_at=self._now,
                commit=None,
                dirty=False,
                seed=None,
                origin=Origin("schedule", fire.schedule, fire.attempt, fire.scheduled_at),
            )

    def _change_run(self, run_id: str, status: RunStatus, reason: str | None) -> None:
        """A run that is new in this very turn begins with the status."""
        if (record := self.moves.attempts.get(run_id)) is None:
            self.moves.runs[run_id] = (status, reason)
            return
        self.moves.attempts[run_id] = self.moves.changed(record, status, reason)


def _why_paused(state: ScheduleState) -> str:
    return "paused" + (f": {state.paused_why}" if state.paused_why else "")
