"""The tables of schedules, as SQLAlchemy sees them; they lie beside those of runs."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text

from kit.stores.schema import METADATA, Instant, short

__all__ = ["fires", "gaps", "messages", "schedulers", "schedules"]

fires = Table(
    "fires",
    METADATA,
    Column("schedule", short(200), primary_key=True),
    Column("scheduled_at", Instant, primary_key=True),
    Column("status", short(16), nullable=False),
    Column("origin", short(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("requested", Boolean, nullable=False),
    Column("cause", short(200)),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("reason", Text),
    Column("attempt", Integer, nullable=False),
    Column("uncounted", Integer, nullable=False),
    Column("run_id", short(32)),
    Column("stopping", Text),
    Column("followed", Boolean, nullable=False),
    Column("slots", Text, nullable=False),
    Index("fires_by_status", "status", "followed"),
    Index("fires_by_instant", "scheduled_at"),
    # A version of the data makes a schedule fire once, whoever sees it.
    Index("fires_by_cause", "schedule", "cause", unique=True),
)

gaps = Table(
    "gaps",
    METADATA,
    Column("gap_id", Integer, primary_key=True),
    Column("schedule", short(200), nullable=False),
    Column("status", short(16), nullable=False),
    Column("first", Instant, nullable=False),
    Column("last", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("noted_at", Instant, nullable=False),
    Index("gaps_by_schedule", "schedule", "last"),
)

schedules = Table(
    "schedules",
    METADATA,
    Column("schedule", short(200), primary_key=True),
    Column("trigger", Text, nullable=False),
    Column("cursor", Instant, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("paused_at", Instant),
    Column("paused_why", Text),
    Column("alerts", Text, nullable=False),
)

schedulers = Table(
    "schedulers",
    METADATA,
    Column("scheduler_id", short(32), primary_key=True),
    Column("scope", short(200), nullable=False),
    Column("host", short(200), nullable=False),
    Column("process", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("heartbeat_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("reason", Text),
)

messages = Table(
    "messages",
    METADATA,
    Column("entry_id", short(32), primary_key=True),
    Column("schedule", short(200)),
    Column("kind", short(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try_at", Instant),
    Column("sent_at", Instant),
    Column("error", Text),
    Column("taken", Text, nullable=False),
    Index("messages_by_next_try", "next_try_at"),
)
