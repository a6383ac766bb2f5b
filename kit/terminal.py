"""A run's debugger on the terminal of the command that shows the run.

The run writes into its log, through its supervisor, and the command shows the log; a debugger over that way would have
no line editing and answer late. So the run asks for the terminal itself: it leaves a file, the command shows what was
printed so far and lends it, and is quiet until it has it back. Ctrl-C, which the terminal gives to the command, is
passed on meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from kit._files import write_atomic
from kit.paths import RunPaths

__all__ = ["Lender", "debug"]

_POLL = 0.05


def debug(paths: RunPaths, trace: TracebackType) -> None:
    """Open pdb where a run failed, on the terminal that its standard input is; returns when it is left."""
    from pdb import Pdb

    with _borrowed(paths):
        debugger = Pdb(nosigint=True)
        debugger.reset()
        debugger.interaction(None, trace)


@contextlib.contextmanager
def _borrowed(paths: RunPaths) -> Iterator[None]:
    write_atomic(paths.terminal_wanted, str(os.getpid()))
    while not paths.terminal_lent.exists():
        time.sleep(_POLL)
    streams = sys.stdin, sys.stdout, sys.stderr
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    terminal = _open_terminal()
    try:
        for stream in streams:
            stream.flush()
        os.dup2(terminal, 1)
        os.dup2(terminal, 2)
        # What the task may have put in their place has nothing to do with the terminal.
        sys.stdin, sys.stdout, sys.stderr = (
            own or stream for own, stream in zip((sys.__stdin__, sys.__stdout__, sys.__stderr__), streams, strict=True)
        )
        yield
    finally:
        sys.stdout.flush()
        sys.stdin, sys.stdout, sys.stderr = streams
        for descriptor, own in zip((1, 2), kept, strict=True):
            os.dup2(own, descriptor)
            os.close(own)
        os.close(terminal)
        paths.terminal_lent.unlink(missing_ok=True)


def _open_terminal() -> int:
    """For writing: what standard input is may have been opened for reading only."""
    with contextlib.suppress(OSError):
        return os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY)
    return os.dup(0)


class Lender:
    """The command's side: it has the terminal, and lends it.

    Args:
        paths: Of the run that may ask for it.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths

    def is_asked(self) -> bool:
        """Whether the run wants the terminal. All that it printed before is in its log."""
        return self._paths.terminal_wanted.exists()

    def lend(self) -> None:
        """Let the run have it; nothing may be written there until it is given back."""
        self._paths.terminal_wanted.rename(self._paths.terminal_lent)

    def interrupt(self) -> bool:
        """Pass Ctrl-C on to who has the terminal; False if that is this process."""
        try:
            holder = int(self._paths.terminal_lent.read_text())
        except (FileNotFoundError, ValueError):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, signal.SIGINT)
        return True

    def __enter__(self) -> Self:
        # Who is stopped by Ctrl-Z would leave the terminal to a debugger and a shell at once.
        self._stop = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        self._mode = termios.tcgetattr(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(termios.error):  # a debugger that was killed could not do so itself
            termios.tcsetattr(0, termios.TCSADRAIN, self._mode)
        signal.signal(signal.SIGTSTP, self._stop)
        for path in (self._paths.terminal_wanted, self._paths.terminal_lent):
            path.unlink(missing_ok=True)
