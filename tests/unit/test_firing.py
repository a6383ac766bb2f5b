"""What people do with schedules: asking for fires, pausing, resuming, and what became of it all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier

import pytest

from kit import firing
from kit.alerting import AlertPolicy
from kit.board import Moves
from kit.errors import UserError
from kit.fires import Fire, FireOrigin, FireQuery, Gap
from kit.policies import CatchUp, CatchUpMode
from kit.project import Project, open_project
from kit.schedule import Schedule
from kit.scheduler import Fixed, Scheduler
from kit.states import FireStatus, RunStatus
from kit.stores import RunQuery
from kit.stores.sql import SqlStore
from kit.triggers import After, Interval, Once, OnData, Trigger
from tests.conftest import write
from tests.scheduling import NOON, hourly, minute

PENDING, SKIPPED, MISSED = FireStatus.PENDING, FireStatus.SKIPPED, FireStatus.MISSED
HOURLY = hourly()
AFTERWARDS = minute(24 * 60)

Turn = Callable[..., None]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    SqlStore(folder / "store.db", lock=folder / "lock").close()
    return folder / "store.db"


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Project:
    root = tmp_path / "tiny"
    write(root, {"pyproject.toml": '[tool.kit]\npackage = "tiny"\n'})
    made = open_project(root)
    made.paths.create_state()
    shutil.copy(empty_store, made.paths.store)
    return made


@pytest.fixture
def turn(project: Project) -> Turn:
    """Takes turns for a schedule at these minutes after noon; what is claimed waits for somebody to start it."""

    def take(schedule: Schedule, *at: float) -> None:
        for number in at:
            scheduler = Scheduler(project, Fixed(schedule), attached=("nobody's", NOON))
            scheduler.turn(minute(number))
            scheduler.close()

    return take


def fires(project: Project) -> dict[float, FireStatus]:
    """How each fire stands, by minutes after noon."""
    found = project.store.fires.fires(FireQuery())
    return {(fire.scheduled_at - NOON) / timedelta(minutes=1): fire.status for fire in reversed(found)}


def gaps(project: Project) -> list[tuple[FireStatus, datetime, datetime, int, str]]:
    return [(gap.status, gap.first, gap.last, gap.count, gap.reason) for gap in project.store.fires.gaps()]


def claim(project: Project, *instants: datetime, now: datetime = AFTERWARDS) -> firing.Claimed:
    return firing.claim(project, HOURLY, instants, now, origin=FireOrigin.REQUEST)


# Asking for fires


def test_what_is_asked_for_is_there_with_its_first_run_and_waits_for_somebody(project: Project) -> None:
    claimed = claim(project, minute(5), minute(7))
    assert claimed.known == ()
    assert [(fire.scheduled_at, fire.status, fire.origin, fire.requested) for fire in claimed.fires] == [
        (minute(5), PENDING, FireOrigin.REQUEST, True),
        (minute(7), PENDING, FireOrigin.REQUEST, True),
    ]
    runs = project.store.runs(RunQuery())
    assert {run.run_id for run in runs} == {fire.run_id for fire in claimed.fires}
    assert {run.status for run in runs} == {RunStatus.QUEUED}


def test_the_same_instant_twice_is_one_fire_whatever_zone_it_is_given_in(project: Project) -> None:
    (first,) = claim(project, minute(5)).fires
    again = claim(project, minute(5).astimezone(timezone(timedelta(hours=2))), minute(6))
    assert again.known == (first,)
    assert [fire.scheduled_at for fire in again.fires] == [minute(6)]
    assert fires(project) == {5: PENDING, 6: PENDING}


def test_many_who_ask_at_once_get_one_fire(project: Project) -> None:
    together = Barrier(4)

    def ask(_: int) -> firing.Claimed:
        own = open_project(project.root)
        together.wait()
        return claim(own, minute(5))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert sorted(len(answer.fires) for answer in answers) == [0, 0, 0, 1]
    (fire,) = project.store.fires.fires(FireQuery())
    assert [answer.known for answer in answers if not answer.fires] == [(fire,)] * 3
    assert len(project.store.runs(RunQuery())) == 1


@pytest.mark.parametrize("status", [SKIPPED, MISSED])
def test_what_never_ran_can_still_be_asked_for(project: Project, status: FireStatus) -> None:
    passed = Fire("s", minute(5), status, FireOrigin.DATA, NOON, NOON, cause="v1", ended_at=NOON, reason="busy")
    project.store.fires.act(lambda _board: Moves(NOON, fires={passed.key: passed}))
    (fire,) = claim(project, minute(5)).fires
    assert (fire.status, fire.cause, fire.attempt, fire.reason) == (PENDING, "v1", 1, None)


def test_what_is_yet_to_come_cannot_be_had_now(project: Project) -> None:
    with pytest.raises(UserError, match=r"2026-03-01 13:00:00.* is yet to come .*schedule s") as caught:
        claim(project, minute(-60), minute(60), now=NOON)
    assert "of the past" in str(caught.value.fix)
    assert fires(project) == {}
    assert len(claim(project, minute(4), now=NOON).fires) == 1  # another machine's clock may be ahead


def test_a_schedule_that_nobody_looked_at_before_counts_from_when_it_was_asked_for(
    project: Project, turn: Turn
) -> None:
    claim(project, minute(-300), now=minute(30))
    turn(HOURLY, 70)
    assert fires(project) == {-300: PENDING, 60: PENDING}


# Backfill


def test_a_backfill_has_its_beginning_and_not_its_end(project: Project) -> None:
    claimed = firing.backfill(project, HOURLY, minute(60), minute(240), AFTERWARDS)
    assert [fire.scheduled_at for fire in claimed.fires] == [minute(60), minute(120), minute(180)]
    assert {fire.origin for fire in claimed.fires} == {FireOrigin.BACKFILL}
    again = firing.backfill(project, HOURLY, minute(180), minute(301), AFTERWARDS)
    assert [fire.scheduled_at for fire in again.known] == [minute(180)]
    assert [fire.scheduled_at for fire in again.fires] == [minute(240), minute(300)]


def test_a_backfill_ends_now(project: Project) -> None:
    claimed = firing.backfill(project, HOURLY, minute(0), minute(9999), minute(121))
    assert [fire.scheduled_at for fire in claimed.fires] == [minute(0), minute(60), minute(120)]


def test_a_backfill_is_told_of_before_it_is_asked_for(project: Project) -> None:
    asked = (project, HOURLY, minute(60), minute(200), AFTERWARDS)
    claim(project, minute(120))
    wanted, known = firing.due_for_backfill(*asked)
    assert (wanted, [fire.scheduled_at for fire in known]) == ((minute(60), minute(180)), [minute(120)])
    assert fires(project) == {120: PENDING}
    claimed = firing.backfill(*asked)
    assert tuple(fire.scheduled_at for fire in claimed.fires) == wanted
    assert claimed.known == known


def test_what_was_passed_over_is_in_a_backfill(project: Project, turn: Turn) -> None:
    firing.pause(project, HOURLY, minute(0))
    turn(HOURLY, 60, 120)
    firing.resume(project, HOURLY, minute(130))
    assert len(firing.backfill(project, HOURLY, minute(0), minute(130), minute(130)).fires) == 3


@pytest.mark.parametrize("trigger", [OnData("data/flights"), After("other")])
def test_only_a_clock_can_be_filled_in(project: Project, trigger: Trigger) -> None:
    with pytest.raises(UserError, match="does not go by the clock"):
        firing.backfill(project, Schedule("s", trigger), NOON, minute(60), AFTERWARDS)


@pytest.mark.parametrize(("start", "end"), [(minute(1), minute(60)), (minute(60), minute(60)), (minute(90), NOON)])
def test_a_backfill_of_nothing_says_so(project: Project, start: datetime, end: datetime) -> None:
    with pytest.raises(UserError, match=r"nothing was due from .*the end is not included"):
        firing.backfill(project, HOURLY, start, end, AFTERWARDS)
    assert project.store.fires.states() == {}


def test_a_backfill_has_a_limit(project: Project) -> None:
    minutely = Schedule("s", Interval(60))
    end = NOON + firing.BACKFILL_LIMIT * timedelta(minutes=1)
    now = end + timedelta(days=1)
    wanted, _ = firing.due_for_backfill(project, minutely, NOON, end, now)
    assert len(wanted) == firing.BACKFILL_LIMIT
    with pytest.raises(UserError, match=f"more than {firing.BACKFILL_LIMIT}"):
        firing.due_for_backfill(project, minutely, NOON, end + timedelta(minutes=1), now)


# Which instant was the last


def test_the_last_instant_is_the_one_before_now_or_now() -> None:
    assert firing.due_instant(HOURLY, minute(59)) == NOON
    assert firing.due_instant(HOURLY, minute(60)) == minute(60)
    assert firing.due_instant(Schedule("s", Once(NOON)), AFTERWARDS) == NOON


@pytest.mark.parametrize("trigger", [OnData("data/flights"), After("other"), Once(minute(1))])
def test_where_no_clock_says_it_the_instant_itself_is_needed(trigger: Trigger) -> None:
    with pytest.raises(UserError, match="never due by the clock") as caught:
        firing.due_instant(Schedule("s", trigger), NOON)
    assert caught.value.where == "--at due"


# Pause and resume


def test_what_is_due_while_it_is_paused_is_skipped_and_stays_so(project: Project, turn: Turn) -> None:
    turn(HOURLY, 30)
    firing.pause(project, HOURLY, minute(40), why="the office moves")
    turn(HOURLY, 61, 121, 122)
    firing.resume(project, HOURLY, minute(185))
    turn(HOURLY, 200, 240)
    assert fires(project) == {240: PENDING}
    why = "paused: the office moves"
    assert gaps(project) == [
        (SKIPPED, minute(180), minute(180), 1, why),
        (SKIPPED, minute(120), minute(120), 1, why),
        (SKIPPED, minute(60), minute(60), 1, why),
    ]


def test_nobody_need_be_there_while_it_is_paused(project: Project, turn: Turn) -> None:
    turn(HOURLY, 30)
    firing.pause(project, HOURLY, minute(40))
    firing.resume(project, HOURLY, minute(200))
    turn(HOURLY, 210)
    assert fires(project) == {}
    assert gaps(project) == [(SKIPPED, minute(60), minute(180), 3, "paused")]


def test_what_was_due_before_it_is_paused_counts_by_what_the_schedule_says(project: Project, turn: Turn) -> None:
    turn(HOURLY, 30)
    firing.pause(project, HOURLY, minute(61))  # nobody was there at 13:00
    assert fires(project) == {60: PENDING}
    assert gaps(project) == []


def test_a_schedule_can_be_paused_before_anybody_has_seen_it(project: Project, turn: Turn) -> None:
    firing.pause(project, HOURLY, minute(30))
    turn(HOURLY, 61)
    assert fires(project) == {}
    assert gaps(project) == [(SKIPPED, minute(60), minute(60), 1, "paused")]


def test_what_waits_when_it_is_paused_waits_on_and_what_is_asked_for_runs(project: Project, turn: Turn) -> None:
    turn(HOURLY, 30, 60)
    firing.pause(project, HOURLY, minute(61))
    claimed = claim(project, minute(10), now=minute(62))
    assert len(claimed.fires) == 1
    assert fires(project) == {10: PENDING, 60: PENDING}


def test_pausing_again_keeps_since_when_and_why(project: Project) -> None:
    firing.pause(project, HOURLY, minute(1), why="the office moves")
    firing.pause(project, HOURLY, minute(2))
    state = project.store.fires.states()["s"]
    assert (state.paused_at, state.paused_why) == (minute(1), "the office moves")
    firing.pause(project, HOURLY, minute(3), why="and is painted")
    assert project.store.fires.states()["s"].paused_why == "and is painted"
    firing.resume(project, HOURLY, minute(4))
    state = project.store.fires.states()["s"]
    assert (state.paused_at, state.paused_why) == (None, None)


def test_only_what_is_paused_can_be_resumed(project: Project) -> None:
    with pytest.raises(UserError, match="schedule s is not paused"):
        firing.resume(project, HOURLY, NOON)
    firing.pause(project, HOURLY, minute(1))
    firing.resume(project, HOURLY, minute(2))
    with pytest.raises(UserError, match="schedule s is not paused"):
        firing.resume(project, HOURLY, minute(3))


def test_what_pausing_finds_out_is_told_as_if_a_scheduler_had(project: Project, turn: Turn) -> None:
    missing = replace(HOURLY, catch_up=CatchUp(CatchUpMode.NONE), alert=AlertPolicy(to=("json://localhost",)))
    turn(missing, 30)
    firing.pause(project, missing, minute(239))
    assert [gap[:-1] for gap in gaps(project)] == [(MISSED, minute(60), minute(180), 3)]
    (message,) = project.store.fires.messages()
    assert (message.schedule, message.kind, message.next_try_at) == ("s", "missed", minute(239))
    assert "s was missed (3 times)" in message.title


# Counting from now


def test_what_begins_anew_owes_nothing(project: Project, turn: Turn) -> None:
    turn(HOURLY, 30)
    firing.begin(project, HOURLY, minute(600))
    turn(HOURLY, 601, 660)
    assert fires(project) == {660: PENDING}
    assert gaps(project) == []


# What became of it


def test_history_has_fires_and_what_was_passed_over_the_latest_first(project: Project, turn: Turn) -> None:
    turn(HOURLY, 30, 60)
    firing.pause(project, HOURLY, minute(61))
    firing.resume(project, HOURLY, minute(250))
    turn(HOURLY, 300)
    firing.claim(project, hourly("other"), [minute(200)], AFTERWARDS, origin=FireOrigin.REQUEST)

    def told(name: str | None, limit: int = 99) -> list[tuple[str, datetime]]:
        events = firing.history(project, name, limit=limit)
        return [(event.schedule, event.last if isinstance(event, Gap) else event.scheduled_at) for event in events]

    everything = [("s", minute(300)), ("s", minute(240)), ("other", minute(200)), ("s", minute(60))]
    assert told(None) == everything
    assert told("s") == [event for event in everything if event[0] == "s"]
    assert [told(None, limit) for limit in (1, 2, 3)] == [everything[:limit] for limit in (1, 2, 3)]
    assert told("nobody") == []
