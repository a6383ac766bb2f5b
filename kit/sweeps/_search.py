"""Trials chosen one at a time by the results of those before: Optuna, asked and told."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kit.config import Dimension, Search
from kit.errors import HostError, RunError, UserError
from kit.models import MetricPoint, RunRecord
from kit.paths import ProjectPaths
from kit.states import RunStatus
from kit.sweeps._options import Options, smaller_is_better
from kit.sweeps._pool import Running, Trial
from kit.sweeps._work import is_left, is_pruned
from kit.trackers.spool import each_point

if TYPE_CHECKING:
    import optuna

__all__ = ["Searched"]


class Searched:
    """The trials of a search, those that were there before included.

    Args:
        past: The last run of each trial that there was.
        paths: Where runs keep what they logged.

    Raises:
        UserError: If it is not said which way is better.
        HostError: If Optuna is not installed.
    """

    def __init__(self, search: Search, options: Options, past: Mapping[int, RunRecord], paths: ProjectPaths) -> None:
        self._search = search
        self._paths = paths
        self.total: int | None = options.trials or search.n_trials
        self._metric = options.metric or search.metric
        self._distributions = {dimension.key: _distribution(dimension) for dimension in search.space}
        self._asked: dict[int, optuna.trial.Trial] = {}
        self._seen: dict[int, int] = {}
        self._doubted: dict[int, str] = {}
        self._next = max(past, default=-1) + 1
        self._left = [past[index] for index in sorted(past) if is_left(past[index], options)]
        self._study = _study(search, maximize=self._maximizes(options, past), begun=len(past))
        for index in sorted(past):
            if not is_left(past[index], options):
                self._add(past[index])

    def _maximizes(self, options: Options, past: Mapping[int, RunRecord]) -> bool:
        if options.maximize is not None:
            return options.maximize
        if self._search.direction is not None:
            return self._search.direction == "maximize"
        metric = self._metric or next((name for record in past.values() for name in record.metrics), None)
        if metric is not None and smaller_is_better(metric):
            return False
        fix = "Add `--minimize` or `--maximize`, or set `hydra.sweeper.direction`."
        raise UserError("a search has to know which way is better", where="command line", fix=fix)

    def next(self) -> Trial | None:
        if self._left:  # interrupted: it has its number, and its values
            record = self._left.pop(0)
            index = record.origin.index or 0
            self._study.enqueue_trial(self._params(record.overrides))
            return self._ask(index, record)
        if self._next >= (self.total or 0):
            return None
        self._next += 1
        return self._ask(self._next - 1, None)

    def _ask(self, index: int, stopped: RunRecord | None) -> Trial:
        asked = self._study.ask(self._distributions)
        self._asked[index] = asked
        chosen = (_override(dimension, asked.params[dimension.key]) for dimension in self._search.space)
        return Trial(index, (*chosen, *self._search.fixed), stopped=stopped)

    def look(self, running: Running) -> str | None:
        if self._metric is None or self._search.pruner == "none":
            return None
        asked = self._asked[running.trial.index]
        index = running.trial.index
        if (latest := self._report(index, running.run_id)) is not None and asked.should_prune():
            why = f"{self._metric} was {latest.value:.6g} at step {latest.step}, which others were better than"
            self._doubted.setdefault(index, why)
            return None  # it may have been its last word: one that is still there the next time goes on
        return self._doubted.get(index)

    def _report(self, index: int, run_id: str) -> MetricPoint | None:
        """Hand on what the trial logged since; gives the last point of it."""
        latest, seen = None, self._seen.get(index, -1)
        for point in each_point(self._paths.run(run_id).spool):
            if point.key == self._metric and point.step > seen:
                self._asked[index].report(point.value, point.step)
                self._seen[index] = seen = point.step
                latest = point
        return latest

    def tell(self, trial: Trial, record: RunRecord) -> None:
        from optuna.trial import TrialState

        asked = self._asked.pop(trial.index)
        if record.status is RunStatus.SUCCEEDED:
            value = self._value(record)
            self._report_rest(asked, record, trial.index)
            if value is None or value != value:  # noqa: PLR0124 - not a number
                self._study.tell(asked, state=TrialState.FAIL)
            else:
                self._study.tell(asked, value)
        else:
            self._study.tell(asked, state=TrialState.PRUNED if is_pruned(record) else TrialState.FAIL)

    def _report_rest(self, asked: optuna.trial.Trial, record: RunRecord, index: int) -> None:
        self._asked[index] = asked
        self._report(index, record.run_id)
        del self._asked[index]

    def _value(self, record: RunRecord) -> float | None:
        """Raises:
        UserError: If the task returns several metrics and nobody said which one counts.
        RunError: If it does not return the one that counts.
        """
        if self._metric is None:
            if len(record.metrics) != 1:
                names = ", ".join(list(record.metrics)[:8]) or "none"
                fix = "Add `--metric NAME`, or set `hydra.sweeper.metric`; `--resume` goes on with this sweep."
                raise UserError(f"a search goes by one metric, and its trials have {names}", fix=fix)
            (self._metric,) = record.metrics
        if self._metric not in record.metrics:
            names = ", ".join(list(record.metrics)[:8]) or "none"
            fix = "Choose one that the task returns or logs."
            raise RunError(f"run {record.run_id} has no metric {self._metric!r}, only {names}", fix=fix)
        return record.metrics[self._metric]

    def _add(self, record: RunRecord) -> None:
        """A trial of before, as the study would know it."""
        import optuna
        from optuna.trial import TrialState

        params = self._params(record.overrides)
        if set(params) != set(self._distributions):
            return
        state, value = TrialState.FAIL, None
        if is_pruned(record):
            state = TrialState.PRUNED
        elif record.status is RunStatus.SUCCEEDED and (value := self._value(record)) is not None and value == value:  # noqa: PLR0124
            state = TrialState.COMPLETE
        points = each_point(self._paths.run(record.run_id).spool)
        steps = {point.step: point.value for point in points if point.key == self._metric and point.step >= 0}
        self._study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=value if state is TrialState.COMPLETE else None,
                params=params,
                distributions=self._distributions,
                intermediate_values=steps,
            )
        )

    def _params(self, overrides: tuple[str, ...]) -> dict[str, Any]:
        """The values that were chosen, read from the overrides that were made of them."""
        given = dict(text.split("=", 1) for text in overrides if "=" in text)
        readers: dict[str, Callable[[str], Any]] = {"float": float, "int": int, "choice": str}
        return {
            dimension.key: readers[dimension.kind](given[dimension.key])
            for dimension in self._search.space
            if dimension.key in given
        }


def _override(dimension: Dimension, value: object) -> str:
    return f"{dimension.key}={value if dimension.kind == 'choice' else repr(value)}"


def _distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    _check_installed()
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension.kind:
        case "choice":
            return CategoricalDistribution(dimension.choices)
        case "int":
            step = 1 if dimension.step is None else int(dimension.step)
            return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=step)
        case "float":
            return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _study(search: Search, *, maximize: bool, begun: int) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A search that goes on does not ask for the same values once more.
    seed = None if search.seed is None else search.seed + begun
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.RandomSampler(seed=seed)
            if search.sampler == "random"
            else optuna.samplers.TPESampler(seed=seed, constant_liar=True)  # several at a time look at several places
        )
    pruners: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
        "median": optuna.pruners.MedianPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
        "none": optuna.pruners.NopPruner,
    }
    return optuna.create_study(
        sampler=sampler, pruner=pruners[search.pruner](), direction="maximize" if maximize else "minimize"
    )


def _check_installed() -> None:
    """Raises:
    HostError: If Optuna is not there.
    """
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise HostError("hydra/sweeper=optuna needs Optuna, which is not installed", fix="`uv add 'mlekit[sweep]'`")
