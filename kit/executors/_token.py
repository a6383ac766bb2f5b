"""Whose a run is: one supervisor's, or that of who gives it up before there is one. It is taken once and for ever."""

from __future__ import annotations

import contextlib
import os

import msgspec

from kit._process import ProcessId
from kit.models import from_json, to_json
from kit.paths import RunPaths

__all__ = ["take", "taken_by"]


def take(run: RunPaths, supervisor: ProcessId | None = None) -> bool:
    """Take the run; False if somebody has.

    Args:
        run: Its folder, made if need be.
        supervisor: Who sees to it from now on; None if nobody does, since it is given up.

    Raises:
        OSError: If the disk refuses.
    """
    run.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(run.taken, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            if supervisor is not None:
                file.write(to_json(supervisor))
    except OSError:
        run.taken.unlink()  # a full disk has room for the name alone; nobody has the run
        raise
    return True


def taken_by(run: RunPaths) -> ProcessId | None:
    """The supervisor that took it; None if nobody did, or gave it up, or had no time to say its name."""
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        return from_json(run.taken.read_bytes(), ProcessId)
    return None
