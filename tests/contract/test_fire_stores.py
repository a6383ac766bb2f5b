"""What every store must do for schedules: `Store.fires` of both twins."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kit._process import ProcessId
from kit.alerting import AlertKind, AlertState, OutboxEntry
from kit.board import Active, Board, Moves
from kit.fires import Attempt, Fire, FireKey, FireOrigin, FireQuery, Gap, SchedulerRecord, ScheduleState
from kit.models import Origin, RunRecord
from kit.policies import CatchUp, CatchUpMode, Overlap
from kit.schedule import Schedule
from kit.states import FIRE_TERMINAL, FireStatus, IllegalTransition, RunStatus
from kit.stores import MemoryStore, RunQuery, Store
from kit.stores.sql import SqlStore
from kit.triggers import After, Cron, Interval, Once, OnData, Trigger
from tests.databases import Postgres, open_at
from tests.scheduling import NOON, STARTER, World, hourly, minute

PENDING, RUNNING, RETRYING = FireStatus.PENDING, FireStatus.RUNNING, FireStatus.RETRYING
SUCCEEDED, FAILED, SKIPPED = FireStatus.SUCCEEDED, FireStatus.FAILED, FireStatus.SKIPPED


def open_place(where: str) -> SqlStore:
    """The store in a folder, or at a URL."""
    return open_at(where) if "://" in where else open_store(Path(where))


def open_store(folder: Path) -> SqlStore:
    return SqlStore(folder / "store.db", lock=folder / "lock")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where processes share a store."""
    if request.param == "sqlite":
        return str(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.new_database())


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        made = server.empty_store()
    else:
        made = MemoryStore() if request.param == "memory" else open_store(tmp_path)
    with closing(made.hold()):
        yield made
    made.close()


def fire(name: str = "s", at: float = 0, status: FireStatus = PENDING, **changes: Any) -> Fire:
    return replace(Fire(name, minute(at), status, FireOrigin.CLOCK, NOON, NOON), **changes)


def run(of: Fire, status: RunStatus = RunStatus.QUEUED, **changes: Any) -> RunRecord:
    """The run of a fire, as the scheduler writes it."""
    assert of.run_id is not None
    made = RunRecord(
        of.run_id, of.schedule, "tiny", "config", None, status, NOON, None, False, None,
        origin=Origin("schedule", of.schedule, of.attempt, of.scheduled_at),
    )  # fmt: skip
    return replace(made, **changes)


def claim(store: Store, *names: str, status: FireStatus = PENDING, at: float = 0) -> list[Fire]:
    """Fires with their first runs; a run's id is its schedule's name."""
    fires = [fire(name, at, status, attempt=1, run_id=f"r-{name}") for name in names]
    write(store, fires, [run(made) for made in fires])
    return fires


def write(store: Store, fires: Iterable[Fire] = (), attempts: Iterable[RunRecord] = (), **others: Any) -> Moves:
    """Write these very moves; every fire is read first, as a scheduler does."""
    made = {found.key: found for found in fires}

    def decide(board: Board) -> Moves:
        board.known(list(made))
        return Moves(NOON, STARTER, made, attempts={record.run_id: record for record in attempts}, **others)

    return store.fires.act(decide)


def board_of(store: Store, *names: str) -> Board:
    """The board as a turn sees it; what is asked of it is asked within the transaction."""
    seen: list[Board] = []

    def decide(board: Board) -> Moves:
        seen.append(replace(board, states=dict(board.states), active=list(board.active)))
        return Moves(NOON)

    store.fires.act(decide, names=names)
    return seen[0]


def ask(store: Store, question: Callable[[Board], Any]) -> Any:
    """Ask a board within its transaction."""
    answers: list[Any] = []

    def decide(board: Board) -> Moves:
        answers.append(question(board))
        return Moves(NOON)

    store.fires.act(decide)
    return answers[0]


def everything(store: Store) -> tuple[object, ...]:
    fires = store.fires
    return (fires.fires(FireQuery()), fires.gaps(), fires.states(), fires.messages(), store.runs(RunQuery()))


GAP = Gap("s", FireStatus.MISSED, minute(1), minute(5), 5, "nobody was there", minute(6))
STATE = ScheduleState("s", Cron("0 2 * * *", "Europe/Berlin"), minute(3))
MESSAGE = OutboxEntry("m1", "s", "failure", "It failed", "It broke.\nSee: kit status", NOON, next_try_at=NOON)

# A fire and its run


def test_a_fire_and_its_run_are_written_together(store: Store) -> None:
    made = fire(
        at=1.5, status=RUNNING, origin=FireOrigin.CATCH_UP, requested=True, cause="0" * 32 + ".dir", attempt=1,
        run_id="r1", started_at=minute(2), due_at=minute(2), reason="so", stopping='ü\n"quoted"', ended_at=minute(4),
        followed=True, uncounted=2, slots={"gpu": 2, "tape_1": 1},
    )  # fmt: skip
    record = run(made, RunStatus.STARTING, starter=STARTER, heartbeat_at=minute(2))
    write(store, [made], [record])
    assert store.fires.fire(made.key) == made
    assert store.get("r1") == record
    assert store.spec("r1") is None
    assert store.fires.active() == [Active(made, Attempt("r1", RunStatus.STARTING, starter=STARTER))]


def test_act_gives_back_what_was_decided(store: Store) -> None:
    moves = Moves(NOON, gaps=[GAP])
    assert store.fires.act(lambda _: moves) is moves


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.fires.fire(("s", NOON)) is None
    assert everything(store) == ([], [], {}, [], [])
    assert (store.fires.active(), store.fires.schedulers(), store.fires.pending_alerts(NOON)) == ([], [], [])
    assert not store.fires.has_work(NOON)


def test_what_goes_wrong_while_deciding_leaves_nothing(store: Store) -> None:
    claim(store, "old")
    before = everything(store)

    def decide(board: Board) -> Moves:
        board.known([("s", NOON)])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.fires.act(decide)
    assert everything(store) == before
    claim(store, "new")  # and nothing is locked


def test_a_move_that_the_tables_have_no_way_for_leaves_nothing(store: Store) -> None:
    ended, busy, waits = claim(store, "ended", "busy", "waits")
    write(store, [replace(ended, status=FAILED), replace(busy, status=RUNNING)])
    before = everything(store)
    new = fire("new", attempt=1, run_id="r-new")
    for fires, attempts, runs in (
        ([replace(ended, status=PENDING)], [], {}),
        ([replace(busy, status=SKIPPED)], [], {}),
        ([], [], {"r-waits": (RunStatus.SUCCEEDED, None)}),
        ([], [run(replace(waits, attempt=2, run_id="r2"), RunStatus.SUCCEEDED)], {}),
    ):
        with pytest.raises(IllegalTransition):
            write(store, [new, *fires], [run(new), *attempts], runs=runs, gaps=[GAP], states={"s": STATE})
        assert everything(store) == before


def test_a_fire_that_was_not_read_cannot_be_overwritten(store: Store) -> None:
    (made,) = claim(store, "s")
    write(store, [replace(made, status=SKIPPED)])
    before = everything(store)
    with pytest.raises(Exception, match=r"(?i)unique|exists"):
        store.fires.act(lambda _: Moves(NOON, gaps=[GAP], fires={made.key: made}))
    assert everything(store) == before


def test_an_attempt_at_a_fire_is_there_once(store: Store) -> None:
    (made,) = claim(store, "s")
    before = everything(store)
    with pytest.raises(Exception, match=r"(?i)unique|exists"):
        write(store, [replace(made, run_id="r2")], [run(replace(made, run_id="r2"))], gaps=[GAP])
    assert everything(store) == before
    write(store, [replace(made, run_id="r2", attempt=2)], [run(replace(made, run_id="r2", attempt=2))])


def test_a_version_makes_a_schedule_fire_once_and_others_too(store: Store) -> None:
    write(store, [fire("a", cause="v1", status=SKIPPED), fire("b", cause="v1", status=SKIPPED)])
    write(store, [fire("a", 1, status=SKIPPED), fire("a", 2, status=SKIPPED)])  # no version is no version
    before = everything(store)
    with pytest.raises(Exception, match=r"(?i)unique|exists"):
        write(store, [fire("a", 3, cause="v1")])
    assert everything(store) == before


def test_a_waiting_run_is_started_or_given_up_with_its_fire(store: Store) -> None:
    a, b, c = claim(store, "a", "b", "c")
    at = minute(7)
    moves = {"r-a": (RunStatus.STARTING, None), "r-b": (RunStatus.CANCELLED, "removed"), "r-c": (RunStatus.FAILED, "x")}
    store.fires.act(lambda _: Moves(at, STARTER, runs=moves))
    assert store.get("r-a") == replace(run(a), status=RunStatus.STARTING, starter=STARTER, heartbeat_at=at)
    assert store.get("r-b") == replace(run(b), status=RunStatus.CANCELLED, reason="removed", ended_at=at, tracked=True)
    assert store.get("r-c") == replace(run(c), status=RunStatus.FAILED, reason="x", ended_at=at, tracked=True)


def test_moves_without_a_starter_have_none(store: Store) -> None:
    claim(store, "a")
    store.fires.act(lambda _: Moves(NOON, runs={"r-a": (RunStatus.STARTING, None)}))
    assert store.get("r-a").starter is None


# The board


def test_the_board_has_what_is_not_over_and_what_its_runs_came_to(store: Store) -> None:
    a, b, _ = claim(store, "b", "a", "c", status=RUNNING)
    write(store, [replace(fire("c", status=SUCCEEDED), attempt=1, run_id="r-c", followed=True)])
    store.fires.act(lambda _: Moves(NOON, runs={"r-a": (RunStatus.STARTING, None)}))
    store.transition("r-a", RunStatus.RUNNING, at=minute(1))
    store.transition("r-a", RunStatus.FAILED, at=minute(2), exit_code=3, reason="ü")
    board = board_of(store)
    assert board.active == [
        Active(b, Attempt("r-a", RunStatus.FAILED, 3, "ü", minute(1), minute(2))),
        Active(a, Attempt("r-b", RunStatus.QUEUED)),
    ]
    assert store.fires.active() == board.active


def test_the_board_has_the_states_that_were_asked_for_and_those_of_what_is_active(store: Store) -> None:
    claim(store, "active")
    names = ["active", "asked", "other"]
    write(store, states={name: replace(STATE, schedule=name) for name in names})
    assert set(board_of(store, "asked", "unknown").states) == {"active", "asked"}
    assert set(board_of(store).states) == {"active"}
    assert set(store.fires.states()) == set(names)


def test_the_board_has_the_successes_whose_followers_were_not_told(store: Store) -> None:
    told, untold, failed = claim(store, "told", "untold", "failed", status=RUNNING)
    write(
        store,
        [
            replace(told, status=SUCCEEDED, followed=True),
            replace(untold, status=SUCCEEDED),
            replace(failed, status=FAILED),
        ],
    )
    board = board_of(store)
    assert list(board.unfollowed) == [replace(untold, status=SUCCEEDED)]
    assert board.active == []


def test_the_board_knows_fires_by_their_keys(store: Store) -> None:
    a, b = claim(store, "a", "b")
    asked = [("a", NOON), ("a", minute(1)), ("c", NOON)]
    assert ask(store, lambda board: dict(board.known(asked))) == {a.key: a}
    assert ask(store, lambda board: dict(board.known([b.key, a.key]))) == {a.key: a, b.key: b}
    assert ask(store, lambda board: dict(board.known([]))) == {}
    berlin = NOON.astimezone(ZoneInfo("Europe/Berlin"))
    assert ask(store, lambda board: dict(board.known([("a", berlin)]))) == {a.key: a}


def test_the_board_knows_which_versions_made_a_schedule_fire(store: Store) -> None:
    write(store, [fire("a", 1, SKIPPED, cause="v1"), fire("a", 2, SKIPPED, cause="v2"), fire("a", 3, SKIPPED)])
    write(store, [fire("b", 1, SKIPPED, cause="v3")])
    assert ask(store, lambda board: board.causes("a")) == {"v1", "v2"}
    assert ask(store, lambda board: board.causes("c")) == frozenset()


TRIGGERS: list[Trigger] = [
    Cron("0 2 * * *", "Europe/Berlin"),
    Cron("*/5 * * * 1-5"),
    Interval(0.1 + 1.2),
    Interval(3600, datetime(2026, 1, 1, 5, 30, tzinfo=UTC)),
    Once(datetime(2026, 1, 1, 5, 30, 0, 123456, tzinfo=UTC)),
    OnData("data/flights"),
    OnData("data/flüge 1", "main", "origin", 5),
    After("other"),
]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
def test_a_schedules_state_comes_back_as_it_went_in(store: Store, trigger: Trigger) -> None:
    alerts = AlertState(
        3, announced=True, sent={AlertKind.FAILURE: minute(1)}, held={AlertKind.MISSED: 4}, late_until=minute(2)
    )
    state = ScheduleState(
        "s", trigger, minute(0.123456), enabled=False, paused_at=minute(2), paused_why="ü", alerts=alerts
    )
    write(store, states={"s": state})
    assert store.fires.states() == {"s": state}
    assert board_of(store, "s").states == {"s": state}
    later = replace(state, paused_at=None, paused_why=None, enabled=True, alerts=AlertState())
    write(store, states={"s": later, "t": replace(state, schedule="t")})
    assert store.fires.states() == {"s": later, "t": replace(state, schedule="t")}


# Questions


def test_fires_are_found_the_latest_first(store: Store) -> None:
    claim(store, "a", "b", at=1)
    write(store, [fire("a", 3, SKIPPED), fire("a", 2, FAILED), fire("ä", 3, SKIPPED)])

    def ask_for(**query: Any) -> list[tuple[str, float]]:
        found = store.fires.fires(FireQuery(**query))
        return [(made.schedule, (made.scheduled_at - NOON) / timedelta(minutes=1)) for made in found]

    assert ask_for() == [("ä", 3), ("a", 3), ("a", 2), ("b", 1), ("a", 1)]
    assert ask_for(limit=2) == [("ä", 3), ("a", 3)]
    assert ask_for(schedule="a") == [("a", 3), ("a", 2), ("a", 1)]
    assert ask_for(statuses=frozenset({PENDING, FAILED})) == [("a", 2), ("b", 1), ("a", 1)]
    assert ask_for(since=minute(2), until=minute(2)) == [("a", 2)]
    assert ask_for(since=minute(1.5)) == [("ä", 3), ("a", 3), ("a", 2)]
    assert ask_for(schedule="b", until=minute(0.9)) == []
    assert ask_for(schedule="a", statuses=frozenset({SKIPPED}), since=minute(1), until=minute(3), limit=9) == [("a", 3)]


def test_the_last_fires_of_each_schedule(store: Store) -> None:
    write(store, [fire(name, at, SKIPPED if at % 2 else FAILED) for name in "ab" for at in range(6)])
    write(store, [fire("c", 1, SKIPPED)])
    write(store, states={name: replace(STATE, schedule=name) for name in "abcd"})

    def ask_for(*arguments: Any) -> dict[str, list[int]]:
        return {
            name: [(made.scheduled_at - NOON) // timedelta(minutes=1) for made in fires]
            for name, fires in store.fires.latest(*arguments).items()
        }

    assert ask_for(2) == {"a": [5, 4], "b": [5, 4], "c": [1]}
    assert ask_for(1, [FAILED]) == {"a": [4], "b": [4]}
    assert ask_for(10, {SKIPPED}) == {"a": [5, 3, 1], "b": [5, 3, 1], "c": [1]}


def test_gaps_are_found_the_latest_first(store: Store) -> None:
    gaps = [
        replace(GAP, schedule="a", last=minute(9)),
        replace(GAP, schedule="b", last=minute(9), status=SKIPPED, reason="paused: ü"),
        replace(GAP, schedule="a", last=minute(12), first=minute(11), count=2),
    ]
    write(store, gaps=gaps[:2])
    write(store, gaps=gaps[2:])
    assert store.fires.gaps() == [gaps[2], gaps[1], gaps[0]]
    assert store.fires.gaps("a") == [gaps[2], gaps[0]]
    assert store.fires.gaps("a", limit=1) == [gaps[2]]
    assert store.fires.gaps("c") == []


def test_gaps_that_end_together_are_told_in_the_same_order(store: Store) -> None:
    gaps = [replace(GAP, reason=str(number)) for number in range(5)]
    write(store, gaps=gaps)
    assert store.fires.gaps("s") == gaps[::-1]


# Schedulers and messages


def test_a_scheduler_says_that_it_is_alive(store: Store) -> None:
    first = SchedulerRecord("one", "", "box", ProcessId(3, 4, "boot"), NOON, NOON)
    other = replace(first, scheduler_id="two", scope="nightly", heartbeat_at=minute(1))
    store.fires.beat(first)
    store.fires.beat(other)
    assert store.fires.schedulers() == [other, first]
    first = replace(first, heartbeat_at=minute(2), stopped_at=minute(3), reason="it stopped without a word")
    store.fires.beat(first)
    assert store.fires.schedulers() == [first, other]


def test_a_message_waits_is_tried_and_is_sent(store: Store) -> None:
    fires = store.fires
    later = replace(MESSAGE, entry_id="m2", schedule=None, kind="scheduler", next_try_at=minute(5))
    write(store, messages=[MESSAGE])
    fires.add_message(later)
    assert fires.pending_alerts(minute(-1)) == []
    assert fires.pending_alerts(NOON) == [MESSAGE]
    assert fires.pending_alerts(minute(5)) == [MESSAGE, later]
    fires.alert_failed("m1", minute(1), "no route to host", minute(3), "digest")
    tried = replace(MESSAGE, tries=1, error="no route to host", next_try_at=minute(3), taken="digest")
    assert fires.pending_alerts(minute(2)) == []
    assert fires.pending_alerts(minute(3)) == [tried]
    fires.alert_sent("m1", minute(3))
    sent = replace(tried, tries=2, error=None, next_try_at=None, sent_at=minute(3))
    assert fires.pending_alerts(minute(4)) == []
    assert fires.messages() == [later, sent]
    assert fires.messages(limit=1) == [later]


def test_a_message_is_told_once_whoever_writes_it_again(store: Store) -> None:
    store.fires.add_message(MESSAGE)
    store.fires.add_message(replace(MESSAGE, title="the same, found out by another"))
    assert store.fires.messages() == [MESSAGE]
    store.fires.alert_sent("m1", minute(1))
    store.fires.add_message(MESSAGE)
    assert store.fires.pending_alerts(minute(9)) == []


def test_a_message_that_nobody_takes_is_given_up(store: Store) -> None:
    store.fires.add_message(MESSAGE)
    store.fires.alert_failed("m1", minute(1), "gone", None)
    assert store.fires.pending_alerts(minute(9999)) == []
    (found,) = store.fires.messages()
    assert (found.error, found.tries, found.sent_at) == ("gone", 1, None)


def test_what_is_over_is_forgotten_and_what_is_not_is_kept(store: Store) -> None:
    fires = store.fires
    running = SchedulerRecord("a", "", "box", ProcessId(1, 2, "boot"), NOON, NOON)
    for record in (
        running,
        replace(running, scheduler_id="b", stopped_at=minute(1)),
        replace(running, scheduler_id="c", stopped_at=minute(9)),
    ):
        fires.beat(record)
    for entry_id in ("waits", "sent"):
        fires.add_message(replace(MESSAGE, entry_id=entry_id))
    fires.alert_sent("sent", minute(1))
    fires.forget(minute(5))
    assert {record.scheduler_id for record in fires.schedulers()} == {"a", "c"}
    assert [entry.entry_id for entry in fires.messages()] == ["waits"]


def test_a_message_is_put_into_the_outbox_once(store: Store) -> None:
    store.fires.add_message(MESSAGE)
    store.fires.alert_sent("m1", minute(1))
    store.fires.add_message(MESSAGE)
    assert [entry.sent_at for entry in store.fires.messages()] == [minute(1)]


def test_messages_are_sent_in_the_order_in_which_they_were_written(store: Store) -> None:
    entries = [replace(MESSAGE, entry_id=f"m{n}", created_at=minute(n), next_try_at=minute(9 - n)) for n in (2, 1, 3)]
    for entry in entries:
        store.fires.add_message(entry)
    assert [entry.entry_id for entry in store.fires.pending_alerts(minute(99))] == ["m1", "m2", "m3"]
    assert [entry.entry_id for entry in store.fires.messages()] == ["m3", "m2", "m1"]


# Whether there is something to do

WAITS = (RunStatus.QUEUED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.LOST)


def combinations() -> Iterator[tuple[Fire, RunStatus]]:
    """Fires and how their last runs stand, all that can be: what waits has a run that waits or was given up."""
    for status, due in itertools.product((PENDING, RETRYING), (-1, 0, 1e-6, 1)):
        yield from ((fire(status=status, due_at=minute(due)), of_run) for of_run in WAITS)
    for stopping, of_run in itertools.product((None, "replaced"), set(RunStatus) - {RunStatus.QUEUED}):
        yield fire(status=RUNNING, due_at=minute(-1), stopping=stopping), of_run
    for status, followed in itertools.product(FIRE_TERMINAL, (False, True)):
        yield fire(status=status, followed=followed), RunStatus.CANCELLED


def _has_work(made: Fire, of_run: RunStatus) -> bool:
    match made.status:
        case FireStatus.PENDING:
            return True
        case FireStatus.RETRYING:
            return of_run.is_terminal or made.due_at <= NOON
        case FireStatus.RUNNING:
            return of_run.is_terminal or made.stopping is not None
        case FireStatus.SUCCEEDED:
            return not made.followed
        case _:
            return False


def test_there_is_work_exactly_when_a_turn_would_find_some(store: Store) -> None:
    for number, (found, of_run) in enumerate(combinations()):
        made = replace(found, scheduled_at=minute(number), attempt=1, run_id=f"r{number}")
        at_once = of_run if of_run in {*WAITS, RunStatus.STARTING} else RunStatus.STARTING
        write(store, [made], [run(made, at_once)])
        if of_run is RunStatus.SUCCEEDED:
            store.transition(f"r{number}", RunStatus.RUNNING, at=NOON)
        if of_run is not at_once:
            store.transition(f"r{number}", of_run, at=NOON)
        assert store.fires.has_work(NOON) is _has_work(made, of_run), (made, of_run)
        over = replace(made, followed=True, status=made.status if made.status.is_terminal else FireStatus.CANCELLED)
        if over != made:
            write(store, [over])
    assert not store.fires.has_work(minute(9999))


# Instants, names and numbers


def test_instants_keep_their_microseconds_and_come_back_in_utc(store: Store) -> None:
    at = datetime(2026, 10, 25, 4, 30, 0, 123457, tzinfo=ZoneInfo("Europe/Berlin"))
    utc = at.astimezone(UTC)
    made = replace(fire(attempt=1, run_id="r1"), scheduled_at=at, created_at=at, due_at=at, started_at=at, ended_at=at)
    gap = replace(GAP, first=at, last=at, noted_at=at)
    state = replace(STATE, cursor=at, paused_at=at)
    record = replace(run(made), created_at=at)
    write(store, [made], [record], gaps=[gap], states={"s": state})
    found = store.fires.fire(("s", utc))
    assert found == made
    assert store.fires.gaps() == [gap]
    assert store.fires.states() == {"s": state}
    if isinstance(store, SqlStore):
        assert found is not None
        told = (found.scheduled_at, found.created_at, found.due_at, found.started_at, found.ended_at)
        assert {instant.tzinfo for instant in told if instant is not None} == {UTC}
        assert store.get("r1").origin.scheduled_at == utc


def test_the_first_and_the_last_instants_there_are(store: Store) -> None:
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    write(store, [replace(fire(status=SKIPPED), scheduled_at=at) for at in ends])
    assert [found.scheduled_at for found in store.fires.fires(FireQuery(since=ends[0], until=ends[1]))] == ends[::-1]


@pytest.mark.parametrize("name", ["s" * 200, "größe", "日本語", "a'b\"c;--", "cli:0 2 * * *", "%_\\", "🦆"], ids=ascii)
def test_any_name_is_a_name(store: Store, name: str) -> None:
    world = World(hourly(name), store=store)
    world.turn(0)
    world.turn(60)
    world.turn(120)
    assert world.fires(name) == {60: RUNNING, 120: SKIPPED}
    world.end(name)
    world.turn(121)
    assert world.fires(name) == {60: SUCCEEDED, 120: SKIPPED}
    assert store.get("r00001").origin.parent == name


def test_five_thousand_schedules_are_claimed_settled_and_given_up_in_one_turn_each(store: Store) -> None:
    schedules = [hourly(f"s{number:04}", overlap=Overlap.QUEUE) for number in range(5000)]
    world = World(*schedules, store=store, max_runs=100_000)
    world.turn(0)
    assert len(store.fires.states()) == 5000
    moves = world.turn(60)
    assert len(moves.start) == 5000
    assert len(store.fires.active()) == 5000
    assert {record.status for record in store.runs(RunQuery())} == {RunStatus.STARTING}
    world.turn(120)
    world.schedules.clear()
    world.turn(121)
    assert len(store.fires.fires(FireQuery(statuses=frozenset({RUNNING})))) == 5000
    assert len(store.fires.fires(FireQuery(statuses=frozenset({FireStatus.CANCELLED})))) == 5000
    assert len(ask(store, lambda board: board.known([(made.name, minute(60)) for made in schedules]))) == 5000


def test_the_twins_tell_the_same_story(place: str) -> None:
    def live(store: Store) -> tuple[object, ...]:
        world = World(
            hourly("a", overlap=Overlap.QUEUE, slots={"gpu": 1}),
            hourly("b", catch_up=CatchUp(CatchUpMode.ALL), slots={"gpu": 1}),
            Schedule("c", After("a"), overlap=Overlap.REPLACE),
            Schedule("d", OnData("data"), overlap=Overlap.QUEUE),
            store=store,
        )
        for turn in range(60):
            moves = world.turn(turn * 20, observed={"d": f"v{turn // 7 % 5}"})
            if turn % 11 == 5:
                world.pause("b", "a while")
            if turn % 11 == 8:
                world.resume("b")
            if turn % 17 == 3:
                world.request("a", turn * 20 - 600)
            for begun in moves.start:
                if turn % 3:
                    world.end(begun.schedule, RunStatus.FAILED if turn % 5 == 0 else RunStatus.SUCCEEDED)
        return (*everything(store), store.fires.active())

    store = open_place(place)
    with closing(store.hold()):
        assert live(store) == live(MemoryStore())
    store.close()


# Death and rivals

KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from tests.contract.test_fire_stores import GAP, MESSAGE, STATE, claim, fire, open_place, run, write

store = open_place(sys.argv[1])
if sys.argv[2] == "writing":
    event.listen(store._engine, "commit", lambda _: os.kill(os.getpid(), signal.SIGKILL))
made = fire("s", attempt=1, run_id="r1")
write(store, [made], [run(made)], gaps=[GAP], states={"s": STATE}, messages=[MESSAGE])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["writing", "written"])
def test_a_process_that_is_killed_leaves_all_or_nothing(place: str, when: str) -> None:
    open_place(place).close()
    done = subprocess.run([sys.executable, "-c", KILLED, place, when], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    store = open_place(place)
    found = [len(kept) for kept in (store.fires.fires(FireQuery()), store.fires.gaps(), store.runs(RunQuery()))]
    assert found == ([0, 0, 0] if when == "writing" else [1, 1, 1])
    assert [len(store.fires.states()), len(store.fires.messages())] == found[:2]
    if "://" not in place:
        with closing(sqlite3.connect(Path(place) / "store.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    claim(store, "s" if when == "writing" else "t")  # and nothing is locked
    store.close()


RIVAL = """
import random, sys
from datetime import timedelta
from pathlib import Path
from kit.policies import Overlap
from kit.schedule import Schedule
from kit.triggers import Interval, OnData
from tests.contract.test_fire_stores import open_place
from tests.scheduling import NOON, World

where, how, me = sys.argv[1], sys.argv[2], sys.argv[3]
schedules = [Schedule(f"s{n}", Interval(60), overlap=Overlap.QUEUE) for n in range(10)]
if how == "data":
    schedules = [Schedule("d", OnData("data"), overlap=Overlap.QUEUE)]
world = World(*schedules, store=open_place(where), max_runs=999, new_id=lambda: f"{me}-{random.getrandbits(64):x}")
mine = random.Random(me)
print("ready", flush=True)
sys.stdin.readline()
began = 0
if how == "clock":
    for step in range(21):
        began += len(world.turn(NOON + timedelta(minutes=step)).start)
elif how == "data":
    for number in range(20):
        at = NOON + timedelta(minutes=number, microseconds=int(me[1:]))
        began += len(world.turn(at, observed={"d": f"v{number}"}).start)
else:
    instants = list(range(1, 21))
    for name in mine.sample(sorted(world.schedules), 10):
        mine.shuffle(instants)
        for first in range(0, 20, 4):
            world.request(name, *instants[first : first + 4])
print(began)
"""


def race(place: str, how: str) -> list[int]:
    """Have four processes do the same at once; gives how many runs each of them has to start."""
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", RIVAL, place, how, f"p{number}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
        )
        for number in range(4)
    ]  # fmt: skip
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    ended = [(*rival.communicate(timeout=200), rival.returncode) for rival in rivals]
    assert [(err, code) for _, err, code in ended] == [("", 0)] * 4
    return [int(out) for out, _, _ in ended]


@pytest.mark.parametrize("how", ["clock", "asked"])
def test_rivals_claim_each_instant_once(place: str, how: str) -> None:
    store = open_place(place)
    World(*(Schedule(f"s{number}", Interval(60)) for number in range(10)), store=store).turn(0)
    began = race(place, how)
    fires, runs = store.fires.fires(FireQuery()), store.runs(RunQuery())
    keys: set[FireKey] = {(f"s{number}", minute(at)) for number in range(10) for at in range(1, 21)}
    assert len(fires) == len(runs) == 200
    assert {found.key for found in fires} == keys
    assert {(record.origin.parent, record.origin.scheduled_at) for record in runs} == keys
    assert {record.run_id for record in runs} == {found.run_id for found in fires}
    assert {record.origin.index for record in runs} == {1}
    assert sum(began) == len([found for found in fires if found.status is RUNNING])
    assert store.fires.gaps() == []
    store.close()


def test_versions_that_rivals_see_fire_once_each(place: str) -> None:
    store = open_place(place)
    World(Schedule("d", OnData("data")), store=store).turn(0, observed={"d": "v0"})
    assert sum(race(place, "data")) == 1  # the others wait for it
    fires = store.fires.fires(FireQuery(schedule="d"))
    assert sorted(found.cause or "" for found in fires) == sorted(f"v{number}" for number in range(20))
    assert len(store.runs(RunQuery())) == 19
    store.close()
