"""The database when others are at it, and when it is let go."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from kit.errors import HostError
from kit.stores.sql import SqlStore
from tests.factories import record, spec


def test_a_store_that_another_process_holds_says_how_to_find_it(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "store.db", lock=tmp_path / "lock", patience=0.01)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HostError, match="database is locked") as caught:
            store.create(spec(), record())
    assert f"fuser {tmp_path / 'store.db'}" in (caught.value.fix or "")
    store.create(spec(), record())
    store.close()


def test_closing_lets_go_of_every_connection(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "store.db", lock=tmp_path / "lock")
    let_go = []
    for name in ("_engine", "_reader"):
        event.listen(getattr(store, name), "engine_disposed", lambda _engine, name=name: let_go.append(name))
    store.close()
    assert let_go == ["_engine", "_reader"]
