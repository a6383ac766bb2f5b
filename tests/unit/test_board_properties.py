"""Whatever happens to schedulers, clocks, files and runs: everything that was due is accounted for, once.

A story is a list of steps, drawn by hypothesis: time passes or the clock is set, schedulers take turns or die, runs
end in every way there is, people pause, edit, remove and ask. The store is real; runs are moved as supervisors would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.board import REMOVED, Board, Moves, advance
from kit.fires import Fire, FireKey, FireOrigin, FireQuery, Gap
from kit.outcomes import NEVER_STARTED
from kit.policies import CatchUp, CatchUpMode, Overlap, Retry
from kit.schedule import Schedule
from kit.states import FireStatus, RunStatus, check_fire_history
from kit.stores import RunQuery
from kit.triggers import After, Cron, Interval, Once, OnData, Trigger, count_between, iter_due_back, next_after
from tests.scheduling import World

TICK = timedelta(microseconds=1)
STEPS = [timedelta(seconds=s) for s in (0, 1, 20, 60, 60, 300, 1200, 3600, 3600, 7200)]
WAITS = [timedelta(seconds=s) for s in (1, 30, 61, 600, 3570, 7200, 8 * 3600, 86400, 366 * 86400)]
BACK = timedelta(hours=2)
STARTS = [
    datetime(2026, 3, 1, 12, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 50, tzinfo=UTC),  # Berlin loses an hour
    datetime(2026, 10, 25, 0, 29, 59, 999999, tzinfo=UTC),  # and gets one
    datetime(2026, 4, 4, 14, 55, tzinfo=UTC),  # Lord Howe, by half an hour
    datetime(2026, 9, 6, 3, 40, tzinfo=UTC),  # Santiago has no midnight
]
MOST = 2
POOLS = {"gpu": 2, "tape": 1}
ASKED = {FireOrigin.REQUEST, FireOrigin.BACKFILL}

triggers: st.SearchStrategy[Trigger] = st.one_of(
    st.sampled_from([Interval(60.0), Interval(600.0), Cron("*/20 * * * *", "Asia/Kathmandu")]),
    st.builds(
        Cron,
        st.sampled_from(["* * * * *", "30 2 * * *", "0 0 * * *", "15 */2 * * *", "0 0 29 2 *"]),
        st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"]),
    ),
    st.builds(Interval, st.sampled_from([60.0, 61.5, 3600.0, 86400.0]), st.none() | st.sampled_from(STARTS)),
    st.builds(lambda start, wait: Once(start + wait), st.sampled_from(STARTS), st.sampled_from(WAITS)),
)
policies = st.fixed_dictionaries(
    {
        "retry": st.builds(Retry, attempts=st.integers(1, 3), delay=st.sampled_from([0.0, 60.0, 1800.0])),
        "overlap": st.sampled_from(Overlap),
        "catch_up": st.builds(
            CatchUp, st.sampled_from(CatchUpMode), window=st.sampled_from([600.0, 9e4, 6e5]), count=st.integers(1, 6)
        ),
        "priority": st.integers(-1, 1),
    }
)
slots = st.sampled_from([{}, {"gpu": 1}, {"gpu": 2}, {"tape": 1}, {"gpu": 1, "tape": 1}, {"gpu": 3}])


@st.composite
def projects(draw: st.DrawFn) -> list[Schedule]:
    """Some by the clock, one after another, one on data."""
    by_clock = [
        replace(Schedule(f"clock{number}", trigger, slots=draw(slots)), **draw(policies))
        for number, trigger in enumerate(draw(st.lists(triggers, min_size=1, max_size=4)))
    ]
    others = [Schedule("after", After("clock0")), Schedule("last", After("after")), Schedule("data", OnData("data"))]
    chosen = draw(st.sampled_from([0, 1, 2, 3]))
    return by_clock + [replace(schedule, **draw(policies)) for schedule in others[:chosen]]


KINDS = ("turn", "turn", "turn", "wait", "wait", "end", "end", "end", "back", "pause", "resume", "edit", "enable",
         "hide", "ask", "ask", "cancel", "commit", "restart")  # fmt: skip
step = st.tuples(st.sampled_from(KINDS), st.integers(0, 9), st.integers(0, 9))
# Hypothesis would draw short ones only.
steps = st.sampled_from([5, 20, 40, 60, 80]).flatmap(lambda size: st.lists(step, min_size=size // 2, max_size=size))


@dataclass
class Process:
    """What a scheduler keeps in mind: which files it saw, and when each is due."""

    seen: dict[str, Schedule] = field(default_factory=dict)
    next: dict[str, datetime] = field(default_factory=dict)

    def due(self, schedules: dict[str, Schedule], now: datetime) -> list[str]:
        changed = {name for name, schedule in schedules.items() if self.seen.get(name) is not schedule}
        return sorted(changed | {name for name, at in self.next.items() if at <= now and name in schedules})

    def looked(self, names: Sequence[str], schedules: dict[str, Schedule], now: datetime) -> None:
        for name in names:
            self.seen[name] = schedules[name]
            self.next.pop(name, None)
            if schedules[name].enabled and (at := next_after(schedules[name].trigger, now)) is not None:
                self.next[name] = at


@dataclass
class Period:
    """How long a trigger was in force, as far as anybody looked."""

    trigger: Trigger
    enabled: bool
    start: datetime
    end: datetime


class Story:
    """A project, two schedulers, and what must always be true of it."""

    def __init__(self, schedules: Sequence[Schedule], start: datetime) -> None:
        self.world = World(*schedules, pools=POOLS, max_runs=MOST)
        self.world.now = start
        self.files = dict(self.world.schedules)
        self.hidden: set[str] = set()  # files that are gone, or cannot be read
        self.broken: set[str] = set()
        self.processes = [Process(), Process()]
        self.periods: dict[str, list[Period]] = {}
        self.unborn: set[str] = set()  # runs that a scheduler that died was to start
        self.started: set[str] = set()
        self.version = 0
        self.before: dict[FireKey, Fire] = {}
        self.turn(0, 0)
        self.look()

    # What happens

    def play(self, story: Sequence[tuple[str, int, int]]) -> None:
        for kind, which, how in story:
            move: Callable[[int, int], None] = getattr(self, kind)
            move(which, how)
            self.look()
            self.check()

    def turn(self, which: int, how: int) -> None:
        """A little later, one of the schedulers takes a turn; some die before they started what they claimed."""
        world, process = self.world, self.processes[how % 2]
        world.now += STEPS[which]
        if how % 3:
            self.recover()
        due = process.due(world.schedules, world.now)
        observed = {"data": f"v{self.version}"} if "data" in world.schedules else {}
        self.expect_work(world)
        moves = world.turn(due=due, observed=observed, broken=self.broken, follows=how != 8)
        gone = {fire.schedule for fire in moves.fires.values() if fire.reason == REMOVED}
        assert gone <= self.hidden - self.broken
        process.looked(due, world.schedules, world.now)
        self.note_looks(due)
        begun = [fire.run_id for fire in moves.start]
        assert None not in begun
        assert not {*begun} & self.started, "a run is started once"
        self.started |= {run_id for run_id in begun if run_id is not None}
        if how == 9:
            self.unborn |= {run_id for run_id in begun if run_id is not None}
            self.processes[how % 2] = Process()

    def wait(self, which: int, how: int) -> None:
        # A year is dear, and more than one tells nothing new.
        self.world.now += WAITS[min(which, len(WAITS) - 1 - (how > 0))]

    def back(self, which: int, _how: int) -> None:
        if which < 3:
            self.world.now -= BACK

    def end(self, which: int, how: int) -> None:
        """One of the runs ends by itself, or as it was told to."""
        if not (running := self.running()):
            return
        fire = running[which % len(running)]
        assert fire.run_id is not None
        status, code, reason = [
            (RunStatus.SUCCEEDED, 0, None),
            (RunStatus.SUCCEEDED, 0, None),
            (RunStatus.SUCCEEDED, 0, None),
            (RunStatus.FAILED, 1, "it broke"),
            (RunStatus.FAILED, 1, "it broke"),
            (RunStatus.FAILED, 2, "no such key"),
            (RunStatus.TIMED_OUT, 124, "stopped at its time limit"),
            (RunStatus.CANCELLED, 130, "cancelled on request"),
            (RunStatus.LOST, 1, "its supervisor was killed"),
            (RunStatus.LOST, 1, NEVER_STARTED),
        ][how if fire.stopping is None or how < 4 else 7]
        self.finish(fire.run_id, status, code, reason)

    def finish(self, run_id: str, status: RunStatus, code: int, reason: str | None) -> None:
        store = self.world.store
        if run_id in self.unborn:
            status, reason = RunStatus.LOST, NEVER_STARTED
            self.unborn.discard(run_id)
        elif reason != NEVER_STARTED and store.get(run_id).status is RunStatus.STARTING:
            store.transition(run_id, RunStatus.RUNNING, at=self.world.now)
        store.transition(run_id, status, at=self.world.now, exit_code=code, reason=reason)

    def recover(self) -> None:
        for run_id in sorted(self.unborn):
            self.finish(run_id, RunStatus.LOST, 1, NEVER_STARTED)

    def cancel(self, which: int, _how: int) -> None:
        """Somebody cancels a run, one that waits as well."""
        active = [item for item in self.world.store.fires.active() if not item.attempt.status.is_terminal]
        if active:
            run_id = active[which % len(active)].attempt.run_id
            self.world.store.transition(run_id, RunStatus.CANCELLED, at=self.world.now, reason="not today")
            self.unborn.discard(run_id)

    def pause(self, which: int, _how: int) -> None:
        name = self.name(which)
        if name in self.world.schedules:
            self.world.pause(name, "a while")
            self.note_looks([name])

    def resume(self, which: int, _how: int) -> None:
        name = self.name(which)
        if name in self.world.schedules:
            self.world.resume(name)
            self.note_looks([name])

    def edit(self, which: int, how: int) -> None:
        """A file is changed: another trigger for what goes by the clock, another overlap for all."""
        schedule = self.files[self.name(which)]
        slots = {name: number for name, number in schedule.slots.items() if number < how}
        self.files[schedule.name] = replace(schedule, overlap=list(Overlap)[how % 3], slots=slots)
        if schedule.name.startswith("clock"):
            trigger: Trigger = Interval(60.0 * (how + 1)) if how % 2 else Cron(f"{how * 6} */{how + 1} * * *")
            self.files[schedule.name] = replace(self.files[schedule.name], trigger=trigger)
        self.save()

    def enable(self, which: int, _how: int) -> None:
        schedule = self.files[self.name(which)]
        if schedule.name.startswith("clock"):
            self.files[schedule.name] = replace(schedule, enabled=not schedule.enabled)
            self.save()

    def hide(self, which: int, how: int) -> None:
        """A file is removed or broken, or is there again."""
        name = self.name(which)
        if name.startswith("clock") or (name == "last" and (how % 2 or name in self.hidden)):
            self.hidden ^= {name}
            self.broken = self.broken | {name} if how % 2 and name in self.hidden else self.broken - {name}
            self.save()

    def save(self) -> None:
        self.world.schedules = {name: kept for name, kept in self.files.items() if name not in self.hidden}

    def ask(self, which: int, how: int) -> None:
        """Somebody wants the last instants, or one that is none."""
        schedule = self.world.schedules.get(self.name(which))
        if schedule is None:
            return
        back = iter_due_back(schedule.trigger, self.world.now)
        instants = [at for at, _ in zip(back, range(how % 4), strict=False)] or [self.world.now - timedelta(hours=how)]
        origin = list(ASKED)[how % 2]
        claimed = self.world.ask(schedule.name, instants, origin)
        assert all(fire.status is FireStatus.PENDING for fire in claimed)

    def commit(self, _which: int, how: int) -> None:
        self.version = how

    def restart(self, which: int, _how: int) -> None:
        self.processes[which % 2] = Process()

    def name(self, which: int) -> str:
        return list(self.files)[which % len(self.files)]

    def running(self) -> list[Fire]:
        return [item.fire for item in self.world.store.fires.active()
                if item.fire.status is FireStatus.RUNNING and not item.attempt.status.is_terminal]  # fmt: skip

    # What must be true

    def note_looks(self, names: Sequence[str]) -> None:
        for name in names:
            for period in self.periods.get(name, [])[-1:]:
                period.end = max(period.end, self.world.now)

    def look(self) -> None:
        """Note which trigger is in force since when; nothing that the one before owed is forgotten."""
        for name, state in self.world.store.fires.states().items():
            periods = self.periods.setdefault(name, [])
            new = Period(state.trigger, state.enabled, state.cursor, state.cursor)
            if not periods:
                periods.append(new)
            elif (periods[-1].trigger, periods[-1].enabled) != (state.trigger, state.enabled):
                assert not periods[-1].enabled or not count_between(periods[-1].trigger, state.cursor, periods[-1].end)
                periods[-1].end = state.cursor
                periods.append(new)

    def expect_work(self, world: World) -> None:
        """Without work, a turn in which nothing is due does nothing."""
        if world.store.fires.has_work(world.now):
            return
        rules = world.rules(due=(), broken=self.broken)

        def dry(board: Board) -> Moves:
            moves = advance(board, rules, world.now)
            retrying_of_removed = any(fire.status is FireStatus.CANCELLED for fire in moves.fires.values())
            assert retrying_of_removed or not (moves or moves.start or moves.attempts), moves
            return Moves(world.now)

        world.store.fires.act(dry, names=[*world.schedules])

    def check(self) -> None:
        """What is true after every step."""
        fires = {fire.key: fire for fire in self.world.store.fires.fires(FireQuery())}
        for key, fire in fires.items():
            old = self.before.get(key)
            if fire is not old:
                check_fire_history(None if old is None else old.status, fire.status)
                self.check_fire(fire, old)
        self.before = fires
        self.check_attempts(fires)
        running = [fire for fire in fires.values() if fire.status is FireStatus.RUNNING]
        assert len(running) <= MOST
        assert max(Counter(fire.schedule for fire in running).values(), default=0) <= 1, "one at a time of a schedule"
        used: Counter[str] = Counter()
        for fire in running:
            used.update(fire.slots)
        assert all(number <= POOLS[name] for name, number in used.items())

    def check_fire(self, fire: Fire, old: Fire | None) -> None:
        assert (fire.reason is None) == (fire.status not in _NEED_REASON), fire
        assert (fire.ended_at is not None) == fire.status.is_terminal
        assert fire.stopping is None or fire.status is FireStatus.RUNNING
        if old is not None and old.status.is_terminal and old.status is not FireStatus.SKIPPED:
            assert fire == replace(old, followed=fire.followed)
        if old is not None:
            assert fire.attempt >= old.attempt
            assert (fire.created_at, fire.cause) == (old.created_at, old.cause)

    def check_attempts(self, fires: dict[FireKey, Fire]) -> None:
        """Each fire has its attempts, numbered from 1, and no run is nobody's."""
        records = {record.run_id: record for record in self.world.store.runs(RunQuery())}
        numbers: dict[FireKey, list[int]] = {key: [] for key in fires}
        for record in records.values():
            parent, at, index = record.origin.parent, record.origin.scheduled_at, record.origin.index
            assert parent is not None
            assert at is not None
            assert index is not None
            numbers[parent, at].append(index)
            last = index == fires[parent, at].attempt
            assert last == (record.run_id == fires[parent, at].run_id)
            assert last or record.status.is_terminal
        for key, fire in fires.items():
            assert sorted(numbers[key]) == list(range(1, fire.attempt + 1)), fire
            if fire.run_id is not None:
                status = records[fire.run_id].status
                assert (status is RunStatus.QUEUED) <= (fire.status in {FireStatus.PENDING, FireStatus.RETRYING})
                assert fire.status.is_terminal <= status.is_terminal

    # The end

    def finish_all(self) -> None:
        """People repair everything and nothing new is due; whatever was begun comes to its end."""
        self.hidden, self.broken = set(), set()
        self.files = {
            name: replace(schedule, enabled=not name.startswith("clock")) for name, schedule in self.files.items()
        }
        self.save()
        for name in self.files:
            self.world.resume(name)
            self.note_looks([name])
            self.look()
        for _ in range(2000):
            self.turn(0, 1)
            self.look()
            if not self.world.store.fires.active():
                break
            for fire in self.running():
                assert fire.run_id is not None
                self.finish(fire.run_id, RunStatus.SUCCEEDED, 0, None)
            self.world.now += timedelta(minutes=31)
        self.check()
        assert not self.world.store.fires.active()
        assert all(record.status.is_terminal for record in self.world.store.runs(RunQuery()))
        for name, periods in self.periods.items():
            self.account(name, periods)
        self.account_followers()

    def account(self, name: str, periods: list[Period]) -> None:
        """Everything that was due is a fire or in one gap, and nothing else is but what somebody asked for."""
        store = self.world.store.fires
        fires = store.fires(FireQuery(schedule=name))
        gaps = sorted(store.gaps(name), key=lambda gap: gap.first)
        assert all(one.last < other.first for one, other in pairwise(gaps))
        if not name.startswith("clock"):
            return
        left_fires = {fire.scheduled_at: fire for fire in fires}
        left_gaps = list(gaps)
        for period in periods:
            if period.enabled:
                mine = [gap for gap in left_gaps if period.start < gap.first <= period.end]
                within = [at for at in left_fires if period.start < at <= period.end and _is_due(period.trigger, at)]
                self.account_period(period, mine, [left_fires.pop(at) for at in within])
                left_gaps = [gap for gap in left_gaps if gap not in mine]
        assert left_gaps == []
        assert all(fire.origin in ASKED for fire in left_fires.values())

    def account_period(self, period: Period, gaps: list[Gap], fires: list[Fire]) -> None:
        twice = 0
        for gap in gaps:
            assert gap.last <= period.end
            assert gap.count == count_between(period.trigger, gap.first - TICK, gap.last)
            assert _is_due(period.trigger, gap.first)
            assert _is_due(period.trigger, gap.last)
            inside = [fire for fire in fires if gap.first <= fire.scheduled_at <= gap.last]
            assert all(fire.origin in ASKED for fire in inside)
            twice += len(inside)
        number = count_between(period.trigger, period.start, period.end)
        assert len(fires) + sum(gap.count for gap in gaps) - twice == number

    def account_followers(self) -> None:
        """Every success is followed at its instant, and nothing else is."""
        store = self.world.store.fires
        for name, leader in (("after", "clock0"), ("last", "after")):
            if name not in self.files:
                continue
            succeeded = store.fires(FireQuery(schedule=leader, statuses=frozenset({FireStatus.SUCCEEDED})))
            assert all(fire.followed for fire in succeeded)
            followed = {fire.scheduled_at for fire in store.fires(FireQuery(schedule=name))}
            asked = {fire.scheduled_at for fire in store.fires(FireQuery(schedule=name)) if fire.origin in ASKED}
            passed = {gap.first for gap in store.gaps(name)}
            assert {fire.scheduled_at for fire in succeeded} <= followed | passed
            assert (followed - asked) | passed <= {fire.scheduled_at for fire in succeeded}
        seen = [fire for fire in store.fires(FireQuery(schedule="data")) if fire.cause is not None]
        assert len({fire.cause for fire in seen}) == len(seen)
        first = [fire for fire in seen if fire.status is FireStatus.SKIPPED and fire.run_id is None]
        assert not seen or first or any(fire.origin in ASKED for fire in seen), "the first version made nothing due"


_NEED_REASON = {FireStatus.FAILED, FireStatus.SKIPPED, FireStatus.MISSED, FireStatus.CANCELLED}


def _is_due(trigger: Trigger, at: datetime) -> bool:
    return next_after(trigger, at - TICK) == at


def stories(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test of so many stories."""
    told = given(schedules=projects(), start=st.sampled_from(STARTS), story=steps)
    drawn = settings(max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    return lambda test: drawn(told(test))


@stories(200)
def test_everything_that_was_due_is_accounted_for_once(
    schedules: list[Schedule], start: datetime, story: list[tuple[str, int, int]]
) -> None:
    told = Story(schedules, start)
    told.play(story)
    told.finish_all()


@pytest.mark.exhaustive
@stories(1000)
def test_it_is_in_a_thousand_stories(
    schedules: list[Schedule], start: datetime, story: list[tuple[str, int, int]]
) -> None:
    told = Story(schedules, start)
    told.play(story)
    told.finish_all()


@pytest.mark.parametrize("mode", CatchUpMode)
@settings(max_examples=25, deadline=None)
@given(
    start=st.sampled_from(STARTS),
    off=st.timedeltas(timedelta(0), timedelta(days=366)) | st.just(timedelta(days=365)),
    overlap=st.sampled_from(Overlap),
    window=st.sampled_from([600.0, 3600.0, 3e7, 4e7]),
    count=st.integers(1, 30),
)
def test_a_machine_that_was_off_for_up_to_a_year_accounts_for_every_minute(
    mode: CatchUpMode, start: datetime, off: timedelta, overlap: Overlap, window: float, count: int
) -> None:
    policy = CatchUp(mode, window=window, count=count)
    told = Story([Schedule("clock0", Cron("* * * * *", "Europe/Berlin"), overlap=overlap, catch_up=policy)], start)
    told.world.now += off
    told.turn(0, 1)
    told.look()
    told.check()
    fires = told.world.store.fires.fires(FireQuery())
    assert len(fires) <= (count if mode is CatchUpMode.ALL else 1)
    assert len(told.world.gaps("clock0")) <= 2
    told.finish_all()
