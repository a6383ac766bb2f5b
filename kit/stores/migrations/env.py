"""Run kit's migrations on the connection that `kit.stores.engine` hands over."""

from __future__ import annotations

from alembic import context

from kit.stores.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
