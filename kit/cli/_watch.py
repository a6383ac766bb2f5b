"""Show a run while it goes: its output, and on a terminal one live panel below it."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, TYPE_CHECKING, Protocol, Self

from kit.cli.render import console, duration, number
from kit.models import RunSpec
from kit.paths import RunPaths
from kit.trackers.spool import SpoolTail

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from kit.executors.base import Handle

__all__ = ["watch"]

_POLL = 0.05
_SHOWN_METRICS = 6


def watch(handle: Handle, spec: RunSpec, paths: RunPaths, *, output: IO[str]) -> None:
    """Show the run until nothing of it is left to do; signals go on to it.

    Args:
        handle: The run, held by this process.
        spec: What it was started from.
        paths: Its folder.
        output: Where what the task prints goes.
    """
    screen: _Screen = _Panel(spec, paths) if output is sys.stdout and output.isatty() else _Plain(output)
    tail = _LogTail(paths.log)
    with _relayed(handle), screen:
        while not handle.wait(_POLL):
            screen.show(tail.read())
        screen.show(tail.read())


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

    def __init__(self, spec: RunSpec, paths: RunPaths) -> None:
        from rich.live import Live

        self._spec = spec
        self._tail = SpoolTail(paths.spool)
        self._began = time.monotonic()
        self._partial = ""
        self._live: Live = Live(get_renderable=self._render, console=console(), refresh_per_second=8, transient=True)

    def show(self, output: str) -> None:
        self._tail.read()
        lines = (self._partial + output).split("\n")
        self._partial = lines.pop()
        for line in lines:
            # A progress bar of the task's own redraws its line: what was drawn last is what remains.
            self._print(line.rstrip("\r").rpartition("\r")[2])

    def _print(self, line: str) -> None:
        from rich.text import Text

        console().print(Text.from_ansi(line), soft_wrap=True)

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        elapsed = duration(time.monotonic() - self._began)
        head = Text.assemble(("● ", "cyan"), (self._spec.name, "bold"), f"  {self._spec.run_id}  ", (elapsed, "dim"))
        parts: list[RenderableType] = [head]
        if (progress := self._tail.progress) is not None:
            line = Table.grid(padding=(0, 1))
            total = "" if progress.total is None else f"/{progress.total}"
            bar = ProgressBar(total=progress.total, completed=progress.done, width=30)
            line.add_row(" ", bar, f"{progress.done}{total}", progress.description)
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


class _LogTail:
    """What came into the log since it was read last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> str:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as log:
            log.seek(self._offset)
            data = log.read()
            self._offset += len(data)
            return data.decode(errors="replace")
        return ""


@contextlib.contextmanager
def _relayed(handle: Handle) -> Iterator[None]:
    """A first Ctrl-C asks the run to stop, a second one makes it."""
    asked = 0

    def relay(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        handle.cancel(at_once=asked > 1)
        if asked == 1 and number == signal.SIGINT:
            sys.stderr.write("stopping the run; once more to kill it\n")

    before = {number: signal.signal(number, relay) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
