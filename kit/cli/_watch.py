"""Show a run while it goes: its output, and on a terminal one live panel below it."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, Self

from kit.cli.render import console, duration, number
from kit.errors import Terminated
from kit.paths import RunPaths
from kit.terminal import Lender
from kit.trackers.spool import SpoolTail

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from kit.executors.base import Handle
    from kit.models import RunSpec
    from kit.project import Project
    from kit.runs import Watch

__all__ = ["LogTail", "watch", "watcher"]

_POLL = 0.05
_PROMPT_AFTER = 0.3
_SHOWN_METRICS = 6


def watch(
    handle: Handle,
    name: str,
    paths: RunPaths,
    *,
    output: IO[str],
    log: LogTail | None = None,
    lends: bool = False,
    gives_up: bool = False,
) -> None:
    """Show the run until nothing of it is left to do; signals go on to it.

    Args:
        handle: The run, held by this process.
        name: What the run is called.
        paths: Its folder.
        output: Where what the task prints goes.
        log: From where on its log is shown; None shows all of it.
        lends: Whether a debugger in the run may ask for this process's terminal.
        gives_up: Whether SIGTERM gives this run up instead of cancelling it.

    Raises:
        Terminated: If it was given up; nothing of it is left to do then, either.
    """
    lender = Lender(paths) if lends else None
    draws = output is sys.stdout and output.isatty() and lender is None  # a debugger wants the screen for itself
    screen: _Screen = _Panel(name, handle.run_id, paths) if draws else _Plain(output)
    with (
        contextlib.closing(log or LogTail(paths.log)) as tail,
        _relayed(handle, lender, gives_up=gives_up),
        screen,
        lender or nullcontext(),
    ):
        while not handle.wait(_POLL):
            asked = lender is not None and lender.is_asked()
            screen.show(tail.read())  # after that was looked at: what it printed before is all in the log
            if lender is not None and asked:
                lender.lend()
        screen.show(tail.read(last=True))


def watcher(project: Project, *, as_json: bool = False, lends: bool = False) -> Watch:
    """What shows each run that a service makes for a command.

    Args:
        project: Where the runs are kept.
        as_json: Whether standard output is for the command's JSON.
        lends: As for `watch`.
    """

    def show(handle: Handle, spec: RunSpec) -> None:
        output = sys.stderr if as_json else sys.stdout
        watch(handle, spec.name, project.paths.run(spec.run_id), output=output, lends=lends)

    return show


class _Screen(Protocol):
    def show(self, output: str) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Plain:
    """What the task prints, as it prints it."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output

    def show(self, output: str) -> None:
        self._output.write(output)
        self._output.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._output.flush()


class _Panel:
    """What the task prints, and below it how the run stands."""

    def __init__(self, name: str, run_id: str, paths: RunPaths) -> None:
        from rich.live import Live

        self._name, self._run_id = name, run_id
        self._tail = SpoolTail(paths.spool)
        self._began = time.monotonic()
        self._partial = ""
        self._heard = self._began
        self._asking = False
        self._live: Live = Live(get_renderable=self._render, console=console(), refresh_per_second=8, transient=True)

    def show(self, output: str) -> None:
        self._tail.read()
        if output:
            self._heard = time.monotonic()
        if self._asking:
            output = self._answered(output)
        lines = (self._partial + output).split("\n")
        self._partial = lines.pop()
        for line in lines:
            # A progress bar of the task's own redraws its line: what was drawn last is what remains.
            self._print(line.rstrip("\r").rpartition("\r")[2])
        if self._partial and "\r" not in self._partial and time.monotonic() - self._heard > _PROMPT_AFTER:
            self._ask()

    def _ask(self) -> None:
        """A line without an end that stays is a prompt, of `input()` or a debugger: the panel makes room for it."""
        self._live.stop()
        sys.stdout.write(self._partial)
        sys.stdout.flush()
        self._partial = ""
        self._asking = True

    def _answered(self, output: str) -> str:
        """Go on after the answer: the terminal ended its line by itself."""
        if not output:
            return output
        rest, ended, after = output.partition("\n")
        sys.stdout.write(rest)
        sys.stdout.flush()
        if ended:
            self._asking = False
            sys.stdout.write("\n")
            self._live.start()
        return after

    def _print(self, line: str) -> None:
        from rich.text import Text

        console().print(Text.from_ansi(line), soft_wrap=True)

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        elapsed = duration(time.monotonic() - self._began)
        head = Text.assemble(("● ", "cyan"), (self._name, "bold"), f"  {self._run_id}  ", (elapsed, "dim"))
        parts: list[RenderableType] = [head]
        if (progress := self._tail.progress) is not None:
            line = Table.grid(padding=(0, 1))
            total = "" if progress.total is None else f"/{progress.total}"
            bar = ProgressBar(total=progress.total, completed=progress.done, width=30)
            line.add_row(" ", bar, f"{progress.done}{total}", Text(progress.description))
            parts.append(line)
        if self._tail.metrics:
            newest = list(self._tail.metrics.items())[-_SHOWN_METRICS:]
            parts.append(Text("  " + "   ".join(f"{key} {number(value)}" for key, value in newest), "dim"))
        return Group(*parts)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._partial:
            self._print(self._partial)
        self._live.__exit__(kind, error, trace)


class LogTail:
    """What came into the log since it was read last, also when the log is full and goes on in `.1` and `.2`.

    Attributes:
        size: How many bytes of it were read.
    """

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._path = path
        self._file: BinaryIO | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def skip(self) -> None:
        """Pass over what is there by now."""
        while (later := self._later()) is not None:
            self.close()
            self._file = later
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def read(self, *, last: bool = False) -> str:
        """The text since; `last` when nothing more will come."""
        data = b""
        while True:
            later = self._later()  # asked first: when there is one, what lies in the present one is all of it
            if self._file is not None:
                data += self._file.read()
            if later is None:
                self.size += len(data)
                return self._decoder.decode(data, final=last)
            self.close()
            self._file = later

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _later(self) -> BinaryIO | None:
        """The file that comes after the present one, opened."""
        if self._file is None:
            return _opened(self._path)
        # The newest first: what is turned over meanwhile is met twice, not missed.
        newest, older = (_opened(self._path.with_suffix(f".log.{number}")) for number in (1, 2))
        present = _identity(self._file)
        following = newest
        if older is not None and present not in {_identity(older), None if newest is None else _identity(newest)}:
            following = older  # the present one is the first, or so old that it is gone
        if following is not None and _identity(following) == present:
            following = None
        for file in (newest, older):
            if file is not None and file is not following:
                file.close()
        return following


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _identity(file: BinaryIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _relayed(handle: Handle, lender: Lender | None = None, *, gives_up: bool = False) -> Iterator[None]:
    """A first Ctrl-C asks the run to stop, a second one makes it. What is ignored, as by `nohup`, stays so.

    While the run has the terminal, Ctrl-C is for its debugger.
    """
    asked, given_up = 0, False

    def relay(number: int, _frame: FrameType | None) -> None:
        nonlocal asked, given_up
        if number == signal.SIGINT and lender is not None and lender.interrupt():
            return
        asked += 1
        if gives_up and number == signal.SIGTERM and asked == 1:
            given_up = True
            handle.give_up()
            return
        handle.cancel(at_once=asked > 1)
        if asked == 1 and number == signal.SIGINT:
            sys.stderr.write("stopping the run; once more to kill it\n")

    heard = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, relay) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if given_up:
        raise Terminated
