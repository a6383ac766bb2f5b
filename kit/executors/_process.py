"""The process of a run, as its supervisor starts it: forked, if the supervisor came out of a forkserver itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn, Protocol

from kit._process import descendants
from kit._seeding import HASH_SEED
from kit.forkserver._child import become, close_others, end, is_forked, run_as_main
from kit.forkserver._identity import with_defaults

__all__ = ["Process", "begin", "reap_and_count", "run_environment"]

_MODULE = ["-P", "-m"]


class Process(Protocol):
    """What its parent has of a process."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """None as long as it is not known to have ended; of one that was killed, the signal's number below zero."""

    def poll(self) -> int | None:
        """Look whether it has ended by now."""


def run_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What every run has on top of what its user has."""
    return with_defaults(environment) | {"PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": str(HASH_SEED)}


def begin(
    command: Sequence[str],
    *,
    streams: tuple[int, int, int],
    folder: str,
    environment: Mapping[str, str],
    keep: tuple[int, ...] = (),
    session: bool = False,
) -> Process:
    """Start a module of kit's as `python -P -m` does, at the head of a process group.

    Args:
        command: The interpreter, `-P`, `-m`, the module and its arguments.
        streams: What its standard streams are to be.
        folder: Where it begins.
        environment: All of it.
        keep: What else of the open descriptors it keeps.
        session: Whether it is at the head of a session, too.

    Raises:
        OSError: If there cannot be another process.
    """
    # No thread crosses a fork: a command may have some by now.
    if is_forked() and threading.active_count() == 1 and command[0] == sys.executable and list(command[1:3]) == _MODULE:
        be = partial(_be, command, streams, folder, environment, keep, session=session)
        return _Forked(be, session=session)
    stdin, stdout, stderr = streams
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=folder,
        env=environment,
        pass_fds=keep,
        start_new_session=session,
        process_group=None if session else 0,
    )


def reap_and_count() -> int:
    """Collect those that have ended; how many descendants are left."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return len(descendants(os.getpid()))


class _Forked:
    """A copy of this process, made into something else."""

    def __init__(self, be: Callable[[], NoReturn], *, session: bool) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            be()
        if not session:  # who leads a group already may not begin a session
            with contextlib.suppress(OSError):  # it did so itself, or is gone
                os.setpgid(self.pid, self.pid)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _be(
    command: Sequence[str],
    streams: Sequence[int],
    folder: str,
    environment: Mapping[str, str],
    keep: tuple[int, ...],
    *,
    session: bool,
) -> NoReturn:
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]

    def main() -> None:
        if session:
            os.setsid()
        else:
            os.setpgid(0, 0)
        for target, descriptor in enumerate(streams):
            os.dup2(descriptor, target)
        close_others(*keep)
        for descriptor in keep:
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - as what is passed to a program is
        os.chdir(folder)
        become(["-m", *command[4:]], environment, shown=command, ignored=ignored)
        run_as_main(command[3])

    end(main)
