"""The thread that sends what a run logs while its task works."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from kit.errors import ServiceError
from kit.paths import RunPaths
from kit.trackers.base import Tracker
from kit.trackers.spool import deliver

__all__ = ["Sender"]

_FORK_WAITS = 1.0
"""Seconds."""
_LOOK_EVERY = 0.1


class Sender:
    """Begins to track, delivers while the task works, and ends; a service that fails is asked again, ever less often.

    Args:
        run: Whose spool.
        tracker: Where to.
        begin: What has to be done first, again after each failure; None if the run is there already.
        patience: For how many seconds nothing may come back before nobody waits for it any longer; None: for ever.
    """

    _PAUSE = 0.5
    _LONGEST_PAUSE = 30.0

    def __init__(
        self,
        run: RunPaths,
        tracker: Tracker,
        *,
        begin: Callable[[], object] | None = None,
        patience: float | None = None,
    ) -> None:
        self._run = run
        self._tracker = tracker
        self._begin = begin
        self._end: Callable[[], None] | None = None
        self._patience = patience
        self._heard = 0
        self._tried = threading.Event()
        self._stop = threading.Event()
        self._over = threading.Event()
        self._busy = threading.Lock()
        self._paused = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="kit-sender", daemon=True)
        # A fork in the middle of a delivery would copy the tracker's locks in a locked state. A server that is slow
        # to answer must not hold up the task, though, so a fork waits for a moment only.
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._after_fork_in_child
        )
        self._thread.start()

    def heard(self) -> None:
        """Something came back: whoever waits goes on waiting."""
        self._heard += 1

    def wait_begun(self) -> bool:
        """Whether the run is there, as soon as that was tried once, or patience is at its end."""
        if self._begin is None:
            return True
        try:
            self._wait(self._tried)
        except ServiceError as error:
            self._error = error
        return self._begin is None

    def why(self) -> BaseException | None:
        """What went wrong last."""
        return self._error

    def finish(self, end: Callable[[], None] | None = None) -> None:
        """Deliver the rest, call `end` in any case, and stop.

        Raises:
            ServiceError: If the tracker does not take it, or does not answer.
        """
        self._end = end
        self._stop.set()
        self._wait(self._over)
        if self._error is not None:
            raise self._error

    def _wait(self, event: threading.Event) -> None:
        heard, since = self._heard, time.monotonic()
        while not event.wait(None if self._patience is None else _LOOK_EVERY):
            if heard != self._heard:
                heard, since = self._heard, time.monotonic()
            elif self._patience is not None and time.monotonic() - since > self._patience:
                raise ServiceError(
                    f"the tracker has not answered for {self._patience:g} s",
                    fix="What was logged is kept, and sent when it is there again: `kit sync`.",
                )

    def _work(self) -> None:
        pause = 0.0 if self._begin is not None else self._PAUSE
        while not self._stop.wait(pause):
            try:
                self._turn()
                pause = self._PAUSE
            except Exception as error:  # noqa: BLE001 - `finish` tries once more, and tells
                self._error = error
                pause = min(max(pause, self._PAUSE) * 2, self._LONGEST_PAUSE)
            self._tried.set()
        self._error = None
        try:
            self._turn_last()
        except BaseException as error:  # noqa: BLE001 - raised by `finish`
            self._error = error
        finally:
            self._tried.set()
            self._over.set()

    def _turn(self) -> None:
        if self._begin is not None:
            with self._busy:
                self._begin()
            self._begin = None
            self.heard()
            self._tried.set()
        deliver(self._run, self._tracker, turn=self._busy, note=self.heard)

    def _turn_last(self) -> None:
        try:
            self._turn()
        finally:
            if self._end is not None and self._begin is None:
                with self._busy:
                    self._end()

    def _before_fork(self) -> None:
        self._paused = threading.current_thread() is not self._thread and self._busy.acquire(timeout=_FORK_WAITS)

    def _after_fork(self) -> None:
        if self._paused:
            self._busy.release()

    def _after_fork_in_child(self) -> None:
        self._stop.set()  # its thread is the parent's, and did not come along
        self._busy = threading.Lock()
