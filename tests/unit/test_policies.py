"""What a schedule does besides being due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import ExitCode
from kit.policies import (
    Action,
    CatchUp,
    CatchUpMode,
    CatchUpPlan,
    Decision,
    Overlap,
    Retry,
    Waiting,
    choose,
    decide_overlap,
    delay_before,
    plan_catch_up,
    should_retry,
)
from kit.states import RunStatus
from kit.triggers import Cron, Interval, Once, OnData, Trigger, due_between

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# Retry


def wait(attempt: int, retry: Retry, *, schedule: str = "nightly", scheduled_at: datetime = NOW) -> float:
    return delay_before(attempt, retry, schedule=schedule, scheduled_at=scheduled_at)


def test_each_delay_is_longer_until_it_is_long_enough() -> None:
    retry = Retry(attempts=9, delay=60, factor=2, max_delay=300, jitter=0)
    assert [wait(attempt, retry) for attempt in range(2, 7)] == [60, 120, 240, 300, 300]
    with pytest.raises(ValueError, match="later attempt"):
        wait(1, retry)


@given(
    attempt=st.integers(2, 100),
    delay=st.floats(0, 3600),
    factor=st.floats(1, 100),
    jitter=st.floats(0, 1),
    name=st.text(),
)
def test_jitter_stays_in_its_bounds_and_is_the_same_for_everyone(
    attempt: int, delay: float, factor: float, jitter: float, name: str
) -> None:
    retry = Retry(attempts=100, delay=delay, factor=factor, max_delay=3600, jitter=jitter)
    base = min(delay * factor ** (attempt - 2), 3600)
    found = wait(attempt, retry, schedule=name)
    assert base * (1 - jitter) - 1e-6 <= found <= min(base * (1 + jitter), 3600) + 1e-6
    berlin = NOW.astimezone(tz=None)
    assert found == wait(attempt, retry, schedule=name, scheduled_at=berlin)


def test_jitter_parts_what_failed_together() -> None:
    retry = Retry(attempts=3, delay=100, jitter=0.5)
    delays = [wait(2, retry, schedule=f"s{i}") for i in range(200)]
    assert len(set(delays)) == 200
    assert min(delays) < 60
    assert max(delays) > 140
    assert 90 < sum(delays) / 200 < 110
    assert wait(2, retry) != wait(2, retry, scheduled_at=NOW + MINUTE) != wait(3, retry) / 2


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (RunStatus.FAILED, 1, True),
        (RunStatus.FAILED, None, True),
        (RunStatus.FAILED, ExitCode.USER, False),
        (RunStatus.FAILED, ExitCode.SERVICE, True),
        (RunStatus.TIMED_OUT, 124, True),
        (RunStatus.LOST, None, True),
        (RunStatus.CANCELLED, 130, False),
        (RunStatus.SUCCEEDED, 0, False),
    ],
)
def test_what_is_retried(status: RunStatus, code: int | None, *, again: bool) -> None:
    assert should_retry(Retry(attempts=2), 1, status, code) is again
    assert not should_retry(Retry(attempts=2), 2, status, code)
    assert not should_retry(Retry(), 1, status, code)


def test_only_what_is_named_is_retried() -> None:
    lost = Retry(attempts=3, when=(RunStatus.LOST, 75, 2))
    assert should_retry(lost, 1, RunStatus.LOST, None)
    assert should_retry(lost, 1, RunStatus.FAILED, 75)
    assert should_retry(lost, 1, RunStatus.FAILED, 2)
    assert not should_retry(lost, 1, RunStatus.FAILED, 1)
    assert not should_retry(lost, 1, RunStatus.CANCELLED, 75)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Retry(attempts=0),
        lambda: Retry(attempts=101),
        lambda: Retry(delay=-1),
        lambda: Retry(delay=2, max_delay=1),
        lambda: Retry(max_delay=float("inf")),
        lambda: Retry(factor=0.5),
        lambda: Retry(factor=float("nan")),
        lambda: Retry(jitter=2),
        lambda: Retry(when=(0,)),
        lambda: Retry(when=(RunStatus.SUCCEEDED,)),
        lambda: CatchUp(window=0),
        lambda: CatchUp(window=float("inf")),
        lambda: CatchUp(count=0),
        lambda: CatchUp(tolerance=0),
        lambda: CatchUp(window=10, tolerance=20),
    ],
)
def test_values_out_of_bounds_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"^\w+: "):
        make()


# Overlap


@pytest.mark.parametrize("overlap", Overlap)
def test_an_idle_schedule_starts(overlap: Overlap) -> None:
    assert decide_overlap(overlap, NOW) == Decision(Action.START)


def test_skip_skips_while_an_earlier_fire_is_not_over() -> None:
    reason = "the fire of 2026-03-01 11:00:00 UTC was not over (overlap: skip)"
    assert decide_overlap(Overlap.SKIP, NOW, running=[NOW - HOUR]) == Decision(Action.SKIP, reason)
    assert decide_overlap(Overlap.SKIP, NOW, waiting=[NOW - HOUR]) == Decision(Action.SKIP, reason)
    assert decide_overlap(Overlap.SKIP, NOW, waiting=[NOW + HOUR]).action is Action.START


def test_skip_waits_if_somebody_asked_for_it() -> None:
    assert decide_overlap(Overlap.SKIP, NOW, running=[NOW - HOUR], requested=True).action is Action.WAIT
    assert decide_overlap(Overlap.SKIP, NOW, waiting=[NOW - HOUR] * 500, requested=True).action is Action.WAIT


def test_a_queue_has_an_end() -> None:
    many = [NOW - MINUTE * i for i in range(1, 101)]
    assert decide_overlap(Overlap.QUEUE, NOW, waiting=many).action is Action.SKIP
    assert decide_overlap(Overlap.QUEUE, NOW, waiting=many[1:]).action is Action.WAIT


@given(fires=st.lists(st.integers(0, 99), min_size=1, max_size=12, unique=True), overlap=st.sampled_from(Overlap))
def test_of_those_that_wait_one_starts_at_a_time_until_none_waits(fires: list[int], overlap: Overlap) -> None:
    waiting = {NOW + MINUTE * i for i in fires}
    started: list[datetime] = []
    for _ in range(len(fires)):
        decisions = {at: decide_overlap(overlap, at, waiting=waiting - {at}) for at in waiting}
        starts = [at for at, decision in decisions.items() if decision.action is Action.START]
        if not waiting:
            break
        assert len(starts) == 1
        started += starts
        gone = {at for at, decision in decisions.items() if decision.action is Action.SKIP}
        waiting -= {*starts, *gone, *decisions[starts[0]].cancel}
    assert not waiting
    first, last = NOW + MINUTE * min(fires), NOW + MINUTE * max(fires)
    wanted = {Overlap.SKIP: [first], Overlap.REPLACE: [last], Overlap.QUEUE: [NOW + MINUTE * i for i in sorted(fires)]}
    assert started == wanted[overlap]


def test_replace_cancels_first_and_starts_then() -> None:
    older, old = NOW - 2 * HOUR, NOW - HOUR
    busy = decide_overlap(Overlap.REPLACE, NOW, running=[older], waiting=[old])
    assert (busy.action, busy.cancel) == (Action.WAIT, (older, old))
    assert decide_overlap(Overlap.REPLACE, NOW, waiting=[old]) == Decision(Action.START, cancel=(old,))
    late = decide_overlap(Overlap.REPLACE, old, running=[NOW])
    assert (late.action, late.cancel) == (Action.SKIP, ())


# Catching up


def plan(mode: str, after: datetime, trigger: Trigger | None = None, **changes: float) -> CatchUpPlan:
    policy = CatchUp(CatchUpMode(mode), **changes)  # type: ignore[arg-type] # count is an int where it is given
    return plan_catch_up(trigger or Cron("0 * * * *"), after, NOW + MINUTE, policy)


def test_a_fire_that_is_on_time_runs_whatever_the_policy() -> None:
    for mode in CatchUpMode:
        assert plan(mode, NOW - MINUTE) == CatchUpPlan((NOW,))


def test_none_runs_nothing_late_and_says_so() -> None:
    found = plan("none", NOW - 3 * HOUR - MINUTE, Cron("30 * * * *"))
    assert found.to_run == ()
    (missed,) = found.missed
    assert (missed.first, missed.last, missed.count) == (NOW - 2.5 * HOUR, NOW - 0.5 * HOUR, 3)
    assert missed.reason == "nobody was there when it was due (catch_up: none)"


def test_latest_runs_the_last_one() -> None:
    found = plan("latest", NOW - 3 * HOUR)
    assert found.to_run == (NOW,)
    (missed,) = found.missed
    assert (missed.count, missed.last) == (2, NOW - HOUR)
    assert missed.reason == "a later one was due too (catch_up: latest)"


def test_all_runs_the_last_ones_in_order_within_window_and_count() -> None:
    found = plan("all", NOW - 10 * HOUR, window=6 * 3600.0, count=3)
    assert found.to_run == (NOW - 2 * HOUR, NOW - HOUR, NOW)
    old, surplus = found.missed
    assert (old.first, old.last, old.count) == (NOW - 9 * HOUR, NOW - 6 * HOUR, 4)
    assert old.reason == "older than the catch-up window of 6 h"
    assert (surplus.first, surplus.last, surplus.count) == (NOW - 5 * HOUR, NOW - 3 * HOUR, 3)
    assert surplus.reason == "more than 3 were due (catch_up: all, count: 3)"


@pytest.mark.parametrize("mode", CatchUpMode)
def test_after_a_year_down_a_minutely_schedule_is_settled_at_once(mode: str) -> None:
    began = perf_counter()
    found = plan(mode, NOW - 365 * DAY, Cron("* * * * *", "Europe/Berlin"))
    assert perf_counter() - began < 2
    assert len(found.to_run) + sum(missed.count for missed in found.missed) == 525_601
    assert len(found.to_run) == (100 if mode == "all" else 1)
    assert len(found.missed) <= 2


def test_nothing_is_due_when_the_clock_went_back_or_does_not_say() -> None:
    assert plan("all", NOW + HOUR) == plan("all", NOW - HOUR, OnData("data")) == CatchUpPlan()


@settings(max_examples=150, deadline=None)
@given(
    trigger=st.sampled_from(
        [
            Cron("*/20 * * * *", "Europe/Berlin"),
            Cron("30 2 * * *", "America/Santiago"),
            Interval(777.7),
            Once(NOW - HOUR),
        ]
    ),
    hours=st.floats(0, 24 * 30),
    mode=st.sampled_from(CatchUpMode),
    window=st.floats(1, 40 * 86400),
    count=st.integers(1, 50),
)
def test_every_fire_is_run_or_missed_once(
    trigger: Trigger, hours: float, mode: CatchUpMode, window: float, count: int
) -> None:
    after = NOW - timedelta(hours=hours)
    policy = CatchUp(mode, window, count, tolerance=min(300, window))
    found = plan_catch_up(trigger, after, NOW, policy)
    due = list(due_between(trigger, after, NOW, limit=9999))
    told = Counter(found.to_run)
    for missed in found.missed:
        inside = [instant for instant in due if missed.first <= instant <= missed.last]
        assert len(inside) == missed.count
        told.update(inside)
    assert told == Counter(due)
    assert list(found.to_run) == due[len(due) - len(found.to_run) :]
    assert all(NOW - instant <= timedelta(seconds=window) for instant in found.to_run)


# Slots

GPU = {"gpu": 1}


def test_two_jobs_share_one_gpu_in_turn() -> None:
    queue = [Waiting("b", NOW + MINUTE, slots=GPU), Waiting("a", NOW, slots=GPU), Waiting("free", NOW + HOUR)]
    assert choose(queue, {}, {}).start == ("a", "free")
    assert choose(queue, {}, GPU).start == ("free",)
    assert choose(queue, {"gpu": 2}, {}).start == ("a", "b", "free")
    assert choose(queue, {"gpu": 2}, {}, limit=1).start == ("a",)


def test_priority_is_a_head_start_of_ten_minutes_a_point() -> None:
    low = Waiting("low", NOW, slots=GPU)
    assert choose([low, Waiting("high", NOW + 9 * MINUTE, 1, GPU)], {}, {}).start == ("high",)
    assert choose([low, Waiting("high", NOW + 11 * MINUTE, 1, GPU)], {}, {}).start == ("low",)


def test_what_can_never_start_is_named_and_holds_up_nobody() -> None:
    found = choose([Waiting("big", NOW, slots={"gpu": 3}), Waiting("small", NOW, slots=GPU)], {"gpu": 2}, {})
    assert found.start == ("small",)
    assert found.impossible == {"big": "needs 3 slots of 'gpu', which has 2"}


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(
        st.dictionaries(st.sampled_from(["gpu", "disk"]), st.integers(1, 4), max_size=2), min_size=1, max_size=15
    ),
    data=st.data(),
)
def test_nothing_starves_however_many_come_after_it(sizes: list[dict[str, int]], data: st.DataObject) -> None:
    """A stream of small, important runs never ends; every run that waited at the start begins all the same."""
    pools = {"gpu": 4, "disk": 4}
    first = [Waiting(f"w{i}", NOW, data.draw(st.integers(-3, 0)), slots) for i, slots in enumerate(sizes)]
    waiting, running, begun = list(first), dict[str, tuple[dict[str, int], int]](), list[str]()
    for tick in range(250):
        now = NOW + MINUTE * tick
        running = {key: (slots, left - 1) for key, (slots, left) in running.items() if left > 1}
        waiting += [Waiting(f"s{tick}-{i}", now, 5, {"gpu": 1, "disk": 1}) for i in range(2)]
        used = Counter[str]()
        for slots, _ in running.values():
            used.update(slots)
        found = choose(waiting, pools, used)
        for item in [item for item in waiting if item.key in found.start]:
            used.update(item.slots)
            running[item.key] = (dict(item.slots), 3)
            begun.append(item.key)
        waiting = [item for item in waiting if item.key not in found.start]
        assert all(used[name] <= pools[name] for name in pools)
    assert {item.key for item in first} <= set(begun)


def test_ten_thousand_are_chosen_from_quickly() -> None:
    queue = [Waiting(f"s{i}", NOW, i % 5, GPU if i % 2 else {}) for i in range(10_000)]
    began = perf_counter()
    assert len(choose(queue, {"gpu": 4}, {}).start) == 5004
    assert perf_counter() - began < 2
