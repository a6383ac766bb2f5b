"""One turn of the scheduler: what is claimed, started, waited for, given up, followed and told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kit._process import ProcessId
from kit.alerting import AlertKind, AlertPolicy
from kit.board import REMOVED, Board, Moves, request
from kit.errors import ExitCode
from kit.fires import Fire, FireOrigin
from kit.models import Origin
from kit.outcomes import NEVER_STARTED
from kit.policies import QUEUE_LIMIT, CatchUp, CatchUpMode, Decision, Overlap, Retry, decide_overlap
from kit.schedule import Schedule
from kit.states import FireStatus, RunStatus
from kit.triggers import After, Cron, Interval, Once, OnData
from tests.scheduling import NOON, STARTER, World, hourly, minute

PENDING, RUNNING, RETRYING = FireStatus.PENDING, FireStatus.RUNNING, FireStatus.RETRYING
SUCCEEDED, FAILED, SKIPPED = FireStatus.SUCCEEDED, FireStatus.FAILED, FireStatus.SKIPPED
MISSED, CANCELLED = FireStatus.MISSED, FireStatus.CANCELLED


def seen(*schedules: Schedule, **rules: Any) -> World:
    """A world in which every schedule was looked at once, at noon."""
    world = World(*schedules, **rules)
    world.turn(0)
    return world


def ready(world: World, name: str = "s") -> list[float]:
    return sorted((fire.scheduled_at - NOON) / timedelta(minutes=1) for fire in world.running(name))


# What is due


def test_what_was_due_before_anybody_looked_is_nobodys() -> None:
    world = World(hourly(), Schedule("o", Once(minute(-1))), Schedule("i", Interval(60)))
    moves = world.turn(0.5)
    assert not moves.fires
    assert not moves.gaps
    assert world.state("s").cursor == minute(0.5)
    assert world.state("s").trigger == Cron("0 * * * *")


def test_a_fire_is_claimed_with_its_first_run_and_started_in_one_turn() -> None:
    world = seen(hourly(experiment="deep"))
    assert not world.turn(59)
    moves = world.turn(60)
    (fire,) = moves.start
    assert fire == Fire(
        "s", minute(60), RUNNING, FireOrigin.CLOCK, minute(60), minute(60),
        started_at=minute(60), attempt=1, run_id="r00001",
    )  # fmt: skip
    assert world.fire("s", 60) == fire
    (run,) = world.runs()
    assert (run.run_id, run.name, run.project, run.experiment) == ("r00001", "s", "tiny", "deep")
    assert run.origin == Origin("schedule", "s", 1, minute(60))
    assert (run.status, run.starter, run.heartbeat_at) == (RunStatus.STARTING, STARTER, minute(60))
    assert (run.task, run.commit, run.seed) == (None, None, None)


def test_a_schedule_that_names_no_experiment_has_the_projects() -> None:
    world = seen(hourly())
    world.turn(60)
    assert world.run("s", 60).experiment == "config"


def test_a_turn_with_nothing_to_do_changes_nothing() -> None:
    world = seen(hourly())
    world.turn(60)
    for at in (60, 61, 119.9):
        moves = world.turn(at)
        assert not moves
        assert (moves.attempts, moves.alerts, moves.start) == ({}, [], [])


def test_a_success_ends_the_fire() -> None:
    world = seen(hourly())
    world.turn(60)
    world.end("s")
    world.turn(61)
    fire = world.fire("s", 60)
    assert (fire.status, fire.reason, fire.started_at, fire.ended_at) == (SUCCEEDED, None, minute(60), minute(60)), (
        "not when it was seen"
    )
    assert (fire.followed, fire.attempt) == (True, 1)


def test_an_instant_is_claimed_once_whatever_the_clock_does() -> None:
    world = seen(hourly())
    world.turn(60)
    world.turn(-60)
    world.turn(59)
    world.turn(60)
    world.turn(61)
    assert world.fires("s") == {60: RUNNING}
    assert world.state("s").cursor == minute(60)
    world.end("s")
    world.turn(120)
    assert world.fires("s") == {60: SUCCEEDED, 120: RUNNING}


def test_once_is_once() -> None:
    world = seen(Schedule("s", Once(minute(10))))
    for at in (10, 20, 30):
        world.turn(at)
    assert world.fires("s") == {10: RUNNING}


# Overlap


def test_skip_passes_over_what_meets_a_run_and_makes_no_run_for_it() -> None:
    world = seen(hourly())
    world.turn(60)
    world.turn(120)
    fire = world.fire("s", 120)
    assert (fire.status, fire.attempt, fire.run_id) == (SKIPPED, 0, None)
    assert fire.reason == "the fire of 2026-03-01 13:00:00 UTC was not over (overlap: skip)"
    assert len(world.runs()) == 1
    world.end("s")
    world.turn(180)
    assert world.fires("s") == {60: SUCCEEDED, 120: SKIPPED, 180: RUNNING}


def test_skip_passes_over_what_meets_a_fire_that_waits_for_its_retry() -> None:
    world = seen(hourly(retry=Retry(attempts=2, delay=7200, max_delay=7200, jitter=0)))
    world.turn(60)
    world.end("s", RunStatus.FAILED)
    world.turn(110)
    world.turn(120)
    assert world.fires("s") == {60: RETRYING, 120: SKIPPED}


def test_a_queue_takes_turns_in_order() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE))
    for at in (60, 120, 180):
        world.turn(at)
    assert world.fires("s") == {60: RUNNING, 120: PENDING, 180: PENDING}
    assert [run.status for run in world.runs()] == [RunStatus.STARTING, RunStatus.QUEUED, RunStatus.QUEUED]
    for at in (181, 182):
        world.end("s", RunStatus.FAILED)
        world.turn(at)
    assert world.fires("s") == {60: FAILED, 120: FAILED, 180: RUNNING}


def test_a_queue_has_an_end() -> None:
    world = seen(Schedule("s", Interval(60), overlap=Overlap.QUEUE))
    for at in range(1, QUEUE_LIMIT + 3):
        world.turn(at)
    statuses = list(world.fires("s").values())
    assert statuses == [RUNNING, *[PENDING] * QUEUE_LIMIT, SKIPPED]
    assert world.fire("s", QUEUE_LIMIT + 2).reason == "100 fires were waiting already (overlap: queue)"


def test_however_many_wait_each_is_compared_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def spy(*arguments: Any, waiting: Collection[datetime], **others: Any) -> Decision:
        asked.append(len(waiting))
        return decide_overlap(*arguments, waiting=waiting, **others)

    monkeypatch.setattr("kit.board.decide_overlap", spy)
    world = seen(hourly())
    world.request("s", *range(-3000, 0), origin=FireOrigin.BACKFILL)
    world.turn(1)
    assert ready(world) == [-3000]
    assert len(asked) == 3000
    assert max(asked) <= QUEUE_LIMIT + 1


def test_replace_asks_for_a_stop_and_starts_the_later_one_when_it_has_happened() -> None:
    world = seen(hourly(overlap=Overlap.REPLACE, retry=Retry(attempts=5)))
    world.turn(60)
    moves = world.turn(120)
    why = "replaced by the fire of 2026-03-01 14:00:00 UTC"
    assert moves.stop == {"r00001": why}
    assert world.fires("s") == {60: RUNNING, 120: PENDING}
    assert world.fire("s", 60).stopping == why
    world.end("s", RunStatus.CANCELLED, reason="cancelled on request")
    world.turn(121)
    assert world.fires("s") == {60: CANCELLED, 120: RUNNING}
    assert (world.fire("s", 60).reason, world.fire("s", 60).stopping) == (why, None)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(RunStatus.SUCCEEDED, SUCCEEDED), (RunStatus.FAILED, FAILED), (RunStatus.LOST, FAILED)],
)
def test_a_run_that_ends_before_it_is_stopped_counts_as_what_it_came_to(
    status: RunStatus, expected: FireStatus
) -> None:
    world = seen(hourly(overlap=Overlap.REPLACE, retry=Retry(attempts=5)))
    world.turn(60)
    world.turn(120)
    world.end("s", status)
    world.turn(121)
    assert world.fires("s") == {60: expected, 120: RUNNING}


def test_of_those_that_wait_to_replace_a_run_only_the_last_starts() -> None:
    world = seen(hourly(overlap=Overlap.REPLACE))
    for at in (60, 120, 180):
        world.turn(at)
    why = "replaced by the fire of 2026-03-01 15:00:00 UTC (overlap: replace)"
    assert world.fires("s") == {60: RUNNING, 120: SKIPPED, 180: PENDING}
    assert world.fire("s", 120).reason == why
    assert (world.run("s", 120).status, world.run("s", 120).reason) == (RunStatus.CANCELLED, why)
    world.end("s", RunStatus.CANCELLED)
    world.turn(181)
    assert world.fires("s") == {60: CANCELLED, 120: SKIPPED, 180: RUNNING}


def test_what_a_dead_scheduler_did_not_come_to_stop_is_stopped_by_the_next() -> None:
    world = seen(hourly(overlap=Overlap.REPLACE))
    world.turn(60)
    world.turn(120)  # and is killed after the commit
    assert world.store.fires.has_work(minute(120))
    assert world.turn(121).stop == {"r00001": "replaced by the fire of 2026-03-01 14:00:00 UTC"}
    world.edit("s", overlap=Overlap.QUEUE)
    assert world.turn(122).stop == {"r00001": "replaced by the fire of 2026-03-01 14:00:00 UTC"}


def test_a_retry_that_is_due_is_replaced_by_the_later_fire_at_once() -> None:
    world = seen(hourly(overlap=Overlap.REPLACE, retry=Retry(attempts=2, delay=3600, jitter=0)))
    world.turn(60)
    world.end("s", RunStatus.FAILED)
    world.turn(61)
    assert world.fires("s") == {60: RETRYING}
    world.turn(120)
    assert world.fires("s") == {60: CANCELLED, 120: RUNNING}
    assert [run.status for run in world.runs()] == [RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.STARTING]


def test_what_somebody_asked_for_is_not_replaced_by_the_clock() -> None:
    world = seen(hourly(overlap=Overlap.REPLACE))
    world.now = minute(50)
    world.request("s", -120, -60, origin=FireOrigin.BACKFILL)
    assert not world.turn(51).stop
    assert not world.turn(60).stop
    assert world.fires("s") == {-120: RUNNING, -60: PENDING, 60: PENDING}
    for at in (61, 62):
        world.end("s")
        world.turn(at)
        assert len(world.running("s")) == 1
    assert world.fires("s") == {-120: SUCCEEDED, -60: SUCCEEDED, 60: RUNNING}


# Retry


def test_what_failed_is_tried_again_ever_later_until_it_succeeds() -> None:
    world = seen(hourly(retry=Retry(attempts=3, delay=60, factor=2, jitter=0)))
    world.turn(60)
    world.now = minute(65)
    world.end("s", RunStatus.FAILED, exit_code=1)
    world.turn(65.5)
    fire = world.fire("s", 60)
    assert (fire.status, fire.attempt, fire.run_id, fire.due_at) == (RETRYING, 2, "r00002", minute(66))
    assert world.run("s", 60).status is RunStatus.QUEUED
    assert world.run("s", 60).origin == Origin("schedule", "s", 2, minute(60))
    assert not world.turn(65.9)
    world.turn(66)
    assert world.fires("s") == {60: RUNNING}
    world.now = minute(70)
    world.end("s", RunStatus.TIMED_OUT, exit_code=124)
    world.turn(70)
    assert world.fire("s", 60).due_at == minute(72)
    world.turn(72)
    world.end("s")
    world.turn(73)
    fire = world.fire("s", 60)
    assert (fire.status, fire.attempt, fire.reason, fire.started_at) == (SUCCEEDED, 3, None, minute(60))


def test_attempts_that_are_used_up_are_a_failure_with_the_last_reason() -> None:
    world = seen(hourly(retry=Retry(attempts=2, delay=0, jitter=0)))
    world.turn(60)
    world.end("s", RunStatus.FAILED, reason="first")
    world.turn(61)
    assert world.fires("s") == {60: RUNNING}  # no delay: in the same turn
    world.end("s", RunStatus.LOST, reason="second")
    world.turn(62)
    fire = world.fire("s", 60)
    assert (fire.status, fire.reason, fire.ended_at, fire.attempt) == (FAILED, "second", minute(61), 2)


def test_the_users_mistake_is_not_tried_again() -> None:
    world = seen(hourly(retry=Retry(attempts=5)))
    world.turn(60)
    world.end("s", RunStatus.FAILED, exit_code=ExitCode.USER, reason="no such key")
    world.turn(61)
    assert world.fire("s", 60).reason == "no such key"
    assert world.fires("s") == {60: FAILED}


def test_a_run_that_never_came_to_start_is_made_up_for() -> None:
    world = seen(hourly())
    world.turn(60)
    world.end("s", RunStatus.LOST, reason=NEVER_STARTED)
    moves = world.turn(62)
    assert [fire.attempt for fire in moves.start] == [2]
    assert world.fires("s") == {60: RUNNING}
    world.end("s", RunStatus.LOST, reason="its supervisor was killed")
    world.turn(63)
    assert world.fires("s") == {60: FAILED}


def test_attempts_that_never_came_to_start_use_up_no_retries() -> None:
    world = seen(hourly(retry=Retry(attempts=2, delay=60, jitter=0)))
    world.turn(60)
    world.end("s", RunStatus.LOST, reason=NEVER_STARTED)
    world.turn(61)
    world.end("s", RunStatus.FAILED)
    world.turn(61)
    assert world.fire("s", 60).due_at == minute(62)  # as before a second attempt, not a third
    world.turn(62)
    world.end("s", RunStatus.LOST, reason=NEVER_STARTED)
    world.turn(62.5)
    assert world.fires("s") == {60: RUNNING}
    world.end("s", RunStatus.FAILED)
    world.turn(63)
    assert world.fires("s") == {60: FAILED}
    assert (world.fire("s", 60).attempt, world.fire("s", 60).uncounted) == (4, 2)


def test_where_nothing_comes_to_start_a_fire_fails_in_the_end() -> None:
    world = seen(hourly())
    world.turn(60)
    while world.running("s"):
        world.end("s", RunStatus.LOST, reason=NEVER_STARTED)
        world.turn()
    fire = world.fire("s", 60)
    assert (fire.status, fire.reason, fire.attempt) == (FAILED, NEVER_STARTED, 11)


def test_a_run_that_was_given_up_while_it_waited_is_made_up_for() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE))
    world.turn(60)
    world.turn(120)
    waits = world.run("s", 120).run_id
    world.store.transition(waits, RunStatus.LOST, at=minute(125), reason=NEVER_STARTED)
    world.turn(126)
    world.end("s")
    world.turn(127)
    assert world.fires("s") == {60: SUCCEEDED, 120: RUNNING}
    assert world.fire("s", 120).attempt == 2


def test_a_run_that_never_came_to_start_and_was_to_be_replaced_is_cancelled() -> None:
    world = seen(hourly(overlap=Overlap.REPLACE))
    world.turn(60)
    world.turn(120)
    world.end("s", RunStatus.LOST, reason=NEVER_STARTED)
    world.turn(121)
    assert world.fires("s") == {60: CANCELLED, 120: RUNNING}
    assert world.fire("s", 60).reason == "replaced by the fire of 2026-03-01 14:00:00 UTC"


def test_what_was_cancelled_while_it_ran_is_not_tried_again() -> None:
    world = seen(hourly(retry=Retry(attempts=5)))
    world.turn(60)
    world.end("s", RunStatus.CANCELLED, reason="cancelled on request")
    world.turn(61)
    assert (world.fire("s", 60).status, world.fire("s", 60).reason) == (CANCELLED, "cancelled on request")


def test_what_was_cancelled_while_it_waited_is_cancelled() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE, retry=Retry(attempts=5)))
    world.turn(60)
    world.turn(120)
    world.store.transition(world.run("s", 120).run_id, RunStatus.CANCELLED, at=minute(125), reason="not today")
    world.turn(126)
    assert (world.fire("s", 120).status, world.fire("s", 120).reason) == (CANCELLED, "not today")


def test_what_was_cancelled_before_its_retry_is_cancelled() -> None:
    world = seen(hourly(retry=Retry(attempts=5)))
    world.turn(60)
    world.end("s", RunStatus.FAILED)
    world.turn(60.5)
    world.store.transition(world.run("s", 60).run_id, RunStatus.CANCELLED, at=minute(60.7), reason="enough")
    world.turn(61)
    assert (world.fire("s", 60).status, world.fire("s", 60).reason) == (CANCELLED, "enough")


# Catching up


def caught_up(mode: CatchUpMode, hours: float, **changes: Any) -> World:
    """The world after the first turn that follows a night off."""
    policy: dict[str, Any] = {"window": 7 * 86400.0, "count": 100, "tolerance": 300.0, **changes}
    world = seen(hourly(catch_up=CatchUp(mode, **policy), overlap=Overlap.QUEUE))
    world.turn(hours * 60)
    return world


def test_none_runs_nothing_late() -> None:
    world = caught_up(CatchUpMode.NONE, 8.5)
    assert world.fires("s") == {}
    (gap,) = world.gaps("s")
    assert (gap.status, gap.first, gap.last, gap.count) == (MISSED, minute(60), minute(480), 8)
    assert gap.reason == "nobody was there when it was due (catch_up: none)"
    assert gap.noted_at == minute(510)
    assert world.state("s").cursor == minute(510)


def test_none_runs_what_is_on_time() -> None:
    world = caught_up(CatchUpMode.NONE, 8 + 4 / 60)
    assert world.fires("s") == {480: RUNNING}
    assert world.fire("s", 480).origin is FireOrigin.CLOCK
    assert [(gap.count, gap.last) for gap in world.gaps("s")] == [(7, minute(420))]


def test_latest_runs_the_last_and_counts_the_others() -> None:
    world = caught_up(CatchUpMode.LATEST, 8.5)
    assert world.fires("s") == {480: RUNNING}
    assert world.fire("s", 480).origin is FireOrigin.CATCH_UP
    (gap,) = world.gaps("s")
    assert (gap.status, gap.first, gap.last, gap.count) == (MISSED, minute(60), minute(420), 7)
    assert gap.reason == "a later one was due too (catch_up: latest)"


def test_latest_runs_nothing_that_is_older_than_its_window() -> None:
    world = caught_up(CatchUpMode.LATEST, 8.5, window=600.0)
    assert world.fires("s") == {}
    assert [(gap.count, gap.reason) for gap in world.gaps("s")] == [(8, "older than the catch-up window of 10 m")]


def test_all_runs_each_in_turn() -> None:
    world = caught_up(CatchUpMode.ALL, 3.5)
    assert world.fires("s") == {60: RUNNING, 120: PENDING, 180: PENDING}
    assert world.gaps("s") == []
    assert {world.fire("s", at).origin for at in (60, 120, 180)} == {FireOrigin.CATCH_UP}
    for at in (211, 212):
        world.end("s")
        world.turn(at)
    assert world.fires("s") == {60: SUCCEEDED, 120: SUCCEEDED, 180: RUNNING}


def test_all_is_bounded_by_window_and_count() -> None:
    world = caught_up(CatchUpMode.ALL, 24.5, window=10 * 3600.0, count=4)
    assert list(world.fires("s")) == [21 * 60, 22 * 60, 23 * 60, 24 * 60]
    gaps = [(gap.first, gap.last, gap.count, gap.reason) for gap in reversed(world.gaps("s"))]
    assert gaps == [
        (minute(60), minute(14 * 60), 14, "older than the catch-up window of 10 h"),
        (minute(15 * 60), minute(20 * 60), 6, "more than 4 were due (catch_up: all, count: 4)"),
    ]


@pytest.mark.parametrize("overlap", Overlap)
def test_what_is_caught_up_with_takes_turns_whatever_the_overlap(overlap: Overlap) -> None:
    world = seen(hourly(overlap=overlap, catch_up=CatchUp(CatchUpMode.ALL)))
    world.turn(5 * 60 + 30)
    for _ in range(5):
        assert len(world.running("s")) == 1
        world.end("s")
        world.turn()
    assert world.fires("s") == dict.fromkeys((60, 120, 180, 240, 300), SUCCEEDED)


@pytest.mark.parametrize("mode", CatchUpMode)
def test_after_a_year_off_a_minutely_schedule_is_settled_in_one_turn(mode: CatchUpMode) -> None:
    world = seen(Schedule("s", Cron("* * * * *"), catch_up=CatchUp(mode, count=50)))
    year = 365 * 24 * 60
    world.turn(year + 0.5)
    claimed = {CatchUpMode.NONE: 1, CatchUpMode.LATEST: 1, CatchUpMode.ALL: 50}[mode]
    assert len(world.fires("s")) == claimed
    assert max(world.fires("s")) == year
    assert sum(gap.count for gap in world.gaps("s")) == year - claimed
    assert len(world.gaps("s")) <= 2
    assert not world.turn()


# Paused, disabled, changed, removed, broken


def test_what_is_due_while_a_schedule_is_paused_is_skipped_with_the_reason() -> None:
    world = seen(hourly())
    world.now = minute(30)
    world.pause("s", "the data is wrong")
    world.turn(210)
    (gap,) = world.gaps("s")
    assert (gap.status, gap.first, gap.last, gap.count) == (SKIPPED, minute(60), minute(180), 3)
    assert gap.reason == "paused: the data is wrong"
    assert world.fires("s") == {}
    world.now = minute(215)
    world.resume("s")
    world.turn(216)
    assert world.fires("s") == {}
    world.turn(240)
    assert world.fires("s") == {240: RUNNING}


def test_what_was_due_before_the_pause_counts_and_is_left_to_the_scheduler() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE))
    world.turn(60)
    world.now = minute(121)
    world.pause("s")
    assert world.fires("s") == {60: RUNNING, 120: PENDING}
    world.end("s")
    world.turn(122)
    assert world.fires("s") == {60: SUCCEEDED, 120: PENDING}  # what waits, waits on
    world.resume("s")
    world.turn(123)
    assert world.fires("s") == {60: SUCCEEDED, 120: RUNNING}


def test_pausing_starts_nothing() -> None:
    world = seen(hourly())
    world.now = minute(61)
    world.pause("s")
    assert world.fires("s") == {60: PENDING}
    assert [run.status for run in world.runs()] == [RunStatus.QUEUED]


def test_what_was_due_during_a_pause_that_nobody_watched_is_skipped_when_it_is_resumed() -> None:
    world = seen(hourly())
    world.now = minute(30)
    world.pause("s", "holiday")
    world.now = minute(150)
    world.resume("s")
    assert [(gap.count, gap.reason) for gap in world.gaps("s")] == [(2, "paused: holiday")]
    world.turn(151)
    assert world.fires("s") == {}


def test_what_somebody_asks_for_runs_though_the_schedule_is_paused() -> None:
    world = seen(hourly())
    world.pause("s")
    world.turn(150)
    world.request("s", 120)
    assert [fire.scheduled_at for fire in world.turn(151).start] == [minute(120)]


def test_what_somebody_asks_for_does_not_wait_for_what_the_pause_keeps_waiting() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE, retry=Retry(attempts=2, delay=60, jitter=0)))
    world.turn(60)
    world.turn(120)
    world.end("s", RunStatus.FAILED)
    world.turn(120.5)
    world.pause("s")
    world.request("s", 0)
    world.turn(130)
    assert world.fires("s") == {0: RUNNING, 60: RETRYING, 120: PENDING}
    world.resume("s")
    world.turn(131)
    assert world.fires("s") == {0: RUNNING, 60: RETRYING, 120: PENDING}
    for at in (132, 133):
        world.end("s")
        world.turn(at)
    assert world.fires("s") == {0: SUCCEEDED, 60: SUCCEEDED, 120: RUNNING}


def test_retries_wait_while_a_schedule_is_paused() -> None:
    world = seen(hourly(retry=Retry(attempts=2, delay=0, jitter=0)))
    world.turn(60)
    world.pause("s")
    world.end("s", RunStatus.FAILED)
    world.turn(61)
    world.turn(70)
    assert world.fires("s") == {60: RETRYING}
    world.resume("s")
    world.turn(71)
    assert world.fires("s") == {60: RUNNING}


def test_what_is_caught_up_with_waits_while_a_schedule_is_paused() -> None:
    world = seen(hourly(catch_up=CatchUp(CatchUpMode.ALL)))
    world.turn(210)
    world.pause("s")
    world.end("s")
    world.turn(211)
    assert world.fires("s") == {60: SUCCEEDED, 120: PENDING, 180: PENDING}
    world.resume("s")
    world.turn(212)
    assert world.fires("s") == {60: SUCCEEDED, 120: RUNNING, 180: PENDING}


def test_a_schedule_that_its_file_disabled_is_not_due_until_it_is_enabled_again() -> None:
    world = seen(hourly())
    world.edit("s", enabled=False)
    world.turn(150)
    assert [(gap.status, gap.count, gap.reason) for gap in world.gaps("s")] == [
        (SKIPPED, 2, "disabled (enabled: false)")
    ]
    assert not world.turn(400)
    world.edit("s", enabled=True)
    world.turn(450)
    assert world.fires("s") == {}
    assert len(world.gaps("s")) == 1
    world.turn(480)
    assert world.fires("s") == {480: RUNNING}


def test_a_schedule_that_begins_disabled_is_not_due_and_can_be_run_by_hand() -> None:
    world = seen(hourly(enabled=False))
    assert not world.turn(150)
    world.request("s", 120)
    world.turn(151)
    assert world.fires("s") == {120: RUNNING}


def test_a_trigger_that_was_changed_while_nobody_ran_counts_from_now_on() -> None:
    world = seen(hourly())
    world.edit("s", trigger=Cron("30 * * * *"))
    world.turn(155)  # 13:00 and 14:00 by the old one; 12:30, 13:30 and 14:30 by the new one
    assert world.fires("s") == {120: RUNNING}
    assert [(gap.first, gap.count) for gap in world.gaps("s")] == [(minute(60), 1)]
    assert world.state("s").trigger == Cron("30 * * * *")
    world.end("s")
    world.turn(210)
    assert world.fires("s") == {120: SUCCEEDED, 210: RUNNING}


def test_a_schedule_whose_file_is_gone_begins_nothing_and_what_runs_may_end() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE, retry=Retry(attempts=3)))
    world.turn(60)
    world.turn(120)
    del world.schedules["s"]
    world.turn(180)
    assert world.fires("s") == {60: RUNNING, 120: CANCELLED}
    assert world.fire("s", 120).reason == REMOVED
    assert world.run("s", 120).status is RunStatus.CANCELLED
    world.end("s")
    world.turn(181)
    assert world.fires("s") == {60: SUCCEEDED, 120: CANCELLED}


def test_a_schedule_whose_file_is_gone_is_not_tried_again() -> None:
    world = seen(hourly(retry=Retry(attempts=3)), hourly("t", retry=Retry(attempts=3)))
    world.turn(60)
    world.end("s", RunStatus.FAILED)
    world.turn(60.5)
    assert world.fires("s") == {60: RETRYING}
    world.schedules.clear()
    world.turn(61)
    assert world.fires("s") == {60: CANCELLED}
    world.end("t", RunStatus.FAILED)
    world.turn(62)
    assert world.fires("t") == {60: FAILED}
    assert world.fire("t", 60).reason == "it broke (its schedule cannot be read now, so it is not tried again)"


def test_a_schedule_that_cannot_be_read_begins_nothing_and_gives_nothing_up() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE, retry=Retry(attempts=2, delay=60, jitter=0)))
    world.turn(60)
    world.turn(120)
    kept = world.schedules.pop("s")
    world.turn(180, broken=["s"])
    assert world.fires("s") == {60: RUNNING, 120: PENDING}
    world.end("s")
    world.turn(181, broken=["s"])
    assert world.fires("s") == {60: SUCCEEDED, 120: PENDING}
    world.schedules["s"] = kept
    world.turn(182)
    assert world.fires("s") == {60: SUCCEEDED, 120: RUNNING, 180: PENDING}


# After another one's success


def test_a_follower_is_due_at_the_same_instant_when_the_other_has_succeeded() -> None:
    world = seen(hourly("a"), Schedule("b", After("a"), overlap=Overlap.QUEUE))
    world.turn(60)
    assert world.fires("b") == {}
    world.end("a")
    moves = world.turn(75)
    assert [(fire.schedule, fire.scheduled_at) for fire in moves.start] == [("b", minute(60))]
    assert world.fire("b", 60).origin is FireOrigin.AFTER
    assert world.fire("a", 60).followed
    assert not world.turn(76)


def test_a_chain_runs_link_by_link_and_ends_with_a_failure() -> None:
    world = seen(hourly("a"), Schedule("b", After("a")), Schedule("c", After("b")), Schedule("d", After("c")))
    world.turn(60)
    for at, name in ((61, "a"), (62, "b")):
        world.end(name)
        world.turn(at)
    world.end("c", RunStatus.FAILED)
    world.turn(63)
    assert [world.fires(name) for name in "abcd"] == [{60: SUCCEEDED}, {60: SUCCEEDED}, {60: FAILED}, {}]


def test_a_paused_follower_is_skipped_once() -> None:
    world = seen(hourly("a"), Schedule("b", After("a")))
    world.pause("b", "later")
    world.turn(60)
    world.end("a")
    world.turn(61)
    world.turn(62)
    (gap,) = world.gaps("b")
    assert (gap.status, gap.first, gap.last, gap.count) == (SKIPPED, minute(60), minute(60), 1)
    assert gap.reason == "paused: later"
    assert world.fires("b") == {}


def test_a_follower_that_comes_later_does_not_run_for_old_successes() -> None:
    world = seen(hourly("a"))
    world.turn(60)
    world.end("a")
    world.turn(61)
    world.schedules["b"] = Schedule("b", After("a"))
    world.turn(62)
    assert world.fires("b") == {}
    world.turn(120)
    world.end("a")
    world.turn(121)
    assert world.fires("b") == {120: RUNNING}


def test_a_disabled_follower_is_left_out() -> None:
    world = seen(hourly("a"), Schedule("b", After("a"), enabled=False))
    world.turn(60)
    world.end("a")
    world.turn(61)
    assert (world.fires("b"), world.gaps("b")) == ({}, [])


def test_a_follower_that_cannot_be_read_then_has_missed_it_and_says_so() -> None:
    world = seen(hourly("a"), Schedule("b", After("a")), Schedule("c", After("x")))
    world.turn(60)
    world.end("a")
    for name in "bc":
        del world.schedules[name]
    world.turn(61, broken=["b", "c", "never seen"])
    (gap,) = world.gaps("b")
    assert (gap.status, gap.first, gap.last, gap.count) == (MISSED, minute(60), minute(60), 1)
    assert gap.reason == "its file could not be read when it was to follow"
    assert world.gaps("c") == []
    assert world.fires("b") == {}
    assert not world.turn(62, broken=["b", "c", "never seen"])


def test_who_does_not_see_all_schedules_leaves_a_success_to_who_does() -> None:
    world = seen(hourly("a"), Schedule("b", After("a")))
    world.turn(60)
    world.end("a")
    world.turn(61, follows=False)
    assert not world.fire("a", 60).followed
    assert world.store.fires.has_work(minute(62))
    world.turn(62)
    assert world.fire("a", 60).followed
    assert world.fires("b") == {60: RUNNING}
    assert not world.store.fires.has_work(minute(63))


def test_what_follows_a_backfill_takes_its_turn_too() -> None:
    world = seen(hourly("a"), Schedule("b", After("a")))
    world.request("a", -120, -60, origin=FireOrigin.BACKFILL)
    world.turn(1)
    for at in (2, 3):
        world.end("a")
        world.turn(at)
    assert world.fires("b") == {-120: RUNNING, -60: PENDING}


# Data


def data_schedule(**changes: Any) -> Schedule:
    return replace(Schedule("d", OnData("data/flights"), overlap=Overlap.QUEUE), **changes)


def test_only_a_version_that_was_never_there_is_new() -> None:
    world = seen(data_schedule())
    world.turn(1, observed={"d": "A"})
    fire = world.fire("d", 1)
    assert (fire.status, fire.cause, fire.run_id) == (SKIPPED, "A", None)
    assert fire.reason == "the version that was there when the schedule was first seen"
    assert not world.turn(2, observed={"d": "A"})
    world.turn(3, observed={"d": "B"})
    assert (world.fire("d", 3).cause, world.fire("d", 3).origin) == ("B", FireOrigin.DATA)
    world.end("d", RunStatus.FAILED)
    world.turn(4, observed={"d": "A"})
    world.turn(5, observed={"d": "B"})
    assert world.fires("d") == {1: SKIPPED, 3: FAILED}
    world.turn(6, observed={"d": "C"})
    assert world.fires("d") == {1: SKIPPED, 3: FAILED, 6: RUNNING}


def test_a_version_that_comes_during_a_pause_is_new_after_it() -> None:
    world = seen(data_schedule())
    world.turn(1, observed={"d": "A"})
    world.pause("d")
    assert not world.turn(2, observed={"d": "B"})
    world.resume("d")
    world.turn(3, observed={"d": "B"})
    assert world.fires("d") == {1: SKIPPED, 3: RUNNING}


def test_nobody_looks_for_a_schedule_that_is_disabled_or_gone() -> None:
    world = seen(data_schedule(enabled=False))
    assert not world.turn(1, observed={"d": "A", "gone": "A"})


def test_two_versions_in_one_instant_do_not_get_into_each_others_way() -> None:
    world = seen(data_schedule())
    world.turn(1, observed={"d": "A"})
    world.turn(2, observed={"d": "B"})
    world.turn(2, observed={"d": "C"})  # a clock that stands still, or was set back
    world.turn(3, observed={"d": "C"})
    assert [world.fire("d", at).cause for at in world.fires("d")] == ["A", "B", "C"]


def test_the_first_version_can_be_asked_for() -> None:
    world = seen(data_schedule())
    world.turn(1, observed={"d": "A"})
    world.request("d", 1)
    world.turn(2, observed={"d": "A"})
    assert world.fires("d") == {1: RUNNING}
    assert world.fire("d", 1).cause == "A"


# Slots


def test_two_schedules_take_turns_on_one_slot() -> None:
    world = seen(hourly("a", slots={"gpu": 1}), hourly("b", slots={"gpu": 1}))
    world.turn(60)
    assert (world.fires("a"), world.fires("b")) == ({60: RUNNING}, {60: PENDING})
    world.end("a")
    world.turn(61)
    assert (world.fires("a"), world.fires("b")) == ({60: SUCCEEDED}, {60: RUNNING})


def test_a_pool_has_its_size() -> None:
    world = seen(*(hourly(name, slots={"gpu": 2}) for name in "abc"), hourly("d"), pools={"gpu": 5})
    world.turn(60)
    assert [world.fires(name)[60] for name in "abcd"] == [RUNNING, RUNNING, PENDING, RUNNING]


@pytest.mark.parametrize("how", ["removed", "broken", "changed"])
def test_a_run_keeps_its_slots_whatever_becomes_of_its_file(how: str) -> None:
    world = seen(hourly("a", slots={"gpu": 1}), hourly("b", slots={"gpu": 1}))
    world.turn(60, due=["a"])
    if how == "changed":
        world.edit("a", slots={})
    else:
        del world.schedules["a"]
    broken = ["a"] if how == "broken" else []
    world.turn(61, broken=broken)
    assert (world.fires("a"), world.fires("b")) == ({60: RUNNING}, {60: PENDING})
    world.end("a")
    world.turn(62, broken=broken)
    assert world.fires("b") == {60: RUNNING}


def test_what_needs_more_than_there_is_fails_and_says_so() -> None:
    world = seen(hourly(slots={"gpu": 3}), pools={"gpu": 2})
    world.turn(60)
    fire = world.fire("s", 60)
    assert (fire.status, fire.reason) == (FAILED, "needs 3 slots of 'gpu', which has 2")
    assert world.runs() == []


def test_what_needs_more_than_there_still_is_fails_with_its_run() -> None:
    world = seen(hourly("a", slots={"gpu": 1}), hourly("s", slots={"gpu": 2}), pools={"gpu": 2})
    world.turn(60)
    world.extra["pools"] = {"gpu": 1}
    world.turn(61)
    assert world.fires("s") == {60: FAILED}
    assert world.run("s", 60).status is RunStatus.FAILED
    assert world.run("s", 60).reason == "needs 2 slots of 'gpu', which has 1"


def test_what_needs_the_whole_pool_keeps_it_from_those_behind() -> None:
    world = seen(
        hourly("a", slots={"gpu": 1}),
        Schedule("b", Once(minute(61)), slots={"gpu": 2}),
        Schedule("c", Once(minute(62)), slots={"gpu": 1}),
        pools={"gpu": 2},
    )
    for at in (60, 61, 62):
        world.turn(at)
    assert (world.fires("b"), world.fires("c")) == ({61: PENDING}, {62: PENDING})
    world.end("a")
    world.turn(63)
    assert (world.fires("b"), world.fires("c")) == ({61: RUNNING}, {62: PENDING})


def test_no_more_run_than_may() -> None:
    world = seen(*(hourly(name) for name in "abc"), max_runs=2)
    world.turn(60)
    assert [world.fires(name)[60] for name in "abc"] == [RUNNING, RUNNING, PENDING]
    world.end("a")
    world.turn(61)
    assert world.fires("c") == {60: RUNNING}


def test_what_an_engine_has_does_not_count_for_this_machine_but_keeps_its_slots() -> None:
    world = seen(*(hourly(name, slots={"licence": 1}) for name in "abc"), max_runs=1, pools={"licence": 2})
    world.turn(60)
    assert [world.fires(name)[60] for name in "abc"] == [RUNNING, PENDING, PENDING]
    world.store.hand_over(world.run("a", 60).run_id, "slurm", at=world.now, starter=STARTER)
    world.turn(61)
    assert [world.fires(name)[60] for name in "abc"] == [RUNNING, RUNNING, PENDING]
    world.store.hand_over(world.run("b", 60).run_id, "slurm", at=world.now, starter=STARTER)
    world.turn(62)
    assert world.fires("c") == {60: PENDING}, "there are two licences"
    world.end("a", RunStatus.FAILED)
    world.turn(63)
    assert world.fires("c") == {60: RUNNING}


def test_what_another_machine_started_does_not_count_for_this_one() -> None:
    world = seen(*(hourly(name) for name in "abcd"), max_runs=1)
    world.turn(60)
    there = ProcessId(7, 1, "another boot")
    world.turn(61, starter=there)
    assert [world.fires(name)[60] for name in "abcd"] == [RUNNING, RUNNING, PENDING, PENDING]
    world.turn(62)
    world.turn(62, starter=there)
    assert [world.fires(name)[60] for name in "abcd"] == [RUNNING, RUNNING, PENDING, PENDING]
    world.end("b")
    world.turn(63)
    assert [world.fires(name)[60] for name in "acd"] == [RUNNING, PENDING, PENDING], "that place is over there"
    world.turn(64, starter=there)
    assert [world.fires(name)[60] for name in "acd"] == [RUNNING, RUNNING, PENDING]


def test_priority_goes_first() -> None:
    world = seen(hourly("a"), hourly("b", priority=1), max_runs=1)
    world.turn(60)
    assert (world.fires("a"), world.fires("b")) == ({60: PENDING}, {60: RUNNING})


# What somebody asks for


def test_what_was_skipped_has_its_chance_when_somebody_asks() -> None:
    world = seen(hourly())
    world.turn(60)
    world.turn(120)
    assert world.fires("s") == {60: RUNNING, 120: SKIPPED}
    (fire,) = world.request("s", 60, 120)
    assert (fire.scheduled_at, fire.origin, fire.requested) == (minute(120), FireOrigin.REQUEST, True)
    world.turn(121)
    assert world.fires("s") == {60: RUNNING, 120: PENDING}
    world.end("s")
    world.turn(122)
    assert world.fires("s") == {60: SUCCEEDED, 120: RUNNING}
    assert world.fire("s", 120).created_at == minute(120)


def test_what_was_skipped_after_it_had_waited_is_another_attempt_when_somebody_asks() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE))
    for at in (60, 120):
        world.turn(at)
    world.edit("s", overlap=Overlap.SKIP)
    world.turn(121)
    assert world.fires("s") == {60: RUNNING, 120: SKIPPED}
    assert world.run("s", 120).status is RunStatus.CANCELLED
    world.request("s", 120)
    world.end("s")
    world.turn(122)
    assert world.fires("s") == {60: SUCCEEDED, 120: RUNNING}
    origins = [run.origin for run in world.runs() if run.origin.scheduled_at == minute(120)]
    assert [origin.index for origin in origins] == [1, 2]


def test_what_somebody_asks_for_has_all_its_retries() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE, retry=Retry(attempts=2, delay=0)))
    for at in (60, 120):
        world.turn(at)
    world.edit("s", overlap=Overlap.SKIP)
    world.turn(121)
    world.end("s")
    world.request("s", 120)
    for at in (122, 123):
        world.turn(at)
        world.end("s", RunStatus.FAILED)
    world.turn(124)
    assert (world.fire("s", 120).status, world.fire("s", 120).attempt) == (FAILED, 3)


def test_what_was_missed_has_its_chance_when_somebody_asks() -> None:
    world = seen(hourly(catch_up=CatchUp(CatchUpMode.NONE)))
    world.turn(210)
    assert world.fires("s") == {}
    claimed = world.request("s", 60, 120, 180, origin=FireOrigin.BACKFILL)
    assert [fire.status for fire in claimed] == [PENDING] * 3
    world.turn(211)
    assert world.fires("s") == {60: RUNNING, 120: PENDING, 180: PENDING}


@pytest.mark.parametrize("end", [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED])
def test_what_ran_does_not_run_again(end: RunStatus) -> None:
    world = seen(hourly())
    world.turn(60)
    assert world.request("s", 60) == ()
    world.end("s", end)
    world.turn(61)
    assert world.request("s", 60) == ()
    assert len(world.runs()) == 1


def test_the_hour_that_autumn_repeats_can_be_asked_for_by_the_wall_clock() -> None:
    world = World(hourly())
    berlin = datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    offset = (berlin.astimezone(UTC) - NOON) / timedelta(minutes=1)
    world.request("s", offset)
    claimed: list[Fire] = []

    def decide(board: Board) -> Moves:
        moves, fires = request(board, world.rules(), NOON, world.schedules["s"], [berlin], FireOrigin.REQUEST)
        claimed.extend(fires)
        return moves

    world.store.fires.act(decide, names=["s"])
    assert claimed == []
    assert world.fires("s") == {offset: PENDING}


def test_asking_for_an_instant_twice_claims_it_once() -> None:
    world = seen(hourly())
    assert len(world.request("s", 30, 30)) == 1
    assert world.request("s", 30) == ()
    world.turn(60)
    assert world.fires("s") == {30: RUNNING, 60: SKIPPED}


def test_an_instant_that_somebody_asked_for_is_not_claimed_again_by_the_clock() -> None:
    world = seen(hourly())
    world.request("s", 60)
    world.turn(1)
    world.end("s")
    world.turn(60)
    assert world.fires("s") == {60: SUCCEEDED}


def test_asking_before_any_scheduler_ran_makes_the_schedule_known() -> None:
    world = World(hourly())
    world.request("s", -60)
    assert world.state("s").cursor == NOON
    world.turn(60)
    assert world.fires("s") == {-60: RUNNING, 60: SKIPPED}


# Alerts


def told(moves: Any) -> list[tuple[str, AlertKind, int]]:
    return [(name, alert.kind, alert.count) for name, alert in moves.alerts]


ALERT = AlertPolicy(to=("json://localhost",), every=3 * 3600.0)


def test_a_failure_is_told_once_in_a_while_and_its_recovery_at_once() -> None:
    world = seen(hourly(alert=ALERT))
    found = []
    for hour in range(1, 6):
        world.turn(hour * 60)
        world.end("s", RunStatus.FAILED if hour < 5 else RunStatus.SUCCEEDED)
        found.append(told(world.turn(hour * 60 + 1)))
    assert found == [
        [("s", AlertKind.FAILURE, 1)],
        [],
        [],
        [("s", AlertKind.FAILURE, 3)],
        [("s", AlertKind.RECOVERY, 4)],
    ]
    assert world.state("s").alerts.failures == 0


def test_a_retry_is_no_failure() -> None:
    world = seen(hourly(alert=ALERT, retry=Retry(attempts=2, delay=0)))
    world.turn(60)
    world.end("s", RunStatus.FAILED)
    assert told(world.turn(61)) == []


def test_what_was_missed_is_told_with_its_number() -> None:
    world = seen(hourly(alert=ALERT, catch_up=CatchUp(CatchUpMode.NONE)))
    moves = world.turn(510)
    assert told(moves) == [("s", AlertKind.MISSED, 8)]
    assert moves.alerts[0][1].scheduled_at == minute(480)
    assert moves.alerts[0][1].reason == "nobody was there when it was due (catch_up: none)"


def test_what_was_skipped_by_a_pause_is_not_told() -> None:
    world = seen(hourly(alert=ALERT))
    world.pause("s")
    assert told(world.turn(510)) == []


def test_a_fire_is_late_once_while_it_waits() -> None:
    late = replace(ALERT, late=600.0, every=0.0)
    world = seen(hourly("a", slots={"gpu": 1}), hourly("b", slots={"gpu": 1}, alert=late))
    world.turn(60)
    assert told(world.turn(70)) == []
    moves = world.turn(71)
    assert told(moves) == [("b", AlertKind.LATE, 1)]
    assert moves.alerts[0][1].reason == "not started 660 s after it was due"
    assert told(world.turn(72)) == []
    world.end("a")
    assert told(world.turn(73)) == []
    assert world.fires("b") == {60: RUNNING}


def test_a_fire_that_starts_late_is_told_once() -> None:
    late = replace(ALERT, late=600.0, every=0.0, when=(AlertKind.LATE,))
    world = seen(hourly(alert=late, retry=Retry(attempts=2, delay=0)))
    moves = world.turn(100)
    assert told(moves) == [("s", AlertKind.LATE, 1)]
    assert moves.alerts[0][1].reason == "started 2400 s after it was due"
    world.end("s", RunStatus.FAILED)
    assert told(world.turn(110)) == []


def test_what_somebody_asks_for_is_not_late() -> None:
    world = seen(hourly(alert=replace(ALERT, late=1.0)))
    world.request("s", -600)
    assert told(world.turn(1)) == []


def test_nothing_is_told_to_nobody() -> None:
    world = seen(hourly(alert=AlertPolicy()))
    world.turn(60)
    world.end("s", RunStatus.FAILED)
    assert told(world.turn(61)) == []
    assert world.state("s").alerts.failures == 1


# Two schedulers


def test_what_is_another_schedulers_is_left_alone_but_its_slots_count() -> None:
    world = seen(hourly("a", slots={"gpu": 1}), hourly("b", slots={"gpu": 1}))
    world.turn(60, due=["a"])
    world.request("b", 30)
    moves = world.turn(61, owns=lambda name: name == "b", due=["b"])
    assert moves.start == []
    assert world.fires("b") == {30: PENDING, 60: SKIPPED}
    world.end("a")
    world.turn(62, owns=lambda name: name == "b", due=["b"])
    assert world.fires("a") == {60: RUNNING}  # ended, and not settled by this one: it takes no slot, for ever maybe
    assert world.fires("b") == {30: RUNNING, 60: SKIPPED}
    world.turn(63, owns=lambda name: name == "a", due=["a"])
    assert world.fires("a") == {60: SUCCEEDED}


def test_who_is_there_for_one_fire_starts_no_other_and_waits_for_none_that_waits() -> None:
    world = seen(hourly(overlap=Overlap.QUEUE))
    world.request("s", 10, 20, 30)
    key = ("s", minute(20))
    moves = world.turn(31, starts=lambda other: other == key, due=[])
    assert [fire.key for fire in moves.start] == [key]
    assert world.fires("s") == {10: PENDING, 20: RUNNING, 30: PENDING}
    assert not world.turn(32, starts=lambda other: other == ("s", minute(10)), due=[]).start  # one runs
    world.end("s")
    assert not world.turn(33, starts=lambda other: other == key, due=[]).start
    assert world.fires("s") == {10: PENDING, 20: SUCCEEDED, 30: PENDING}


def test_what_is_another_schedulers_counts_as_running() -> None:
    world = seen(hourly("a"), hourly("b"), max_runs=1)
    world.turn(60, due=["a"])
    world.turn(61, owns=lambda name: name == "b", due=["b"])
    assert world.fires("b") == {60: PENDING}


def test_a_schedule_in_no_file_is_not_taken_for_removed_by_another_scheduler() -> None:
    world = seen(hourly("a"), hourly("cli:x", overlap=Overlap.QUEUE))
    for at in (60, 120):
        world.turn(at)
    del world.schedules["cli:x"]
    world.turn(121, owns=lambda name: not name.startswith("cli:"))
    assert world.fires("cli:x") == {60: RUNNING, 120: PENDING}
