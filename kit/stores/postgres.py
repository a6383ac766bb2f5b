"""The store on a PostgreSQL server, for hosts that share it.

What holds for SQLite holds here, by the same means: whoever writes takes one lock when the transaction begins, and
keeps it until it is over; who reads sees one state of everything, and waits for nobody. One project has one schema.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateSchema

from kit.errors import HostError
from kit.stores.base import Held
from kit.stores.database import Database
from kit.stores.engine import migrate, refuse_newer
from kit.stores.schema import REVISION
from kit.stores.servers import Interrupted, Server, explain

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresDatabase", "open_postgres", "schema_of"]

Result = TypeVar("Result")

_BUSY_SECONDS = 60.0
_FIRST_SECONDS = 10.0
"""For how long a server is tried that never answered: whoever mistyped its name waits for that."""
_PAUSES = (0.05, 2.0)
_IDLE_SECONDS = 30
"""After how long the server gives up a transaction whose process is cut off or stopped; until then nobody writes."""
_LONGEST_SILENCE = 20
_LONGEST_NAME = 63
_STATEMENT, _MARK = "kit_statement", "kit_mark"
"""Options of a connection: what it begins with."""

_BEGIN = (
    "SELECT set_config('search_path', {path}, true), set_config('idle_in_transaction_session_timeout', '{idle}s', true)"
)
# The lock is taken while the statement runs, so its patience is set before: columns are computed from left to right.
# What comes next sees all that was committed until then, since in READ COMMITTED each statement looks anew.
_LOCK = ", set_config('lock_timeout', '{milliseconds}', true), pg_advisory_xact_lock({key})"
_LEAVE_MARK = """
WITH old AS (DELETE FROM {schema}.commits WHERE at < now() - INTERVAL '1 day'),
new AS (INSERT INTO {schema}.commits (mark) VALUES ('{mark}'))
"""
_FIND_SCHEMA = "SELECT 1 FROM pg_namespace WHERE nspname = :name"
_FIND_MARK = "SELECT 1 FROM commits WHERE mark = :mark"
_MARKS = (
    "CREATE TABLE commits (mark TEXT PRIMARY KEY, at TIMESTAMPTZ NOT NULL DEFAULT now())",
    "CREATE INDEX commits_by_instant ON commits (at)",
)
"""Each transaction leaves a mark, by which it is found out whether it was committed when its answer was lost."""


def schema_of(project: str) -> str:
    """What the schema is called that a project's tables lie in."""
    name = f"kit_{project}"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return f"{name.encode()[:46].decode(errors='ignore')}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def open_postgres(server: Server, project: str, *, patience: float | None = None) -> PostgresDatabase:
    """The store of a project on this server, made or brought up to date.

    Args:
        patience: Seconds to wait for whoever else writes, and for a server that is not there; None for as long as is
            usual.

    Raises:
        UserError: If a newer kit wrote it.
        HostError: If the driver is not installed.
        ServerFailed: If the server is not there, or does not do it.
    """
    database = PostgresDatabase(server, schema_of(project), patience=patience)
    database.upgrade()
    return database


class PostgresDatabase(Database):
    """A schema on a server.

    A connection is there as long as a transaction, so that a hundred runs need few of them and nothing that is forked
    has one to share; who holds the store keeps one.
    """

    def __init__(self, server: Server, schema: str, *, patience: float | None = None) -> None:
        self.server = server
        self.schema = schema
        self._patience = patience
        self._kept = _connect(server, _seconds(patience))
        milliseconds = round((_BUSY_SECONDS if patience is None else patience) * 1000)
        begin = _BEGIN.format(path=_literal(_quoted(schema)), idle=_IDLE_SECONDS)
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True, _STATEMENT: begin}
        reader = self._kept.engine.execution_options(**options)
        begin += _LOCK.format(key=_key(schema), milliseconds=milliseconds)
        options = {"isolation_level": "READ COMMITTED", _STATEMENT: begin}
        super().__init__(self._kept.engine.execution_options(**options), reader)

    def upgrade(self) -> None:
        """Make the tables, or bring them to this version; at once when they are there already.

        Raises:
            UserError: If a newer kit wrote them.
            ServerFailed: If the server does not do it.
        """
        if self.schema not in self._kept.known:
            self.repeated(self._upgrade)
            self._kept.known.add(self.schema)

    def _upgrade(self) -> None:
        with self.reading() as connection:
            if _revision(connection) == REVISION:
                return
        with self.engine.begin() as connection:  # whoever came first has made them by now
            if (found := _revision(connection)) == REVISION:
                return
            refuse_newer(found, where=self.server.shown)
            if connection.execute(text(_FIND_SCHEMA), {"name": self.schema}).first() is None:
                connection.execute(CreateSchema(self.schema))
            if found is None:
                for statement in _MARKS:
                    connection.execute(text(statement))
            migrate(connection)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """As every database does, and sure of the end also where the server's answer to the commit was lost."""
        mark, committing = secrets.token_hex(16), False
        leave = _LEAVE_MARK.format(schema=_quoted(self.schema), mark=mark)
        try:
            with self.engine.connect().execution_options(**{_MARK: leave}) as connection:
                connection.begin()
                yield connection
                committing = True
                connection.commit()
        except Interrupted:
            if not committing or not self._is_there(mark):
                raise

    def _is_there(self, mark: str) -> bool:
        """Whether a transaction that ended in the dark was committed; it is over when its lock can be had."""

        def look() -> bool:
            with self.engine.begin() as connection:
                return connection.execute(text(_FIND_MARK), {"mark": mark}).first() is not None

        return self.repeated(look)

    def repeated(self, work: Callable[[], Result]) -> Result:
        """Do it until the server does its part, or patience is at its end."""
        pause, longest = _PAUSES
        begun = time.monotonic()
        while True:
            try:
                done = work()
            except Interrupted:
                if time.monotonic() + pause - begun > self._bears():
                    raise
                time.sleep(pause)
                pause = min(pause * 2, longest)
            else:
                self._kept.answered = True
                return done

    def _bears(self) -> float:
        if self._patience is not None:
            return self._patience
        return _BUSY_SECONDS if self._kept.answered else _FIRST_SECONDS

    def hold(self) -> Held:
        return self._kept.hold()

    def close(self) -> None:
        self._kept.engine.dispose()


class _Kept:
    """The engine of a server, and whether its connection is kept between transactions.

    Attributes:
        answered: Whether the server ever did what it was asked.
        known: Schemas that are up to date.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.answered = False
        self.known: set[str] = set()
        self._holders = 0
        event.listen(engine, "checkin", self._on_checkin)

    def hold(self) -> Held:
        self._holders += 1
        return _Holder(self)

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            self.engine.dispose()

    def _on_checkin(self, _connection: object, entry: Any) -> None:  # noqa: ANN401
        if not self._holders:
            entry.close()


class _Holder:
    def __init__(self, kept: _Kept) -> None:
        self._kept: _Kept | None = kept

    def close(self) -> None:
        if self._kept is not None:
            self._kept.release()
        self._kept = None


@lru_cache(maxsize=8)
def _connect(server: Server, seconds: int) -> _Kept:
    """An engine that has no connection yet. What a process has compiled of its statements stays with it."""
    try:
        import psycopg
    except ImportError as error:
        fix = "Install it: `uv add 'mlekit[postgres]'`, or `pip install 'mlekit[postgres]'`."
        raise HostError("the driver for PostgreSQL is not installed (psycopg)", where="KIT_STORE", fix=fix) from error
    url = make_url(server.url).set(drivername="postgresql+psycopg")
    silence = {
        "connect_timeout": seconds,
        "tcp_user_timeout": seconds * 1000,
        "keepalives_idle": max(1, seconds // 2),
        "keepalives_interval": max(1, seconds // 4),
        "keepalives_count": 2,
    }
    own = {**silence, "application_name": "kit"}
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=-1,
        use_native_hstore=False,  # looking for it is a question more for each connection
        connect_args={**{key: value for key, value in own.items() if key not in url.query}, "prepare_threshold": None},
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.adapters.register_dumper(str, _text_dumper())

    @event.listens_for(engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.IntegrityError):
            raise explain(error, server) from error

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        statement = options.get(_MARK, "") + options[_STATEMENT]
        connection.exec_driver_sql(statement.replace("%", "%%"))  # the driver would look for values there

    _forked.add(engine)
    return _Kept(engine)


def _revision(connection: Connection) -> str | None:
    """Which migration the schema is at; None for one that is not there or has no tables yet."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _seconds(patience: float | None) -> int:
    """How long a server may say nothing; the least that the driver knows is two."""
    return max(2, min(_LONGEST_SILENCE, math.ceil(_LONGEST_SILENCE if patience is None else patience)))


def _key(schema: str) -> int:
    return int.from_bytes(hashlib.sha256(f"kit store {schema}".encode()).digest()[:8], signed=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@lru_cache
def _text_dumper() -> type[Any]:
    """How texts are sent: the one character that SQLite keeps and PostgreSQL does not is replaced."""
    from psycopg.types.string import StrDumper

    class Text(StrDumper):
        def dump(self, obj: str) -> Any:  # noqa: ANN401
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    return Text


_forked: weakref.WeakSet[Engine] = weakref.WeakSet()
_left: list[object] = []


def _after_fork() -> None:
    """A connection belongs to the process that opened it; a child has its own."""
    for engine in list(_forked):
        _left.append(engine.pool)  # what is forgotten would be closed, and say so
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_after_fork)
