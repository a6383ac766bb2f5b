"""What schedules ask of the database stays quick when years of fires lie in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from kit.board import Board, Moves
from kit.fires import Fire, FireKey, FireOrigin, FireQuery
from kit.policies import Overlap
from kit.schedule import Schedule
from kit.states import FireStatus
from kit.stores.sql import SqlStore
from kit.triggers import After, OnData
from tests.scheduling import NOON, World, hourly, minute

STATUSES = frozenset({FireStatus.PENDING})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = SqlStore(tmp_path / "store.db", lock=tmp_path / "lock")
    yield made
    made.close()


def asked(store: SqlStore) -> list[tuple[str, Sequence[Any]]]:
    """Everything that the database is asked from now on."""
    heard: list[tuple[str, Sequence[Any]]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        heard.extend((statement, each) for each in (parameters[:1] if many else [parameters]))

    for engine in (store._engine, store._reader):
        event.listen(engine, "before_cursor_execute", hear)
    return heard


def read_whole(path: Path, heard: Sequence[tuple[str, Sequence[Any]]]) -> list[str]:
    """The statements for which SQLite goes through all fires or all runs."""
    found = []
    with closing(sqlite3.connect(path)) as connection:
        for statement, parameters in heard:
            if not statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                continue
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            if any(step in {"SCAN fires", "SCAN runs"} for step in plan):
                found.append(" ".join(statement.split()))
    return found


def test_no_turn_reads_all_fires_there_are(store: SqlStore, tmp_path: Path) -> None:
    world = World(
        hourly("a", overlap=Overlap.QUEUE),
        hourly("b", overlap=Overlap.REPLACE),
        Schedule("c", After("a")),
        Schedule("d", OnData("data")),
        store=store,
    )
    heard = asked(store)
    for turn in range(8):
        moves = world.turn(turn * 50, observed={"d": f"v{turn}"})
        store.fires.has_work(world.now)
        for fire in moves.start:
            world.end(fire.schedule)
    world.request("a", -60, -120)
    world.pause("b")
    del world.schedules["a"]
    world.turn(500)
    store.fires.fire(("a", NOON))
    assert len(heard) > 100
    assert read_whole(tmp_path / "store.db", heard) == []


@pytest.mark.parametrize(
    "question",
    [
        FireQuery(limit=5),
        FireQuery(schedule="a", limit=5),
        FireQuery(statuses=STATUSES),
        FireQuery(schedule="a", statuses=STATUSES, since=NOON, until=minute(5)),
        FireQuery(since=minute(5)),
    ],
    ids=str,
)
def test_no_question_reads_all_fires_there_are(store: SqlStore, tmp_path: Path, question: FireQuery) -> None:
    heard = asked(store)
    store.fires.fires(question)
    store.fires.latest(3)
    store.fires.latest(3, STATUSES)
    store.fires.gaps("a", limit=3)
    assert len([words for words, _ in heard if words.startswith("SELECT")]) == 4
    assert read_whole(tmp_path / "store.db", heard) == []


@pytest.mark.parametrize(
    "keys",
    [
        [(f"s{number}", minute(0)) for number in range(3)],
        [("s0", minute(at)) for at in range(3)],
        [(f"s{number}", minute(at)) for number in range(3) for at in range(2)],
        [(f"s{number}", minute(number)) for number in range(401)],
        [(f"s{number}", minute(number % 7)) for number in range(1000)],
        [(f"s{number % 7}", minute(number)) for number in range(1000)],
    ],
    ids=["one instant", "one schedule", "a few", "all different", "many schedules", "many instants"],
)
def test_fires_are_known_by_their_keys_however_many(store: SqlStore, tmp_path: Path, keys: list[FireKey]) -> None:
    there = {key: Fire(*key, FireStatus.SKIPPED, FireOrigin.CLOCK, NOON, NOON, reason="busy") for key in keys[::2]}
    store.fires.act(lambda _: Moves(NOON, fires=there))
    heard = asked(store)
    answers: list[Mapping[FireKey, Fire]] = []

    def look(board: Board) -> Moves:
        answers.append(board.known([*keys, ("other", minute(0))]))
        return Moves(NOON)

    store.fires.act(look)
    assert answers == [there]
    assert read_whole(tmp_path / "store.db", heard) == []
