"""Starting a project's forkserver: behind a command that has begun, which does not wait for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from kit._seeding import HASH_SEED
from kit.forkserver import _child, _client
from kit.forkserver._identity import with_defaults
from kit.forkserver._preload import LEARNED, learn

__all__ = ["ROOM", "remember", "start"]

ROOM = "KIT_FORKSERVER_ROOM"
"""Means nothing: its place in memory is where the children of a server show their own environment."""


_started: list[subprocess.Popen[bytes]] = []
"""Held, since one that nobody waits for must not stay a zombie of a process that lives long."""


def start(root: Path) -> None:
    """Start one, unless one could not be of use. Whether one is there already it finds out itself.

    What prevents it is in its log: the run that this was for has nothing to do with it.
    """
    if _client.unsuited() is not None or any(one.poll() is None for one in _started):
        return
    folder = Path(_client.folder_of(str(root)))
    environment = with_defaults(dict(os.environ)) | {
        "PYTHONHASHSEED": str(HASH_SEED),
        "PYTHONUNBUFFERED": "1",
        ROOM: " " * _child.PADDING,
    }
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / f"{_client.own_name()}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kit._forkserver", str(root), " " * _child.PADDING],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=root,
                env=environment,
                start_new_session=True,
            )
        _started[:] = [process]


def remember(root: Path) -> None:
    """Note what this process has imported, for the next server to have it."""
    with contextlib.suppress(OSError):
        folder = Path(_client.folder_of(str(root)))
        folder.mkdir(mode=0o700, exist_ok=True)
        learn(folder / LEARNED, root)
