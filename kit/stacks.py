"""What a living run does at this moment: the stacks of its processes, read from outside by py-spy."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kit import _pyspy
from kit._process import ProcessId, boot_id, descendants
from kit.errors import HostError, UserError
from kit.redact import mask

if TYPE_CHECKING:
    import psutil

__all__ = ["Call", "ProcessStacks", "Thread", "of_run"]

_SECONDS = 20.0
_TRIES = 2
_STARTERS = (
    *("_forkserver", "forkserver/_child", "executors/_supervisor", "executors/_process"),
    *("_worker", "_rank", "execution", "ranks"),
)
_BEGINNING = ("<frozen runpy>", *(str(Path(__file__).parent / f"{name}.py") for name in _STARTERS))
"""What every run's stack begins with, forked or not."""
_FORBIDDEN = ("permission denied", "operation not permitted", "os error 1)", "os error 13)")
_ALLOW = (
    'Run it as root: `sudo env "PATH=$PATH" kit debug RUN --live`; in a container, start that with '
    "`--cap-add SYS_PTRACE`."
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One function that is under way."""

    function: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread, what it does now first.

    Attributes:
        active: Whether it computes, and does not wait.
        holds_gil: Whether it has the interpreter's lock.
    """

    name: str
    active: bool
    holds_gil: bool
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class ProcessStacks:
    """One process of a run.

    Attributes:
        command: Its command line, without secrets.
        note: Why there are no threads, if there are none.
    """

    pid: int
    parent: int
    command: str
    threads: tuple[Thread, ...] = ()
    note: str | None = None


class _Frame(msgspec.Struct):
    name: str
    filename: str
    line: int


class _Thread(msgspec.Struct):
    frames: list[_Frame]
    active: bool = False
    owns_gil: bool = False
    thread_name: str | None = None
    thread_id: int = 0


def of_run(run_id: str, supervisor: ProcessId | None) -> list[ProcessStacks]:
    """The stacks of every process of a run that is under way, its task's first.

    Args:
        run_id: The run.
        supervisor: The process whose descendants they are.

    Raises:
        UserError: If it has no process here.
        HostError: If py-spy is not there, or may not look.
    """
    if supervisor is None:
        raise UserError(f"run {run_id} has not begun yet", fix=f"See what it waits for: `kit show {run_id}`.")
    if supervisor.boot != boot_id():
        raise UserError(
            f"the processes of run {run_id} are not on this machine, or in another container",
            fix="Run this command where the run was started.",
        )
    program = _pyspy.program()
    if program is None:
        raise HostError("py-spy is not installed, which reads the stacks", fix=_pyspy.INSTALL)
    processes = descendants(supervisor.pid)
    if not processes:
        raise UserError(f"run {run_id} has no process any more", fix=f"See how it ended: `kit show {run_id}`.")
    return [found for process in processes if (found := _of_process(program, process)) is not None]


def _of_process(program: Path, process: psutil.Process) -> ProcessStacks | None:
    import psutil

    try:
        parent, command = process.ppid(), mask(" ".join(process.cmdline()) or process.name())
    except psutil.Error:
        return None  # it has ended meanwhile
    done = _dump(program, process.pid)
    if done.returncode == 0:
        threads = msgspec.json.decode(done.stdout, type=list[_Thread])
        return ProcessStacks(process.pid, parent, command, tuple(map(_thread, _main_first(threads))))
    said = done.stderr.decode(errors="replace")
    if any(word in said.lower() for word in _FORBIDDEN):
        raise HostError(f"this user may not look into process {process.pid}", fix=_ALLOW)
    if not process.is_running():
        return None
    not_python = "failed to find python version" in said.lower()
    note = "not a Python process" if not_python else said.partition("\n")[0].removeprefix("Error: ")
    return ProcessStacks(process.pid, parent, command, note=mask(note))


def _dump(program: Path, pid: int) -> subprocess.CompletedProcess[bytes]:
    """Ask py-spy without stopping the process; where it moves too fast for that, stop it for the milliseconds it takes.

    Raises:
        HostError: If py-spy does not come back.
    """
    command = [str(program), "dump", "--json", "--full-filenames", "--pid", str(pid)]
    try:
        for _ in range(_TRIES):
            done = subprocess.run([*command, "--nonblocking"], capture_output=True, timeout=_SECONDS, check=False)
            if done.returncode == 0 or b"find python version" in done.stderr:
                return done
        return subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        fix = "Try again; the run is not touched."
        raise HostError(f"py-spy did not read process {pid} within {_SECONDS:.0f} s", fix=fix) from error


def _main_first(threads: Iterable[_Thread]) -> list[_Thread]:
    return sorted(threads, key=lambda thread: thread.thread_name != "MainThread")


def _thread(thread: _Thread) -> Thread:
    frames = list(thread.frames)
    while frames and frames[-1].filename in _BEGINNING:
        frames.pop()
    calls = tuple(Call(frame.name, mask(frame.filename), frame.line) for frame in frames or thread.frames)
    return Thread(mask(thread.thread_name or f"thread {thread.thread_id}"), thread.active, thread.owns_gil, calls)
