"""How a sweep stands: a table that changes on a terminal, a line for each trial that ends in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kit.cli.render import STYLES, console, duration, number
from kit.models import RunRecord
from kit.redact import mask
from kit.states import RunStatus
from kit.sweeps import Board, Running, Show, has_failed, is_pruned, ranked

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = ["counted", "leaderboard", "shown", "status_of", "varied"]

_RANKED = 8
"""How many of the best are shown while it runs."""
_RUNNING = 8
_METRICS = 4
_NOTES = 2


@contextmanager
def shown(*, as_json: bool) -> Iterator[Show]:
    """What shows a sweep while it runs; with `as_json`, on standard error."""
    out = console(stderr=as_json)
    if not out.is_terminal:
        yield _Lines(as_json=as_json).show
        return
    screen = _Screen(as_json=as_json)
    with screen.live:
        yield screen.show


class _Lines:
    """A line for each trial that has ended."""

    def __init__(self, *, as_json: bool) -> None:
        self._out = sys.stderr if as_json else sys.stdout
        self._told: set[str] | None = None
        self._stopped = False
        self._noted = 0

    def show(self, board: Board) -> None:
        if self._told is None:  # those of before, in a sweep that goes on
            self._told = {record.run_id for record in board.records}
            self._print(f"{board.sweep_id}: ended before: {len(board.records)}" if self._told else "")
        for record in (*board.attempts, *board.records):
            if record.run_id not in self._told:
                self._told.add(record.run_id)
                self._print(_line(board, record, len(self._told)))
        for note in board.notes[self._noted :]:
            self._print(f"note: {note}")
        self._noted = len(board.notes)
        if board.stopped is not None and not self._stopped:
            self._stopped = True
            self._print(f"no other trial starts: {board.stopped}")

    def _print(self, line: str) -> None:
        if line:
            self._out.write(f"{line}\n")
            self._out.flush()


def _line(board: Board, record: RunRecord, count: int) -> str:
    values = "  ".join(f"{key} {number(value)}" for key, value in list(record.metrics.items())[:_METRICS])
    again = " (again)" if record in board.attempts else ""
    result = record.reason or values
    return f"{count:>3}  {record.run_id}  {status_of(record)}{again}  {varied(board, record.overrides)}  {result}"


class _Screen:
    """The best so far and what is under way."""

    def __init__(self, *, as_json: bool) -> None:
        from rich.live import Live

        self._board: Board | None = None
        self._began = time.monotonic()
        out = console(stderr=as_json)
        self.live: Live = Live(get_renderable=self._render, console=out, refresh_per_second=4, transient=True)

    def show(self, board: Board) -> None:
        for running in board.running:
            running.tail.read()
        self._board = board

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        board = self._board
        if board is None:
            return Text("composing the trials ...", "dim")
        head = Text.assemble((board.sweep_id, "bold"), f"  {counted(board)}  ")
        head.append(duration(time.monotonic() - self._began), "dim")
        if board.stopped is not None:
            head.append(f"  no other starts: {board.stopped}", "yellow")
        notes = [Text(f"note: {note}") for note in board.notes[-_NOTES:]]
        return Group(head, *notes, leaderboard(board, limit=_RANKED, running=board.running[:_RUNNING]))


def counted(board: Board) -> str:
    """`12 of 20 trials, 2 failed, 1 pruned, 2 running`."""
    total = "" if board.total is None else f" of {board.total}"
    parts = [f"{len(board.records)}{total} trials"]
    cancelled = sum(r.status is RunStatus.CANCELLED and not is_pruned(r) for r in board.records)
    failed, pruned = sum(map(has_failed, board.records)), sum(map(is_pruned, board.records))
    counts = {"failed": failed, "cancelled": cancelled, "pruned": pruned, "tried again": len(board.attempts)}
    counts["running"] = len(board.running)
    return ", ".join([*parts, *(f"{count} {what}" for what, count in counts.items() if count)])


def leaderboard(board: Board, *, limit: int | None, running: list[Running] | None = None) -> Table:
    """The best first, then the others that have ended, unless a limit leaves no room; then what is under way."""
    from rich.table import Table
    from rich.text import Text

    goal = board.goal
    best = ranked(board.records, goal) if goal is not None else []
    ids = {record.run_id for record in best}
    ended = [*best, *(record for record in board.records if record.run_id not in ids)][:limit]
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("run", no_wrap=True)
    grid.add_column("status", no_wrap=True)
    grid.add_column("trial", overflow="fold")
    grid.add_column(Text("" if goal is None else goal.metric), justify="right", overflow="fold")
    for record in ended:
        value = "" if goal is None else number(record.metrics.get(goal.metric))
        style = STYLES[record.status] if not is_pruned(record) else "dim"
        row = [Text(record.run_id), Text(status_of(record), style), _trial(board, record), Text(value)]
        grid.add_row(*row, style="bold" if best and record is best[0] else None)
    for each in running or ():
        value = number(each.tail.metrics.get(goal.metric)) if goal is not None else ""
        grid.add_row(
            Text(each.run_id), Text("running", "cyan"), Text(varied(board, each.trial.overrides)), Text(value, "dim")
        )
    return grid


def _trial(board: Board, record: RunRecord) -> Text:
    from rich.text import Text

    told = Text(varied(board, record.overrides))
    if record.reason is not None:
        told.append(f"  {record.reason}", "dim")
    return told


def varied(board: Board, overrides: tuple[str, ...]) -> str:
    """What tells the trial from others."""
    common = {mask(text) for text in board.common}
    return " ".join(mask(text) for text in overrides if mask(text) not in common)


def status_of(record: RunRecord) -> str:
    return "pruned" if is_pruned(record) else record.status.value
