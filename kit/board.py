"""What happens to schedules next: one turn of the scheduler, as a pure function.

The board is what the store knows, read in the transaction that will write the moves. Everything is decided here and
nothing is done: `kit.scheduler` writes the moves, and then starts and stops what they say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from kit._ledger import Active, Board, Ledger, Moves, Rules
from kit.alerting import AlertState, Event, EventKind, alerts_for, is_late
from kit.fires import Attempt, Fire, FireKey, FireOrigin, Gap, ScheduleState
from kit.outcomes import NEVER_STARTED
from kit.policies import (
    QUEUE_LIMIT,
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


class _Turn(Ledger):
    """The steps of a turn, in the order in which they are taken."""

    def __init__(self, board: Board, rules: Rules, now: datetime) -> None:
        super().__init__(board, rules, now)
        self._ready: list[Fire] = []
        # Of ten thousand schedules, many are due at the same times.
        self._plans: dict[tuple[Trigger, datetime, CatchUp], CatchUpPlan] = {}

    # What has ended

    def settle(self) -> None:
        """Bring the fires up to what their runs came to."""
        for item in list(self.active.values()):
            if item.attempt.status.is_terminal:
                self._settle(item.fire, item.attempt)
            elif self._is_removed(item.fire.schedule) and item.fire.status is not FireStatus.RUNNING:
                self.give_up(item.fire, FireStatus.CANCELLED, REMOVED)
            elif item.fire.stopping is not None:  # whoever wrote that may have died before it was done
                self.moves.stop[item.attempt.run_id] = item.fire.stopping

    def _settle(self, fire: Fire, attempt: Attempt) -> None:
        tries = fire.attempt - fire.uncounted
        never_started = attempt.status is RunStatus.LOST and attempt.reason == NEVER_STARTED
        if attempt.status is RunStatus.SUCCEEDED:
            self.end(fire, FireStatus.SUCCEEDED, None, attempt.ended_at)
        elif attempt.status is RunStatus.CANCELLED or (never_started and fire.stopping is not None):
            self.end(fire, FireStatus.CANCELLED, fire.stopping or attempt.reason, attempt.ended_at)
        elif never_started and fire.uncounted < _FREE:  # nothing was tried
            self.try_again(replace(fire, uncounted=fire.uncounted + 1), self.now)
        elif (schedule := self.rules.schedules.get(fire.schedule)) is None:
            self.end(fire, FireStatus.FAILED, f"{attempt.reason} ({_UNREADABLE})", attempt.ended_at)
        elif fire.stopping is None and should_retry(schedule.retry, tries, attempt.status, attempt.exit_code):
            wait = delay_before(tries + 1, schedule.retry, schedule=fire.schedule, scheduled_at=fire.scheduled_at)
            self.try_again(fire, (attempt.ended_at or self.now) + timedelta(seconds=wait))
        else:
            self.end(fire, FireStatus.FAILED, attempt.reason, attempt.ended_at)

    def _is_removed(self, name: str) -> bool:
        return name not in self.rules.schedules and name not in self.rules.broken

    # What is due

    def look_at_clock(self) -> None:
        """Claim what became due, as far as each schedule catches up with it."""
        due: list[FireKey] = []
        for name in self.rules.due:
            if (schedule := self.rules.schedules.get(name)) is not None:
                due.extend((name, instant) for instant in self._due(schedule))
        known = self.known(due)
        for name, instant in due:
            if (name, instant) not in known:
                self._claim_due(self.rules.schedules[name], instant)

    def _due(self, schedule: Schedule) -> Collection[datetime]:
        """The instants to claim; notes those that are not, and how far the clock was dealt with."""
        name, now = schedule.name, self.now
        state = self.state(name)
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
            plan = self._plans[key] = plan_catch_up(trigger, cursor, self.now, catch_up)
        return plan

    def _pass_over(self, name: str, plan: CatchUpPlan, reason: str) -> None:
        """One record for everything that was due while the schedule was not to run."""
        instants = [*plan.to_run, *(gap.first for gap in plan.missed), *(gap.last for gap in plan.missed)]
        if instants:
            count = len(plan.to_run) + sum(gap.count for gap in plan.missed)
            gap = Gap(name, FireStatus.SKIPPED, min(instants), max(instants), count, reason, self.now)
            self.moves.gaps.append(gap)

    def _miss(self, name: str, gap: Missed) -> None:
        self.moves.gaps.append(Gap(name, FireStatus.MISSED, gap.first, gap.last, gap.count, gap.reason, self.now))
        self.events[name].append(Event(EventKind.MISSED, gap.last, gap.reason, gap.count))

    def _claim_due(self, schedule: Schedule, instant: datetime) -> None:
        on_time = self.now - instant <= timedelta(seconds=schedule.catch_up.tolerance)
        origin = FireOrigin.CLOCK if on_time else FireOrigin.CATCH_UP
        # Those that are caught up with take turns, whatever the schedule does with fires that meet.
        wanted = schedule.catch_up.mode is CatchUpMode.ALL and not on_time
        self.claim(Fire(schedule.name, instant, FireStatus.PENDING, origin, self.now, self.now, wanted))

    def follow(self) -> None:
        """Make the schedules that come after a success due, at the same instant."""
        done = [*self.board.unfollowed, *(f for f in self.moves.fires.values() if f.status is FireStatus.SUCCEEDED)]
        done = [fire for fire in done if self.rules.owns(fire.schedule)]
        if not done:
            return
        followers = defaultdict(list)
        for schedule in self.rules.schedules.values():
            if isinstance(schedule.trigger, After) and schedule.enabled:
                followers[schedule.trigger.schedule].append(schedule)
        unreadable = defaultdict(list)
        for name in self.rules.broken:
            state = self.state(name)
            if state is not None and state.enabled and isinstance(state.trigger, After):
                unreadable[state.trigger.schedule].append(name)
        for fire in done:
            at = fire.scheduled_at
            self.change(replace(fire, followed=True))
            for schedule in followers[fire.schedule]:
                self._follow(schedule, fire)
            for name in unreadable[fire.schedule]:
                self.moves.gaps.append(Gap(name, FireStatus.MISSED, at, at, 1, _UNREADABLE_THEN, self.now))

    def _follow(self, schedule: Schedule, fire: Fire) -> None:
        if self.known([(schedule.name, fire.scheduled_at)]):
            return
        state = self.state(schedule.name)
        if state is not None and state.paused_at is not None:
            self._pass_over(schedule.name, CatchUpPlan((fire.scheduled_at,)), _why_paused(state))
            return
        self.claim(
            Fire(
                schedule.name,
                fire.scheduled_at,
                FireStatus.PENDING,
                FireOrigin.AFTER,
                self.now,
                self.now,
                requested=fire.requested,
                cause=None,
            )
        )

    def look_at_data(self, observed: Mapping[str, str]) -> None:
        """Make schedules due whose data has a version that never made them so."""
        for name, version in observed.items():
            state = self.state(name)
            schedule = self.rules.schedules.get(name)
            # While it is paused nobody looks: the version is still new afterwards.
            if schedule is None or not schedule.enabled or (state is not None and state.paused_at is not None):
                continue
            causes = self.board.causes(name)
            if version in causes or self.known([(name, self.now)]):  # the clock stands still: there is a next turn
                continue
            fire = Fire(name, self.now, FireStatus.PENDING, FireOrigin.DATA, self.now, self.now, cause=version)
            if causes:
                self.claim(fire)
            else:
                self.change(replace(fire, status=FireStatus.SKIPPED, reason=_FIRST_VERSION, ended_at=self.now))

    # Who goes first

    def decide_overlaps(self) -> None:
        """What of each schedule may start, must wait, or is not run since the schedule is busy."""
        running: dict[str, set[datetime]] = defaultdict(set)
        waiting: dict[str, list[Fire]] = defaultdict(list)
        for item in self.active.values():
            if item.fire.status is FireStatus.RUNNING:
                running[item.fire.schedule].add(item.fire.scheduled_at)
            elif self._may_start(item.fire):
                waiting[item.fire.schedule].append(item.fire)
        for name, fires in waiting.items():
            in_order = sorted(fires, key=lambda fire: fire.scheduled_at)
            self._decide_overlaps(self.rules.schedules[name], in_order, running[name])

    def _may_start(self, fire: Fire) -> bool:
        """A paused schedule starts what somebody asks for, and nothing else; what it keeps is in nobody's way."""
        state = self.state(fire.schedule)
        paused = state is not None and state.paused_at is not None
        return (
            self.rules.owns(fire.schedule)
            and self.rules.starts(fire.key)
            and fire.schedule in self.rules.schedules
            and (not paused or fire.origin in {FireOrigin.REQUEST, FireOrigin.BACKFILL})
        )

    def _decide_overlaps(self, schedule: Schedule, fires: list[Fire], running: set[datetime]) -> None:
        retrying = [fire for fire in fires if fire.status is FireStatus.RETRYING]
        waiting = [fire for fire in fires if fire.status is FireStatus.PENDING]
        busy = running | {fire.scheduled_at for fire in retrying}
        ahead: list[datetime] = []  # no more than any policy asks about: a backfill may be ten thousand
        for fire in waiting:
            at, last = fire.scheduled_at, waiting[-1].scheduled_at
            others = ahead if at == last else [*ahead, last]
            decision = decide_overlap(schedule.overlap, at, running=busy, waiting=others, requested=fire.requested)
            for other in decision.cancel:
                rival = self.active[schedule.name, other].fire
                if not rival.requested:  # the clock does not replace what somebody wants
                    self._replace(rival, by=at)
                    busy -= {other} - running
            if decision.action is Action.SKIP:
                self.give_up(fire, FireStatus.SKIPPED, decision.reason or "skipped")
                continue
            if decision.action is Action.START or (decision.cancel and not busy):
                busy.add(at)
                self._ready.append(fire)
            if len(ahead) < QUEUE_LIMIT:
                ahead.append(at)
        if not running:
            due = (fire for fire in retrying if fire.key in self.active and fire.due_at <= self.now)
            self._ready.extend(islice(due, 1))

    def _replace(self, fire: Fire, *, by: datetime) -> None:
        reason = f"replaced by the fire of {by:%Y-%m-%d %H:%M:%S} UTC"
        if fire.status is not FireStatus.RUNNING:
            self.give_up(fire, FireStatus.CANCELLED, reason)
            return
        if fire.stopping is None:
            self.change(replace(fire, stopping=reason))
        if fire.run_id is not None:
            self.moves.stop[fire.run_id] = fire.stopping or reason

    def start(self) -> None:
        """Start what there are slots for."""
        # What has ended, and is nobody's to settle or not settled yet, takes no slot.
        running = [item for item in [*self.active.values(), *self.others]
                   if item.fire.status is FireStatus.RUNNING and not item.attempt.status.is_terminal]  # fmt: skip
        used: Counter[str] = Counter()
        for item in running:
            used.update(item.fire.slots)
        here = sum(item.attempt.is_beside(self.rules.starter) for item in running)
        ready = {f"{fire.schedule} {fire.scheduled_at.isoformat()}": fire for fire in self._ready}
        queue = [self._waiting(key, fire) for key, fire in ready.items()]
        choice = choose(queue, self.rules.pools, used, limit=max(0, self.rules.max_runs - here))
        for key, reason in choice.impossible.items():
            self.give_up(ready[key], FireStatus.FAILED, reason)
        for key in choice.start:
            self._start(ready[key])

    def _waiting(self, key: str, fire: Fire) -> Waiting:
        schedule = self.rules.schedules[fire.schedule]
        return Waiting(key, fire.due_at, schedule.priority, schedule.slots)

    def _start(self, fire: Fire) -> None:
        if fire.run_id is None:
            return
        slots = self.rules.schedules[fire.schedule].slots
        begun = replace(fire, status=FireStatus.RUNNING, started_at=fire.started_at or self.now, slots=slots)
        self.change(begun)
        self.change_run(begun.run_id or "", RunStatus.STARTING, None)
        self.moves.start.append(begun)
        if fire.started_at is None:
            self._look_if_late(begun)

    # Whom to tell

    def tell(self) -> None:
        """Turn what happened into alerts."""
        for item in self.active.values():
            if item.fire.status is FireStatus.PENDING:
                self._look_if_late(item.fire)
        for name, events in self.events.items():
            schedule, state = self.rules.schedules.get(name), self.state(name)
            if schedule is None:
                continue
            if state is None:
                state = ScheduleState(name, schedule.trigger, self.now, schedule.enabled)
            after, alerts = alerts_for(state.alerts, events, self.now, schedule.alert)
            if after != state.alerts:
                self.moves.states[name] = replace(state, alerts=after)
            if schedule.alert.to:
                self.moves.alerts.extend((name, alert) for alert in alerts)

    def _look_if_late(self, fire: Fire) -> None:
        schedule, state = self.rules.schedules.get(fire.schedule), self.state(fire.schedule)
        if schedule is None or fire.origin not in {FireOrigin.CLOCK, FireOrigin.CATCH_UP}:
            return
        told = (state.alerts if state is not None else AlertState()).late_until
        if told is not None and fire.scheduled_at <= told:
            return
        if is_late(schedule.alert, fire.scheduled_at, fire.started_at, self.now):
            seconds = (self.now - fire.scheduled_at).total_seconds()
            started = "started" if fire.started_at is not None else "not started"
            event = Event(EventKind.LATE, fire.scheduled_at, f"{started} {seconds:.0f} s after it was due")
            self.events[fire.schedule].append(event)


def _why_paused(state: ScheduleState) -> str:
    return "paused" + (f": {state.paused_why}" if state.paused_why else "")
