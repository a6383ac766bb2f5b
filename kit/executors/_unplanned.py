"""The end of a run that was claimed and never planned."""

from __future__ import annotations

import contextlib

from kit.errors import KitError
from kit.models import RunRecord
from kit.paths import ProjectPaths
from kit.stores.base import Store

__all__ = ["close_unplanned"]


def close_unplanned(project: ProjectPaths, store: Store, record: RunRecord) -> None:
    """Leave nothing of it but its row and its log. There is nothing that a tracker could be told."""
    from kit import vcs

    run = project.run(record.run_id)
    with contextlib.suppress(OSError, KitError):
        run.request.unlink(missing_ok=True)  # it may hold secrets
        vcs.delete_snapshot(project.root, record.run_id)  # it may have been killed just after that was taken
    store.attach(record.run_id, tracked=True)
