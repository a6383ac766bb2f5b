"""A copy of a run holds a lease: it says that it lives, and ends when it is not the last copy, or cannot say so."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kit import _clock
from kit._process import ProcessId
from kit.executors import _copies
from kit.paths import RunPaths
from kit.stores.base import Store

__all__ = ["LEASE_SECONDS", "Lease"]

LEASE_SECONDS = 120.0
"""A copy that could not say so long that it lives has ended by then: the next one, which cannot see it, may begin."""


@dataclass(slots=True)
class Lease:
    """That of one copy.

    Attributes:
        run: The run's own folder, which is not the copy's.
        by_signal: Whether SIGTERM means that the run is cancelled, and not just that the job is to make room.
        until: When it runs out, on this process's own clock.
    """

    run: RunPaths
    token: int
    by_signal: bool = False
    until: float = field(default_factory=lambda: time.monotonic() + LEASE_SECONDS)

    def is_held(self, store: Store, process: ProcessId | None) -> bool:
        """Say that the copy lives; False if it may not go on.

        Raises:
            KitError: If the store cannot be asked now.
        """
        asked = time.monotonic()
        if not store.beat(self.run.root.name, self.token, at=_clock.now(), process=process):
            return False
        self.until = asked + LEASE_SECONDS
        _copies.show(self.run, self.token)  # a copy from before may have woken, and shown itself
        return True

    def is_held_quietly(self, store: Store) -> bool:
        """As `is_held`, before there is anything to show."""
        return store.beat(self.run.root.name, self.token, at=_clock.now())

    def has_run_out(self) -> bool:
        return time.monotonic() >= self.until

    def means_cancel(self, *, asked: bool) -> bool:
        """Whether a signal that came, SIGTERM if it was `asked` to stop, means that the run is cancelled."""
        return self.is_cancelled or (asked and self.by_signal)

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has asked that the run be cancelled, and not just the job be stopped."""
        return self.run.cancelled.exists()
