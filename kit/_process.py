"""Processes: which one is meant, whether it lives, and how its whole tree is ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

__all__ = [
    "ProcessId",
    "allow_tracing",
    "become_subreaper",
    "boot_id",
    "descendants",
    "die_with_parent",
    "identify",
    "is_alive",
    "marked",
    "signal_name",
    "signal_processes",
    "this_process",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_PTRACER = 0x59616D61


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that a reused pid cannot be mistaken for: boot and start time are part of the name.

    `started` is in clock ticks since boot as the kernel counts them, where there is /proc; else in
    hundredths of a second since the epoch.
    """

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    """A text that changes when the machine restarts, and from one view of its processes to another.

    A container shares the kernel's boot with its host, but has process numbers of its own.
    """
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    import psutil

    return str(int(psutil.boot_time()))


def identify(pid: int) -> ProcessId | None:
    """Name the process that has this pid now; None if there is none, or only its zombie."""
    started = _started(pid)
    return None if started is None else ProcessId(pid, started, boot_id())


def is_alive(process: ProcessId) -> bool:
    """Whether this very process still runs: a zombie does not, nor does another one with its pid."""
    return process.boot == boot_id() and _started(process.pid) == process.started


def _started(pid: int) -> int | None:
    try:
        # The command name, second field, may hold blanks and brackets: count from its closing bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _started_without_proc(pid)
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _started_without_proc(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time() * 100)
    except psutil.NoSuchProcess:
        return None


def become_subreaper() -> bool:
    """Adopt the orphans of this process's descendants (Linux), so that none can hide by forking twice."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> bool:
    """Have the kernel kill this process when the one that started it dies (Linux)."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def allow_tracing(pid: int) -> None:
    """Let the process with this number, and what it started, look into this one and into what this one forks.

    Where the kernel knows no such permission (Yama, as on Ubuntu), who may do so is not this process's to say.
    """

    def allow() -> None:
        _prctl(_PR_SET_PTRACER, pid)

    allow()
    os.register_at_fork(after_in_child=allow)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below `pid`, zombies left out."""
    if pid == os.getpid() and not _has_children():  # else every process of the machine is looked at
        return []
    import psutil

    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process for process in below if _is_running(process)]


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _is_running(process: psutil.Process) -> bool:
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def marked(name: str, value: str) -> list[psutil.Process]:
    """Every other process that has this variable in its environment, as far as this user can see."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(name) == value and process.pid != os.getpid():
                found.append(process)
    return found


def signal_processes(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each; those that are gone by now are what was wanted."""
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; the number itself when the platform has no name for it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def this_process() -> ProcessId:
    """Name the process that asks."""
    own = identify(os.getpid())
    if own is None:
        raise RuntimeError("this process cannot find itself: is /proc mounted?")
    return own
