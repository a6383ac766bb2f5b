"""How schedules do: what each did, what it does next, and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kit.errors import UserError
from kit.fires import FireOrigin
from kit.health import STREAK_LIMIT, Health, ScheduleHealth, Streak, look, look_at
from kit.paths import ProjectPaths
from kit.policies import CatchUp, CatchUpMode, Retry
from kit.project import Project
from kit.schedules import Loaded
from kit.settings import Settings
from kit.states import RunStatus
from kit.stores import MemoryStore
from kit.triggers import After, Interval, OnData
from tests.scheduling import World, hourly, minute

FAILED = RunStatus.FAILED


@pytest.fixture
def opened(tmp_path: Path) -> Project:
    """A project whose store forgets."""
    made = Project(ProjectPaths(tmp_path), Settings())
    vars(made)["store"] = MemoryStore()
    return made


def see(world: World, opened: Project, at: float, name: str = "s") -> ScheduleHealth:
    assert world.store is opened.store
    return look_at(opened, world.schedules[name], minute(at))


def test_a_schedule_that_nobody_has_seen_is_new(opened: Project) -> None:
    one = look_at(opened, hourly(), minute(90))
    assert (one.health, one.state, one.last, str(one.streak)) == (Health.NEW, None, None, "")
    assert one.next_at == minute(120)


def test_one_that_runs_is_well(opened: Project) -> None:
    world = World(hourly(), store=opened.store)
    world.turn(0)
    for hour in (60, 120, 180):
        world.turn(hour)
        world.end("s")
    world.turn(190)
    one = see(world, opened, 200)
    assert (one.health, one.why, one.fix) == (Health.OK, None, None)
    assert (str(one.streak), one.last_success, one.next_at) == ("3 ok", minute(180), minute(240))
    assert one.last is not None
    assert one.last.scheduled_at == minute(180)


def test_one_whose_last_fire_failed_fails_until_one_succeeds(opened: Project) -> None:
    world = World(hourly(), store=opened.store)
    world.turn(0)
    for hour, end in ((60, RunStatus.SUCCEEDED), (120, FAILED), (180, FAILED)):
        world.turn(hour)
        world.end("s", end)
    world.turn(190)
    one = see(world, opened, 200)
    assert (one.health, one.streak, str(one.streak)) == (Health.FAILING, Streak(-2), "2 failed")
    assert one.why == "2 failed in a row; the last (2026-03-01 15:00 UTC): it broke"
    assert one.fix == "See what became of it: `kit schedule history s`."
    assert one.last_success == minute(60)
    world.turn(240)
    world.end("s")
    world.turn(250)
    assert see(world, opened, 260).health is Health.OK


def test_a_long_streak_is_at_least_as_long(opened: Project) -> None:
    world = World(hourly(), store=opened.store)
    world.turn(0)
    for hour in range(STREAK_LIMIT + 3):
        world.turn(60 * (hour + 1))
        world.end("s", FAILED)
    world.turn(60 * STREAK_LIMIT + 200)
    one = see(world, opened, 60 * STREAK_LIMIT + 201)
    assert (str(one.streak), one.last_success) == (f"{STREAK_LIMIT}+ failed", None)


def test_what_is_skipped_breaks_no_streak(opened: Project) -> None:
    world = World(hourly(), store=opened.store)
    world.turn(0)
    world.turn(60)
    world.turn(120)  # skipped: that of 13:00 still runs
    world.end("s")
    world.turn(130)
    one = see(world, opened, 131)
    assert (one.health, str(one.streak)) == (Health.OK, "1 ok")
    assert one.last is not None
    assert one.last.status == "skipped"


def test_one_that_nobody_has_begun_is_late_once_its_tolerance_is_over(opened: Project) -> None:
    schedule = hourly(catch_up=CatchUp(tolerance=600))
    world = World(schedule, store=opened.store)
    world.turn(0)
    assert see(world, opened, 70).health is Health.NEW
    one = see(world, opened, 71)
    assert one.health is Health.LATE
    assert one.why == "due 2026-03-01 13:00 UTC, 11 min ago: nobody has begun it"


def test_one_that_waits_for_its_turn_is_late_too(opened: Project) -> None:
    world = World(hourly("a", slots={"gpu": 1}), hourly("b", slots={"gpu": 1}), store=opened.store)
    world.turn(0)
    world.turn(60)  # there is one slot
    assert see(world, opened, 62, "b").health is Health.NEW
    assert see(world, opened, 90, "b").why == "due 2026-03-01 13:00 UTC, 30 min ago: it waits for its turn"
    assert see(world, opened, 90, "a").health is Health.NEW


def test_what_another_clock_asked_for_is_not_late(opened: Project) -> None:
    """`kit run --schedule NAME --at due`, from an outside clock; there is no scheduler."""
    world = World(hourly(), store=opened.store)
    world.request("s", 60)
    world.turn(61, due=[])
    world.end("s")
    world.turn(62, due=[])
    assert see(world, opened, 110).health is Health.OK
    assert see(world, opened, 150).health is Health.LATE


def test_what_was_due_before_anybody_looked_is_not_late(opened: Project) -> None:
    world = World(hourly(), store=opened.store)
    world.turn(59)
    assert see(world, opened, 60).health is Health.NEW
    disabled = World(hourly(enabled=False), store=opened.store)
    disabled.turn(59)
    disabled.edit("s", enabled=True)
    assert see(disabled, opened, 200).health is Health.NEW


def test_what_is_caught_up_with_is_not_late(opened: Project) -> None:
    world = World(hourly(catch_up=CatchUp(CatchUpMode.ALL)), store=opened.store)
    world.turn(0)
    world.turn(6 * 60)
    assert see(world, opened, 6 * 60 + 30).health is Health.NEW


def test_a_paused_one_is_not_late_and_says_since_when_and_why(opened: Project) -> None:
    world = World(hourly(), store=opened.store)
    world.turn(0)
    world.now = minute(10)
    world.pause("s", "the data is being mended")
    one = see(world, opened, 300)
    assert (one.health, one.next_at) == (Health.PAUSED, None)
    assert one.why == "since 2026-03-01 12:10 UTC: the data is being mended"
    assert one.fix == "Go on with it: `kit schedule resume s`."


def test_a_disabled_one_is_nothing_else(opened: Project) -> None:
    one = look_at(opened, hourly(enabled=False), minute(0))
    assert (one.health, one.next_at) == (Health.DISABLED, None)


def test_one_that_waits_to_try_again_says_when(opened: Project) -> None:
    world = World(hourly(retry=Retry(attempts=3, delay=600, jitter=0)), store=opened.store)
    world.turn(0)
    world.turn(60)
    world.end("s", FAILED)
    world.turn(61)
    one = see(world, opened, 62)
    assert one.health is Health.RETRYING
    assert one.why == "attempt 1 of 2026-03-01 13:00 UTC failed; the next is due 2026-03-01 13:10 UTC"


def test_a_broken_one_says_what_is_wrong_and_what_it_did_before(opened: Project) -> None:
    world = World(hourly(), store=opened.store)
    world.turn(0)
    world.turn(60)
    world.end("s")
    world.turn(61)
    error = UserError("unknown key 'crom'", where="conf/schedule/s.yaml", fix="Did you mean 'cron'?")
    (one,) = look(opened, Loaded({}, {"s": error}), minute(62))
    assert (one.health, one.schedule, one.next_at) == (Health.BROKEN, None, None)
    assert (one.why, one.fix) == ("unknown key 'crom' (conf/schedule/s.yaml)", "Did you mean 'cron'?")
    assert (str(one.streak), one.last_success) == ("1 ok", minute(60))


def test_all_are_seen_in_order_and_those_without_a_clock_have_no_next_instant(opened: Project) -> None:
    loaded = Loaded(
        {
            "b": hourly("b"),
            "a": replace(hourly("a"), trigger=After("b")),
            "d": replace(hourly("d"), trigger=OnData("data")),
            "e": replace(hourly("e"), trigger=Interval(60)),
        },
        {"c": UserError("no")},
    )
    found = {one.name: one.next_at for one in look(opened, loaded, minute(0))}
    assert list(found) == ["a", "b", "c", "d", "e"]
    assert found == {"a": None, "b": minute(60), "c": None, "d": None, "e": minute(0) + timedelta(minutes=1)}


def test_one_that_was_asked_for_has_no_effect_on_what_is_due(opened: Project) -> None:
    world = World(hourly(), store=opened.store)
    world.turn(0)
    world.request("s", 30, origin=FireOrigin.REQUEST)
    assert see(world, opened, 90).health is Health.LATE
