"""The process that keeps py-spy while a task runs, and makes the picture.

    python -P -m kit.profiling RUN_FOLDER SOURCE PID CONTROL_FD

It leaves its parent at once, and takes no signal but the last: what ends a run ends this process a moment later.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kit import _pyspy
from kit.paths import RunPaths
from kit.profiling import DONE, FLAMEGRAPH, READY

__all__ = ["main"]

_RATE = 100
"""Looks a second."""
_BEGUN = b"Sampling process"
"""What py-spy says when it has found its way into the process."""
_PERMISSION = "Where processes may not be traced, as in some containers, it needs CAP_SYS_PTRACE."
_BEGINNING = 15.0
_WRITING = 20.0
"""Seconds."""


def main(run: RunPaths, source: Path, pid: int, control: socket.socket) -> None:
    """Keep py-spy until the task is done, or its process is gone."""
    # Without a name: what py-spy writes has the command lines of processes, and whoever is killed leaves none of it.
    with tempfile.TemporaryFile(dir=run.root) as stacks:
        spy = subprocess.Popen(
            [
                *(str(_pyspy.program()), "record", "--pid", str(pid), "--subprocesses", "--rate", str(_RATE)),
                # A process that is stopped a hundred times a second is another one; and were py-spy killed just then,
                # it would stay stopped.
                "--nonblocking",
                *("--full-filenames", "--format", "raw", "--output", f"/dev/fd/{stacks.fileno()}"),
            ],
            pass_fds=(stacks.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        began = time.time()
        said = _wait_until_begun(spy)
        if _BEGUN not in said:
            spy.kill()
            _say(control, _reason(said).encode() + b"\n")
            return
        _say(control, READY)
        _wait_for_end(spy, control)
        seconds = time.time() - began
        _stop(spy)
        try:
            stacks.seek(0)
            _draw(run, source, pid, stacks.read().decode(errors="replace"), seconds)
        except (OSError, ValueError) as error:
            _say(control, f"{error}\n".encode())
        else:
            _say(control, DONE)


def _wait_until_begun(spy: subprocess.Popen[bytes]) -> bytes:
    """What py-spy says until it begins, or gives up."""
    out = _output(spy)
    said, end = b"", time.monotonic() + _BEGINNING
    while _BEGUN not in said and select.select([out], [], [], max(0.0, end - time.monotonic()))[0]:
        more = os.read(out, 1 << 16)
        if not more:
            break
        said += more
    return said


def _output(spy: subprocess.Popen[bytes]) -> int:
    if spy.stdout is None:
        raise ValueError("py-spy was started without a pipe")
    return spy.stdout.fileno()


def _reason(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("Error:", "Reason:"))), lines[0] if lines else "no reason")
    return f"py-spy cannot look into the run: {told.removeprefix('Error:').strip()}. {_PERMISSION}"


def _wait_for_end(spy: subprocess.Popen[bytes], control: socket.socket) -> None:
    """Until the task is done, or the other end is closed, or py-spy has ended with the process; its words are read."""
    out = _output(spy)
    while True:
        ready = select.select([control.fileno(), out], [], [])[0]
        if control.fileno() in ready or not os.read(out, 1 << 16):
            return


def _stop(spy: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        spy.send_signal(signal.SIGINT)
        spy.communicate(timeout=_WRITING)
    spy.kill()
    spy.wait()


def _draw(run: RunPaths, source: Path, pid: int, stacks: str, seconds: float) -> None:
    # Not before: they load while py-spy works.
    from kit._files import write_atomic
    from kit.profiling._stacks import Places, read_stacks
    from kit.profiling._svg import draw
    from kit.trackers.base import Artifact
    from kit.trackers.spool import Spool

    if not stacks:
        raise ValueError("py-spy wrote nothing")
    tree = read_stacks(stacks, pid, Places(source, Path(__file__).parent.parent))
    run.profile.mkdir(mode=0o700, exist_ok=True)
    picture = run.profile / FLAMEGRAPH
    write_atomic(picture, draw(tree, title=f"run {run.root.name}", rate=_RATE, seconds=seconds))
    spool = Spool(run.spool)
    spool.append(Artifact(picture, f"{run.profile.name}/{FLAMEGRAPH}"))
    spool.close()


def _say(control: socket.socket, what: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody hears it any more
        control.sendall(what)


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    for ignored in (signal.SIGTERM, signal.SIGHUP):  # by py-spy too
        signal.signal(ignored, signal.SIG_IGN)
    folder_, source_, pid_, descriptor_ = sys.argv[1:]
    main(RunPaths(Path(folder_)), Path(source_), int(pid_), socket.socket(fileno=int(descriptor_)))
