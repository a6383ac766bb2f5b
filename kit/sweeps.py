"""Many runs from one command: Hydra's sweeper says which, the executor runs them."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kit import config, runs
from kit.errors import ExitCode, UserError
from kit.executors.base import Handle
from kit.models import Origin, RunRecord
from kit.project import Project
from kit.redact import mask
from kit.states import RunStatus

__all__ = ["Sweep", "sweep", "trials"]

_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Sweep:
    """What became of a sweep."""

    sweep_id: str
    records: tuple[RunRecord, ...]

    @property
    def exit_code(self) -> int:
        """0 when every trial succeeded, else that of the first that did not."""
        codes = [record.exit_code for record in self.records if record.status is not RunStatus.SUCCEEDED]
        return codes[0] or ExitCode.RUN if codes else ExitCode.OK


def sweep(project: Project, request: runs.Request, *, jobs: int | None, on_end: Callable[[RunRecord], None]) -> Sweep:
    """Run every trial that the configured Hydra sweeper asks for; one that fails does not stop the others.

    Args:
        project: Where.
        request: What; its overrides have the sweep's grammar.
        jobs: Trials at a time; None: as many as there are cores to use.
        on_end: Called with each trial as it ends, in the order of their ends.

    Raises:
        UserError: If the overrides cannot be used; nothing has run then.
    """
    sweep_id = f"sweep-{secrets.token_hex(3)}"
    work = _Work(project, request, sweep_id, jobs or _cores(), on_end)
    project.paths.create_state()
    _ask_sweeper(project, request, work.launch, folder=project.paths.state / "sweeps" / sweep_id)
    return Sweep(sweep_id, tuple(work.records))


def trials(project: Project, request: runs.Request) -> list[tuple[str, ...]]:
    """The overrides of every trial that `sweep` would run first, checked. Nothing is run or written.

    A sweeper that goes by results is asked for its first batch only: there are no results.

    Raises:
        UserError: If the overrides cannot be used.
    """
    found: list[tuple[str, ...]] = []

    def launch(batch: Sequence[Sequence[str]], first: int) -> Sequence[config.TrialResult]:
        found.extend(drafted.composed.overrides for drafted in _drafts(project, request, batch, first, None))
        raise _Enough

    with tempfile.TemporaryDirectory(prefix="kit-sweep-") as folder, contextlib.suppress(_Enough):
        _ask_sweeper(project, request, launch, folder=Path(folder))
    return found


class _Enough(Exception):
    """All is known that was asked for."""


def _ask_sweeper(project: Project, request: runs.Request, launch: config.Launch, *, folder: Path) -> None:
    settings = project.settings
    config.sweep(project.root, settings.config_dir, settings.config_name, request.overrides, launch, sweep_dir=folder)


def _drafts(
    project: Project, request: runs.Request, trials: Sequence[Sequence[str]], first: int, sweep_id: str | None
) -> list[runs.Draft]:
    """Raises:
    UserError: If one of the trials cannot be used; it is named.
    """
    drafts = []
    for index, overrides in enumerate(trials, first):
        origin = Origin("sweep", sweep_id, index)
        try:
            drafts.append(runs.draft(project, replace(request, overrides=tuple(overrides), origin=origin, job=index)))
        except UserError as error:
            what = f"trial {index} ({mask(' '.join(overrides))}): {error.what}"
            raise UserError(what, where=error.where, fix=error.fix) from error
    return drafts


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Work:
    """The trials of one sweep, a few at a time."""

    def __init__(
        self,
        project: Project,
        request: runs.Request,
        sweep_id: str,
        jobs: int,
        on_end: Callable[[RunRecord], None],
    ) -> None:
        self._project = project
        self._request = request
        self._sweep_id = sweep_id
        self._jobs = jobs
        self._on_end = on_end
        self._running: dict[int, Handle] = {}
        self.records: list[RunRecord] = []

    def launch(self, trials: Sequence[Sequence[str]], first: int) -> Sequence[config.TrialResult]:
        """Run one batch of trials; the sweeper waits for all of it."""
        # Every one of them first: a mistake in the last is known before the first has run for hours.
        drafts = _drafts(self._project, self._request, trials, first, self._sweep_id)
        ended: dict[int, RunRecord] = {}
        try:
            for index, drafted in enumerate(drafts, first):
                while len(self._running) >= self._jobs:
                    ended |= self._collect()
                self._running[index] = runs.start(self._project, runs.plan(self._project, drafted))
            while self._running:
                ended |= self._collect()
        except BaseException:
            for handle in self._running.values():
                handle.cancel()
            while self._running:
                self._collect()
            raise
        return [_result(ended[index]) for index in range(first, first + len(trials))]

    def _collect(self) -> dict[int, RunRecord]:
        """Those that have ended by now; waits a moment for the first."""
        ended = {}
        for index, handle in list(self._running.items()):
            if handle.wait(_POLL / len(self._running)):
                del self._running[index]
                ended[index] = runs.ended(self._project, handle.run_id)
                self.records.append(ended[index])
                self._on_end(ended[index])
        return ended


def _result(record: RunRecord) -> config.TrialResult:
    values = dict(record.metrics)
    return config.TrialResult(
        return_value=next(iter(values.values())) if len(values) == 1 else values,
        failed=record.status is not RunStatus.SUCCEEDED,
        overrides=record.overrides,
    )
