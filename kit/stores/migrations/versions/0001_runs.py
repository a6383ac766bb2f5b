"""Runs, their specs, metrics, parameters and tags."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from kit.stores.schema import short

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", short(32), primary_key=True),
        sa.Column("name", short(200), nullable=False),
        sa.Column("project", short(200), nullable=False),
        sa.Column("experiment", short(200), nullable=False),
        sa.Column("task", short(500)),
        sa.Column("status", short(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("commit", short(64)),
        sa.Column("dirty", sa.Boolean, nullable=False),
        sa.Column("seed", sa.BigInteger),
        sa.Column("overrides", sa.Text, nullable=False),
        sa.Column("origin", short(16), nullable=False),
        sa.Column("parent", short(200)),
        sa.Column("trial", sa.Integer),
        sa.Column("scheduled_at", sa.BigInteger),
        sa.Column("note", sa.Text),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("heartbeat_at", sa.BigInteger),
        sa.Column("exit_code", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("mlflow_run_id", short(64)),
        sa.Column("tracked", sa.Boolean, nullable=False),
        sa.Column("starter", sa.Text),
        sa.Column("supervisor", sa.Text),
        sa.Column("process", sa.Text),
    )
    op.create_index("runs_by_creation", "runs", ["created_at"])
    op.create_index("runs_by_status", "runs", ["status", "tracked"])
    op.create_index("runs_by_parent", "runs", ["parent"])
    op.create_index("runs_by_fire", "runs", ["parent", "scheduled_at", "trial"], unique=True)
    op.create_table("specs", _of_run(), sa.Column("spec", sa.Text, nullable=False))
    op.create_table(
        "metrics",
        _of_run(),
        sa.Column("key", short(250), primary_key=True),
        sa.Column("value", sa.Double),
        sa.Column("exact", short(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_index("metrics_by_key", "metrics", ["key", "value"])
    for name in ("params", "tags"):
        op.create_table(
            name,
            _of_run(),
            sa.Column("key", short(250), primary_key=True),
            sa.Column("value", sa.Text, nullable=False),
            sa.Column("position", sa.Integer, nullable=False),
        )


def _of_run() -> sa.Column[str]:
    return sa.Column("run_id", short(32), sa.ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True)
