"""What some engines do not do for a job, done by the job itself: hear that its run is cancelled, and keep its time.

A thread of the supervising process, which sends that process the signals that another engine would.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

from kit.paths import RunPaths

__all__ = ["AT_ONCE", "POLITELY", "listen"]

POLITELY, AT_ONCE = "cancelled on request", "cancelled on request, at once"
"""What is written into the run's file `cancelled`."""
_LOOK = 0.5


def listen(run: RunPaths, *, stop_after: float | None = None) -> None:
    """Begin to: SIGTERM once if the run is to be cancelled, and again if at once; SIGUSR1 after so many seconds."""
    until = float("inf") if stop_after is None else time.monotonic() + stop_after
    threading.Thread(target=_listen, args=(run, until), name="kit-listening", daemon=True).start()


def _listen(run: RunPaths, until: float) -> None:
    told = False
    pause = threading.Event()
    while not pause.wait(_LOOK):
        said = _said(run)
        if said == AT_ONCE or (said is not None and not told):
            told = True
            os.kill(os.getpid(), signal.SIGTERM)
        if time.monotonic() >= until:
            until = float("inf")
            os.kill(os.getpid(), signal.SIGUSR1)


def _said(run: RunPaths) -> str | None:
    with contextlib.suppress(OSError):
        return run.cancelled.read_text()
    return None
