"""A run that an engine has, held by the one who submitted it, or by whoever watches it."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

from kit import _clock
from kit.errors import HostError
from kit.executors.base import Executor
from kit.models import RunRecord
from kit.stores.base import Store

__all__ = ["EngineHandle"]

_POLL = 0.5
_ASK_EVERY = 10.0
_TOLD_WITHIN = 10.0
"""Seconds for which a run that has ended is waited for to have told its tracker."""
_SILENT = timedelta(seconds=15)
"""A copy that lives says so more often."""


class EngineHandle:
    """A submitted run. Losing it changes nothing."""

    def __init__(self, run_id: str, executor: Executor, store: Store) -> None:
        self.run_id = run_id
        self._executor = executor
        self._store = store
        self._asked_to_stop = False
        self._asked = time.monotonic()
        self._ended: float | None = None

    def wait(self, timeout: float | None = None) -> bool:
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while not self._has_ended():
            if (left := end - time.monotonic()) <= 0:
                return False
            time.sleep(min(left, _POLL))
        return True

    def _has_ended(self) -> bool:
        """By its own word, or else by its engine's once it is silent: what to make of that is for `recovery`."""
        record = self._store.get(self.run_id)
        if record.status.is_terminal:
            self._ended = self._ended or time.monotonic()
            told = record.tracked or record.supervisor is None
            return told or time.monotonic() - self._ended > _TOLD_WITHIN
        if time.monotonic() - self._asked < _ASK_EVERY or _is_heard(record):
            return False
        self._asked = time.monotonic()
        with contextlib.suppress(HostError):
            word = self._executor.status([record]).get(self.run_id)
            if word is None or word.outcome is None:
                return False
            return not (word.again and self._executor.again(record, word.job or record.job))
        return False

    def cancel(self, *, at_once: bool = False) -> None:
        if self._asked_to_stop and not at_once:
            return
        self._asked_to_stop = True
        record = self._store.get(self.run_id)
        if not record.status.is_terminal:
            with contextlib.suppress(HostError):
                self._executor.cancel(record, at_once=at_once)

    def detach(self) -> None:
        """It is never attached."""

    def give_up(self) -> None:
        """It goes on."""


def _is_heard(record: RunRecord) -> bool:
    return record.heartbeat_at is not None and _clock.now() - record.heartbeat_at < _SILENT
