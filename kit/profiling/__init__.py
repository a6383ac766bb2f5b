"""`kit run --profile`: where a task spends its time, as a flame graph that is kept with the run.

py-spy looks at the task's process from outside a hundred times a second, without stopping it. A process of kit's own
keeps py-spy (`__main__.py`) and makes the picture; it is no child of the task's process, which would otherwise find it
among its children, and outlives it for the moment that the picture takes, however the task ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kit import _pyspy
from kit._process import allow_tracing
from kit.paths import RunPaths

__all__ = ["DONE", "FLAMEGRAPH", "READY", "profiled"]

FLAMEGRAPH = "flamegraph.svg"
READY, DONE = b"ready\n", b"done\n"
"""What the keeper says; anything else is why there will be no picture."""

_STARTING = 20.0
_FINISHING = 30.0
_HURRIED = 5.0
"""Seconds; a run that was asked to stop has ten to do so, by default."""


@contextlib.contextmanager
def profiled(run: RunPaths, source: Path) -> Iterator[None]:
    """Profile what the block does, and what it starts; the picture is there, and logged, when this returns.

    Whatever keeps py-spy from its work is said once, and the block runs without.

    Args:
        run: Whose.
        source: Where the project's own code lies.
    """
    keeper = _start(run, source)
    try:
        yield
    except Exception:
        _finish(keeper, _FINISHING)
        raise
    except BaseException:
        _finish(keeper, _HURRIED)
        raise
    _finish(keeper, _FINISHING)


def _start(run: RunPaths, source: Path) -> socket.socket | None:
    if _pyspy.program() is None:
        _warn(f"py-spy is not installed. {_pyspy.INSTALL}")
        return None
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            allow_tracing(os.getppid())  # also of what the supervisor adopts, as it does the keeper
            command = [sys.executable, "-P", "-m", "kit.profiling", str(run.root), str(source)]
            subprocess.run(
                [*command, str(os.getpid()), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # away from the terminal's Ctrl-C
                check=True,  # it forks, and leaves
            )
        said = _hear(ours, _STARTING)
    except (OSError, subprocess.SubprocessError) as error:
        ours.close()
        _warn(str(error))
        return None
    except BaseException:
        ours.close()
        raise
    if said == READY:
        return ours
    ours.close()
    _warn(said.decode(errors="replace").strip() or "py-spy did not begin in time")
    return None


def _finish(keeper: socket.socket | None, patience: float) -> None:
    if keeper is None:
        return
    with keeper:
        try:
            keeper.sendall(DONE)
        except OSError:
            said = b""
        else:
            said = _hear(keeper, patience)
    if said != DONE:
        _warn(said.decode(errors="replace").strip() or "it was not finished in time")


def _hear(keeper: socket.socket, patience: float) -> bytes:
    """The next line; empty if there is none in time, or nobody to say it any more."""
    keeper.settimeout(patience)
    with contextlib.suppress(OSError), keeper.makefile("rb") as lines:
        return lines.readline()
    return b""


def _warn(why: str) -> None:
    print(f"warning: no flame graph: {why}", file=sys.stderr)  # noqa: T201
