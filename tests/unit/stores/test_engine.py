"""The database when others are at it, and when it is let go."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from kit._process import this_process
from kit.errors import HostError
from kit.stores.sql import SqlStore
from tests.factories import INSTANT, record, spec


def test_a_store_that_another_process_holds_says_how_to_find_it(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "store.db", lock=tmp_path / "lock", patience=0.01)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HostError, match="database is locked") as caught:
            store.create(spec(), record())
    assert f"fuser {tmp_path / 'store.db'}" in (caught.value.fix or "")
    store.create(spec(), record())
    store.close()


def test_ctrl_c_within_a_transaction_keeps_nobody_waiting(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "store.db", lock=tmp_path / "lock", patience=0.01)
    store.create(spec(), record())

    def interrupt(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            signal.raise_signal(signal.SIGINT)

    event.listen(store._engine, "after_cursor_execute", interrupt)
    with pytest.raises(KeyboardInterrupt) as stopped:
        store.lease("abc123", at=INSTANT, holder=this_process())
    assert stopped.tb is not None, "whoever acts on it has it, and with it what it came into"
    event.remove(store._engine, "after_cursor_execute", interrupt)
    store.set_params("abc123", {"a": "1"})
    store.close()


def test_closing_lets_go_of_every_connection(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "store.db", lock=tmp_path / "lock")
    let_go = []
    for name in ("_engine", "_reader"):
        event.listen(getattr(store, name), "engine_disposed", lambda _engine, name=name: let_go.append(name))
    store.close()
    assert let_go == ["_engine", "_reader"]
