"""How the database is opened, made and brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.pool import NullPool

from kit.errors import HostError, UserError
from kit.stores.base import DamagedStore
from kit.stores.schema import REVISION

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["create_sqlite_engine", "migrate", "refuse_newer", "upgrade"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 60
_PATIENCE = "patience"


def create_sqlite_engine(path: Path, *, writes: bool = True, patience: float | None = None) -> Engine:
    """An engine whose transactions, if it `writes`, take the write lock when they begin.

    A transaction that reads first and writes later cannot wait for the lock in SQLite, it fails; so every one asks
    for it at once and waits its turn. Connections are not kept: a process that forks has none to share. What a process
    has compiled of its statements it keeps, for whoever opens the same database again, and for those forked from it.
    """
    return _engine(path, writes=writes).execution_options(
        **{_PATIENCE: _BUSY_SECONDS if patience is None else patience}
    )


@lru_cache(maxsize=8)
def _engine(path: Path, *, writes: bool) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401
        connection.isolation_level = None  # transactions are ours, below
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, KeyboardInterrupt):
            # SQLAlchemy gives such a connection up as broken, its cursor still open: the lock then stays for as long as
            # somebody has the traceback, who may be about to write what the interrupt means.
            context.is_disconnect = False
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.IntegrityError):
            raise _unusable(path, str(error)) from error

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:  # noqa: ANN401
        milliseconds = round(connection.get_execution_options()[_PATIENCE] * 1000)
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {milliseconds}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def upgrade(path: Path, *, lock: Path) -> None:
    """Make the database at `path`, or bring it to this version's tables; at once when it is there already.

    Raises:
        UserError: If a newer kit wrote it.
        HostError: If it cannot be opened, read or written, or is damaged.
    """
    with _explained(path):
        if _revision(path) == REVISION:
            return
        import filelock

        with filelock.FileLock(lock):
            _migrate(path)


def _migrate(path: Path) -> None:
    found = _revision(path)
    if found == REVISION:
        return
    refuse_newer(found, where=str(path))
    if found is None:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    engine = create_sqlite_engine(path)
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()


def refuse_newer(found: str | None, *, where: str) -> None:
    """See that the migration that a database is at is one of this kit's.

    Raises:
        UserError: If it is not.
    """
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise UserError(
            f"this project's run store was written by a newer kit (schema {found}, this one knows {REVISION})",
            where=where,
            fix="Upgrade with `uv lock --upgrade-package mlekit && uv sync`, or `pip install --upgrade mlekit`.",
        )


def migrate(connection: Connection) -> None:
    """Bring a database to this version's tables, within a transaction."""
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _revision(path: Path) -> str | None:
    """Which migration the database is at; None for one that is not there or has no tables yet."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into what the user can do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _unusable(path, str(error)) from error


def _unusable(path: Path, said: str) -> HostError:
    fix = "Check the disk's free space, that the folder can be written, and who owns it."
    if "malformed" in said or "not a database" in said:
        fix = f"Move it away and start a new one: `mv {path} {path}.damaged` (MLflow keeps its own record)."
        return DamagedStore(f"the run store is damaged: {said}", where=str(path), fix=fix)
    if "locked" in said:
        fix = f"Another process holds it: find it with `fuser {path}` or `lsof {path}`, then run the command again."
    return HostError(f"the run store cannot be used: {said}", where=str(path), fix=fix)
