"""What a run asks of its supervisor; a run without one, as in tests, does without."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

from kit.executors.base import ADOPT, FLUSH, HAND_OVER

__all__ = ["adopt_limits", "flush_console", "hand_over"]


def flush_console() -> None:
    """Have everything printed so far in the log."""
    sys.stdout.flush()
    sys.stderr.flush()
    _ask(FLUSH)


def adopt_limits() -> None:
    """Have it keep the limits that `launch.json` holds by now."""
    _ask(ADOPT)


def hand_over() -> None:
    """Have it give the run to its engine when this process has ended."""
    _ask(HAND_OVER)


def _ask(what: bytes) -> None:
    """Ask, and wait until it is done."""
    descriptor = os.environ.get("KIT_CONTROL_FD")
    if descriptor is None:
        return
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(descriptor))) as control:
        control.settimeout(10)
        control.send(what)
        control.recv(1)
