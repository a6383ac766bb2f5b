"""Fires, gaps, schedules' states, schedulers and messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from kit.stores.schema import short

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "fires",
        sa.Column("schedule", short(200), primary_key=True),
        sa.Column("scheduled_at", sa.BigInteger, primary_key=True),
        sa.Column("status", short(16), nullable=False),
        sa.Column("origin", short(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("requested", sa.Boolean, nullable=False),
        sa.Column("cause", short(200)),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("uncounted", sa.Integer, nullable=False),
        sa.Column("run_id", short(32)),
        sa.Column("stopping", sa.Text),
        sa.Column("followed", sa.Boolean, nullable=False),
        sa.Column("slots", sa.Text, nullable=False),
    )
    op.create_index("fires_by_status", "fires", ["status", "followed"])
    op.create_index("fires_by_instant", "fires", ["scheduled_at"])
    op.create_index("fires_by_cause", "fires", ["schedule", "cause"], unique=True)
    op.create_table(
        "gaps",
        sa.Column("gap_id", sa.Integer, primary_key=True),
        sa.Column("schedule", short(200), nullable=False),
        sa.Column("status", short(16), nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("noted_at", sa.BigInteger, nullable=False),
    )
    op.create_index("gaps_by_schedule", "gaps", ["schedule", "last"])
    op.create_table(
        "schedules",
        sa.Column("schedule", short(200), primary_key=True),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("paused_at", sa.BigInteger),
        sa.Column("paused_why", sa.Text),
        sa.Column("alerts", sa.Text, nullable=False),
    )
    op.create_table(
        "schedulers",
        sa.Column("scheduler_id", short(32), primary_key=True),
        sa.Column("scope", short(200), nullable=False),
        sa.Column("host", short(200), nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger, nullable=False),
        sa.Column("stopped_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
    )
    op.create_table(
        "messages",
        sa.Column("entry_id", short(32), primary_key=True),
        sa.Column("schedule", short(200)),
        sa.Column("kind", short(16), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.BigInteger),
        sa.Column("sent_at", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("taken", sa.Text, nullable=False),
    )
    op.create_index("messages_by_next_try", "messages", ["next_try_at"])
