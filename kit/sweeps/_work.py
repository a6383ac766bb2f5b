"""The turn of a sweep: as soon as there is room, the next trial; as soon as one has ended, what follows from it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from kit import runs
from kit.errors import ExitCode, UserError
from kit.models import RunRecord
from kit.outcomes import ABANDONED, PRUNED
from kit.project import Project
from kit.redact import mask
from kit.states import RunStatus
from kit.sweeps._options import Goal, OnError, Options, ranked, smaller_is_better
from kit.sweeps._pool import Pool, Running, Trial

__all__ = ["Board", "Known", "Show", "Source", "Work", "has_failed", "is_finished", "is_left", "is_pruned", "named"]

_TICK = 0.25
_RETRIES = 2


class Source(Protocol):
    """Where trials come from."""

    @property
    def total(self) -> int | None:
        """How many there will be, as far as it is known."""

    def next(self) -> Trial | None:
        """The next one; None if there is none, or none before another has ended."""

    def look(self, running: Running) -> str | None:
        """Look at a trial under way; gives the reason why it is not worth going on with, if there is one."""

    def tell(self, trial: Trial, record: RunRecord) -> None:
        """One has ended, for good."""


class Known:
    """Trials that are all known before the first runs."""

    def __init__(self, trials: Sequence[Trial], *, total: int | None) -> None:
        self._left = list(trials)
        self.total = total

    def next(self) -> Trial | None:
        return self._left.pop(0) if self._left else None

    def look(self, running: Running) -> str | None:
        """Nothing is to be found out about it."""

    def tell(self, trial: Trial, record: RunRecord) -> None:
        """Nothing follows from it."""


@dataclass(slots=True)
class Board:
    """How a sweep stands.

    Attributes:
        records: The last run of each trial that has ended, in the order of their ends.
        attempts: Runs whose trial was tried again.
        direction: Whether the sweeper takes more for better, if it says so.
        common: The overrides that all trials have.
        total: How many trials there will be, as far as it is known.
        stopped: Why no other trial starts; None while they do.
        notes: What a user should know, as it came up.
        picture: What came out, drawn, once all have ended; None without matplotlib.
    """

    sweep_id: str
    options: Options
    direction: bool | None = None
    common: frozenset[str] = frozenset()
    records: list[RunRecord] = field(default_factory=list)
    attempts: list[RunRecord] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    total: int | None = None
    stopped: str | None = None
    notes: list[str] = field(default_factory=list)
    picture: Path | None = None

    @property
    def goal(self) -> Goal | None:
        """What is best; None as long as no trial has a metric."""
        succeeded = (record for record in self.records if record.status is RunStatus.SUCCEEDED)
        metric = self.options.metric or next((name for record in succeeded for name in record.metrics), None)
        if metric is None:
            return None
        chosen = self.options.maximize if self.options.maximize is not None else self.direction
        return Goal(metric, not smaller_is_better(metric) if chosen is None else chosen)

    @property
    def best(self) -> RunRecord | None:
        """The best of those that have ended; None if none can be compared."""
        goal = self.goal
        return next(iter(ranked(self.records, goal)), None) if goal is not None else None

    @property
    def exit_code(self) -> int:
        """0 when every trial succeeded or was pruned, else that of the first that did not."""
        failed = [r for r in self.records if r.status is not RunStatus.SUCCEEDED and not is_pruned(r)]
        return failed[0].exit_code or ExitCode.RUN if failed else ExitCode.OK


Show = Callable[[Board], None]
"""Called whenever something has changed, and a few times a second besides."""


def is_pruned(record: RunRecord) -> bool:
    """Whether a trial was stopped because it was not worth going on with."""
    return record.status is RunStatus.CANCELLED and (record.reason or "").startswith(PRUNED)


def is_finished(record: RunRecord) -> bool:
    """Whether a trial came to its own end, well or not, and was not just interrupted."""
    if record.status is RunStatus.FAILED:
        return record.reason != ABANDONED
    return record.status in {RunStatus.SUCCEEDED, RunStatus.TIMED_OUT} or is_pruned(record)


def is_left(record: RunRecord, options: Options) -> bool:
    """Whether a sweep that goes on runs this trial again."""
    return not is_finished(record) or (options.on_error is OnError.RETRY and has_failed(record))


def has_failed(record: RunRecord) -> bool:
    """Whether a trial went wrong; what somebody stopped did not."""
    return record.status in {RunStatus.FAILED, RunStatus.LOST, RunStatus.TIMED_OUT} and record.reason != ABANDONED


@contextlib.contextmanager
def named(trial: Trial) -> Iterator[None]:
    """Raises:
    UserError: What is raised inside, with the trial that it is about.
    """
    try:
        yield
    except UserError as error:
        what = f"trial {trial.index} ({mask(' '.join(trial.overrides))}): {error.what}"
        raise UserError(what, where=error.where, fix=error.fix) from error


class Work:
    """The trials of one sweep, from the first to the last."""

    def __init__(self, project: Project, pool: Pool, board: Board, show: Show) -> None:
        self._project = project
        self._pool = pool
        self.board = board
        self._show = show
        budget = board.options.time_budget
        self._until = float("inf") if budget is None else time.monotonic() + budget
        self._again: list[Trial] = []
        self._failures: Counter[int] = Counter()

    def run(self, source: Source) -> None:
        """Run all that the source has. Whatever goes wrong here, Ctrl-C too, nothing is left under way."""
        with contextlib.closing(self._pool):
            while True:
                self._fill(source)
                self._tell()
                if not self._pool.running:
                    return
                for trial, record in self._pool.wait(_TICK):
                    self._take_in(source, trial, record)
                for running in list(self._pool.running.values()):
                    why = None if running.cancelled else source.look(running)
                    if why is not None:
                        self._pool.prune(running, f"{PRUNED}: {why}")

    def _fill(self, source: Source) -> None:
        self.board.total = source.total
        while self._pool.has_room and not self._is_over():
            trial = self._again.pop(0) if self._again else source.next()
            if trial is None:
                return
            with named(trial):
                self._pool.start(trial)

    def _is_over(self) -> bool:
        if self.board.stopped is None and time.monotonic() >= self._until:
            self.board.stopped = "the time budget is used up"
        return self.board.stopped is not None

    def _take_in(self, source: Source, trial: Trial, record: RunRecord) -> None:
        if has_failed(record):
            self._failures[trial.index] += 1
            if self._is_tried_again(trial, record):
                self.board.attempts.append(record)
                self._again.append(replace(trial, draft=None, stopped=None))
                return
            if self.board.options.on_error is OnError.STOP:
                self.board.stopped = f"trial {trial.index} {record.status}"
        self.board.records.append(record)
        source.tell(trial, record)

    def _is_tried_again(self, trial: Trial, record: RunRecord) -> bool:
        rejected = runs.rejected(self._project, record.run_id) is not None  # it would be again
        return self.board.options.on_error is OnError.RETRY and not rejected and self._failures[trial.index] <= _RETRIES

    def _tell(self) -> None:
        self.board.running = list(self._pool.running.values())
        self.board.notes = self._pool.notes
        self._show(self.board)
