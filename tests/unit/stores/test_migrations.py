"""The database: what migrations make is what the code expects, made once, and a strange one is refused with a fix."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from kit.errors import HostError, UserError
from kit.stores import RunQuery
from kit.stores.engine import _MIGRATIONS, _revision, create_sqlite_engine, upgrade
from kit.stores.fire_tables import fires
from kit.stores.schema import METADATA, REVISION
from kit.stores.sql import SqlStore
from tests.factories import record, row_of_0001, spec


def open_store(folder: Path) -> SqlStore:
    return SqlStore(folder / "store.db", lock=folder / "lock")


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return ScriptDirectory.from_config(config)


def test_the_code_knows_the_last_migration() -> None:
    assert scripts().get_heads() == [REVISION]


def test_migrations_are_one_line_from_nothing() -> None:
    found = list(scripts().walk_revisions())
    assert found[-1].down_revision is None
    assert [script.down_revision for script in found[:-1]] == [script.revision for script in found[1:]]


def test_what_migrations_make_is_what_the_code_expects(tmp_path: Path) -> None:
    upgrade(tmp_path / "store.db", lock=tmp_path / "lock")
    engine = create_sqlite_engine(tmp_path / "store.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = compare_metadata(context, METADATA)
    assert differences == []


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    upgrade(tmp_path / "store.db", lock=tmp_path / "lock")
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("ALTER TABLE runs DROP COLUMN note")
        connection.execute("DROP INDEX runs_by_status")
    engine = create_sqlite_engine(tmp_path / "store.db")
    with engine.connect() as connection_:
        context = MigrationContext.configure(connection_, opts={"compare_type": True})
        assert len(compare_metadata(context, METADATA)) == 2


def test_deleting_a_run_takes_everything_of_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.create(spec("a1", tags={"a": "b"}), record("a1"))
    store.set_metrics("a1", {"auc": 1.0})
    store.delete("a1")
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in METADATA.tables]
    assert counts == [0] * len(METADATA.tables)
    assert {"runs", fires.name} < set(METADATA.tables)


def test_a_store_from_before_schedules_keeps_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr("kit.stores.engine.REVISION", "0001")
        before.setattr("kit.stores.sql.run_row", row_of_0001)
        store = open_store(tmp_path)
        for number in range(30):
            made = replace(record(f"r{number}"), tags={"n": str(number)})
            store.create(spec(f"r{number}", tags=made.tags), made)
        store.set_metrics("r7", {"auc": 0.5})
        store.close()
    assert _revision(tmp_path / "store.db") == "0001"
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'fires'").fetchone() is None

    store = open_store(tmp_path)
    assert _revision(tmp_path / "store.db") == REVISION
    assert len(store.runs(RunQuery())) == 30
    assert store.get("r7") == replace(record("r7"), metrics={"auc": 0.5}, tags={"n": "7"})
    assert store.spec("r7") == spec("r7", tags={"n": "7"})
    assert store.fires.active() == []
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    engine = create_sqlite_engine(tmp_path / "store.db")
    with engine.connect() as connection_:
        assert compare_metadata(MigrationContext.configure(connection_), METADATA) == []


def test_a_fresh_store_waits_for_readers_and_loses_nothing(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    engine = create_sqlite_engine(tmp_path / "store.db")
    with engine.connect() as connection_:
        assert connection_.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection_.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.create(spec("a1"), record("a1"))
    store.close()
    before = (tmp_path / "store.db").stat().st_ino
    assert open_store(tmp_path).get("a1").run_id == "a1"
    assert (tmp_path / "store.db").stat().st_ino == before


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match="newer kit") as caught:
        open_store(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.fix is not None
    assert "Upgrade" in caught.value.fix
    assert "9999" in caught.value.what
    assert _revision(tmp_path / "store.db") == "9999"


def test_a_store_that_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database at all " * 100)
    with pytest.raises(HostError) as caught:
        open_store(tmp_path)
    assert caught.value.exit_code == 3
    assert caught.value.where == str(tmp_path / "store.db")
    assert caught.value.fix is not None
    assert "Move it away" in caught.value.fix


def test_a_store_that_was_cut_off_is_explained(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(50):
        store.create(spec(f"r{number}"), record(f"r{number}"))
    store.close()
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(HostError) as caught:
        open_store(tmp_path).runs(RunQuery())
    assert caught.value.fix is not None


def test_a_store_in_a_folder_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises((HostError, OSError)):
        SqlStore(tmp_path / "gone" / "store.db", lock=tmp_path / "lock")


def test_many_processes_open_a_fresh_store_at_once(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from kit.stores.sql import SqlStore
from tests.factories import record, spec
folder, name = Path({str(tmp_path)!r}), sys.argv[1]
print("ready", flush=True)
sys.stdin.readline()
store = SqlStore(folder / "store.db", lock=folder / "lock")
for number in range(5):
    store.create(spec(f"{{name}}-{{number}}"), record(f"{{name}}-{{number}}"))
"""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"w{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    ended = [(*worker.communicate(timeout=200), worker.returncode) for worker in workers]
    assert [(err, code) for _, err, code in ended] == [("", 0)] * 8
    assert len(open_store(tmp_path).runs(RunQuery())) == 40
