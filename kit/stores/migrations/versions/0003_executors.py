"""Where a run is executed, what the engine there calls it, and how many copies of it there were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from kit.stores.schema import short

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("runs", sa.Column("executor", short(100)))
    op.add_column("runs", sa.Column("job", short(200)))
    op.add_column("runs", sa.Column("token", sa.Integer))
