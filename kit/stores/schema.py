"""The tables, as SQLAlchemy sees them. Alembic's migrations bring a database to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

__all__ = ["METADATA", "REVISION", "Instant", "metrics", "params", "runs", "short", "specs", "tags"]

REVISION = "0003"
"""The migration that brings a database to these tables."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware instant, as microseconds since the epoch: sorts as it should in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else _microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002, ANN401
        return None if value is None else _EPOCH + value * _MICROSECOND


# Ten thousand fires of one second have few instants.
@lru_cache(maxsize=1024)
def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def short(length: int) -> String:
    """A text that things are found and sorted by: in PostgreSQL by its bytes and of any length, as it is in SQLite."""
    return String(length).with_variant(Text(collation="C"), "postgresql")


METADATA = MetaData()

runs = Table(
    "runs",
    METADATA,
    Column("run_id", short(32), primary_key=True),
    Column("name", short(200), nullable=False),
    Column("project", short(200), nullable=False),
    Column("experiment", short(200), nullable=False),
    Column("task", short(500)),
    Column("status", short(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("commit", short(64)),
    Column("dirty", Boolean, nullable=False),
    Column("seed", BigInteger),
    Column("overrides", Text, nullable=False),
    Column("origin", short(16), nullable=False),
    Column("parent", short(200)),
    Column("trial", Integer),
    Column("scheduled_at", Instant),
    Column("note", Text),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("heartbeat_at", Instant),
    Column("exit_code", Integer),
    Column("reason", Text),
    Column("mlflow_run_id", short(64)),
    Column("tracked", Boolean, nullable=False),
    Column("starter", Text),
    Column("supervisor", Text),
    Column("process", Text),
    Column("executor", short(100)),
    Column("job", short(200)),
    Column("token", Integer),
    Index("runs_by_creation", "created_at"),
    Index("runs_by_status", "status", "tracked"),
    Index("runs_by_parent", "parent"),
    # A schedule's fire has each of its attempts once; only its runs have an instant.
    Index("runs_by_fire", "parent", "scheduled_at", "trial", unique=True),
)


def _of_run() -> Column[str]:
    return Column("run_id", short(32), ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True)


def _position() -> Column[int]:
    """Keeps the order in which things were said: the task's first metric is the one it cares for most."""
    return Column("position", Integer, nullable=False)


specs = Table("specs", METADATA, _of_run(), Column("spec", Text, nullable=False))

metrics = Table(
    "metrics",
    METADATA,
    _of_run(),
    Column("key", short(250), primary_key=True),
    # A float's own text beside the number: SQLite turns NaN into NULL, PostgreSQL does not take part in that.
    Column("value", Double),
    Column("exact", short(32), nullable=False),
    _position(),
    Index("metrics_by_key", "key", "value"),
)

params = Table(
    "params",
    METADATA,
    _of_run(),
    Column("key", short(250), primary_key=True),
    Column("value", Text, nullable=False),
    _position(),
)

tags = Table(
    "tags",
    METADATA,
    _of_run(),
    Column("key", short(250), primary_key=True),
    Column("value", Text, nullable=False),
    _position(),
)
