"""Many runs from one command: a sweeper says which, the executor runs them, a few at a time.

_options   what a sweep is asked for with, and what makes a trial the best
_pool      trials under way
_work      the turn: as soon as there is room, the next trial
_search    trials chosen by the results of others
_state     what is kept to go on with a sweep
_ending    what came out, drawn and told to the tracker
_picture   parallel coordinates
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kit import config, runs
from kit.models import RunRecord
from kit.project import Project
from kit.redact import mask
from kit.states import RunStatus
from kit.sweeps import _state
from kit.sweeps._ending import finish, tell, tell_rest
from kit.sweeps._options import Goal, OnError, Options, ranked
from kit.sweeps._pool import Pool, Running, Trial
from kit.sweeps._search import Searched
from kit.sweeps._state import Plan
from kit.sweeps._work import Board, Known, Show, Source, Work, has_failed, is_left, is_pruned, named

__all__ = [
    "Board",
    "Goal",
    "OnError",
    "Options",
    "Running",
    "Show",
    "has_failed",
    "is_pruned",
    "ranked",
    "resume",
    "sweep",
    "tell",
    "tell_rest",
    "trials",
]


def sweep(project: Project, request: runs.Request, options: Options, *, show: Show) -> Board:
    """Run every trial that the configured sweeper asks for.

    Args:
        project: Where.
        request: What; its overrides have the sweep's grammar.
        options: How.
        show: Called with how it stands.

    Raises:
        UserError: If the overrides cannot be used; nothing has run then.
        HostError: If a trial cannot be started here, or Optuna is needed and not installed.
    """
    sweep_id = f"sweep-{secrets.token_hex(3)}"
    project.paths.create_state()
    found = _ask(project, request, project.paths.sweep(sweep_id))
    if found.trials is not None:
        plan = Plan(sweep_id, request, options, "known", found.trials)
    elif found.search is not None:
        plan = Plan(sweep_id, request, options, "search", search=found.search)
    else:
        plan = Plan(sweep_id, request, options, "other")
    work = _Sweep(project, plan, {}, show)
    with _state.held(project, sweep_id):
        _state.save(project, plan)
        return work.run()


def resume(project: Project, name: str, change: Callable[[Options], Options], *, show: Show) -> Board:
    """Go on with a sweep that was interrupted: what finished is left, what was under way runs again.

    Args:
        name: Its id, the beginning of it, or `last`.
        change: Makes the options that it goes on with of those that it had. To retry is to run what failed, too.

    Raises:
        UserError: If there is no such sweep, it is under way, or it had a secret on its command line.
    """
    sweep_id = _state.find(project, name)
    plan = _state.load(project, sweep_id)
    plan = replace(plan, options=change(plan.options))
    with _state.held(project, sweep_id):
        work = _Sweep(project, plan, _state.past(project, sweep_id), show)
        _state.save(project, plan)
        return work.run()


def trials(project: Project, request: runs.Request, options: Options) -> list[tuple[str, ...]]:
    """The overrides of every trial that `sweep` would run first, checked. Nothing is run or written.

    A sweeper that goes by results is asked for its first trials only: there are no results.

    Raises:
        UserError: If the overrides cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="kit-sweep-") as folder:
        found = _ask(project, request, Path(folder))
        pool = Pool(project, "sweep-none", request, jobs=options.jobs, slots=options.slots)
        if found.search is not None:
            source = Searched(found.search, options, {}, project.paths)
            first = [trial for trial in [source.next()] if trial is not None]
        elif found.trials is not None:
            first = _numbered(found.trials[: options.trials])
        else:
            first = _first_batch(project, request, Path(folder))
        return [drafted.composed.overrides for drafted in _drafts(pool, first)]


def _ask(project: Project, request: runs.Request, folder: Path) -> config.Sweeper:
    settings = project.settings
    return config.sweeper(project.root, settings.config_dir, settings.config_name, request.overrides, sweep_dir=folder)


def _numbered(trials: Sequence[Sequence[str]], first: int = 0) -> list[Trial]:
    return [Trial(index, tuple(overrides)) for index, overrides in enumerate(trials, first)]


def _left(trials: Sequence[Trial], past: dict[int, RunRecord], options: Options) -> list[Trial]:
    """Those that are still to be run, each with the run of it that there was."""
    return [
        replace(trial, stopped=past.get(trial.index))
        for trial in trials
        if trial.index not in past or is_left(past[trial.index], options)
    ]


def _drafts(pool: Pool, trials: Sequence[Trial]) -> list[runs.Draft]:
    """Raises:
    UserError: If one of the trials cannot be used; it is named.
    """
    drafts = []
    with config.sharing():
        for trial in trials:
            with named(trial):
                drafts.append(pool.draft(trial))
    return drafts


class _Enough(Exception):
    """All is known that was asked for."""


def _first_batch(project: Project, request: runs.Request, folder: Path) -> list[Trial]:
    found: list[Trial] = []

    def launch(batch: Sequence[Sequence[str]], first: int) -> Sequence[config.TrialResult]:
        found.extend(_numbered(batch, first))
        raise _Enough

    settings = project.settings
    with contextlib.suppress(_Enough):
        config.sweep(
            project.root, settings.config_dir, settings.config_name, request.overrides, launch, sweep_dir=folder
        )
    return found


class _Sweep:
    """One sweep, ready to run: all that can be wrong with it is known.

    Raises:
        UserError: If something is.
    """

    def __init__(self, project: Project, plan: Plan, past: dict[int, RunRecord], show: Show) -> None:
        self._project = project
        self._plan = plan
        self._past = past
        self._options = plan.options
        if plan.search is not None:
            self._options = replace(plan.options, metric=plan.options.metric or plan.search.metric)
        self._board = Board(plan.sweep_id, self._options, _direction(plan), _common(plan))
        self._board.records = [record for _, record in sorted(past.items()) if not is_left(record, self._options)]
        self._pool = Pool(project, plan.sweep_id, plan.request, jobs=self._options.jobs, slots=self._options.slots)
        self._work = Work(project, self._pool, self._board, show)
        self._source = self._first_source()

    def _first_source(self) -> Source | None:
        if self._plan.search is not None:
            return Searched(self._plan.search, self._options, self._past, self._project.paths)
        if self._plan.kind == "known":
            every = _numbered(self._plan.trials[: self._options.trials])
            return self._known(_left(every, self._past, self._options), total=len(every))
        return None

    def _known(self, trials: Sequence[Trial], *, total: int | None) -> Known:
        """Every one of them first: a mistake in the last is known before the first has run for hours."""
        drafts = _drafts(self._pool, trials)
        return Known([replace(each, draft=made) for each, made in zip(trials, drafts, strict=True)], total=total)

    def run(self) -> Board:
        error: BaseException | None = None
        try:
            self._run()
        except BaseException as raised:
            error = raised
            raise
        finally:
            finish(self._project, self._board, error)
        return self._board

    def _run(self) -> None:
        if self._source is not None:
            self._work.run(self._source)
        else:
            settings, plan = self._project.settings, self._plan
            place = self._project.root, settings.config_dir, settings.config_name
            folder = self._project.paths.sweep(plan.sweep_id)
            with contextlib.suppress(_Enough):
                config.sweep(*place, plan.request.overrides, self._launch, sweep_dir=folder)

    def _launch(self, batch: Sequence[Sequence[str]], first: int) -> Sequence[config.TrialResult]:
        """A batch of a sweeper of Hydra's kind, which waits for all of it. One that goes on with a sweep is asked from
        the beginning, and what it asks for as it did before is answered with what came out then."""
        asked = _numbered(batch, first)[: None if self._options.trials is None else self._options.trials - first]
        known = {trial.index: self._past[trial.index] for trial in asked if self._is_known(trial)}
        if left := _left(asked, known, self._options):
            self._work.run(self._known(left, total=self._options.trials))
        ended = {record.origin.index: record for record in self._board.records}
        if len(asked) < len(batch) or any(trial.index not in ended for trial in asked):
            raise _Enough
        return [_result(ended[trial.index]) for trial in asked]

    def _is_known(self, trial: Trial) -> bool:
        return trial.index in self._past and self._past[trial.index].overrides == tuple(map(mask, trial.overrides))


def _direction(plan: Plan) -> bool | None:
    chosen = plan.search.direction if plan.search is not None else None
    return None if chosen is None else chosen == "maximize"


def _common(plan: Plan) -> frozenset[str]:
    """The overrides that all trials have, which tell none from another."""
    if plan.search is not None:
        return frozenset(plan.search.fixed)
    return frozenset.intersection(*map(frozenset, plan.trials)) if len(plan.trials) > 1 else frozenset()


def _result(record: RunRecord) -> config.TrialResult:
    values = dict(record.metrics)
    return config.TrialResult(
        return_value=next(iter(values.values())) if len(values) == 1 else values,
        failed=record.status is not RunStatus.SUCCEEDED,
        overrides=record.overrides,
    )
