"""How much of a metric's change each thing that changed is responsible for, found out by running combinations."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from kit import compare
from kit._near import did_you_mean, nearest
from kit.compare import Change, Difference
from kit.errors import UserError
from kit.models import Origin, RunRecord, RunSpec
from kit.project import Project
from kit.rerun import Recipe, rerun
from kit.runs import Watch
from kit.states import RunStatus

__all__ = ["Explanation", "Factor", "Share", "explain", "factors_of", "mix", "outcome", "value_of"]


class Factor(StrEnum):
    """What a run is made from and another may have otherwise."""

    DATA = "data"
    CODE = "code"
    ENVIRONMENT = "environment"
    CONFIG = "config"
    SEED = "seed"


@dataclass(frozen=True, slots=True)
class Share:
    """What one factor does to the metric.

    Attributes:
        what: The changes of it, in short.
        effect: The change of the metric that it is responsible for; None where no combination that tells could run.
        lowest, highest: The effects that were seen. They differ where it depends on the other factors.
    """

    factor: Factor
    what: tuple[str, ...]
    effect: float | None
    lowest: float | None
    highest: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a metric came from one run's value to another's.

    Attributes:
        before, after: The metric of both runs.
        shares: One for each factor that changed.
        noise: Half the range of the metric over runs that differ in nothing but the seed; None if that was not asked
            for, or none of them succeeded.
        tried: The runs that were made for it.
        notes: What a reader of the shares should know.
    """

    old: RunRecord
    new: RunRecord
    metric: str
    before: float
    after: float
    shares: tuple[Share, ...]
    noise: float | None
    tried: tuple[RunRecord, ...]
    notes: tuple[str, ...]

    @property
    def change(self) -> float:
        return self.after - self.before


def explain(
    project: Project,
    old: RunRecord,
    new: RunRecord,
    *,
    metric: str | None,
    seeds: int,
    here: bool,
    watch: Watch,
) -> Explanation:
    """Find out which change is responsible for which part of a metric's change.

    What changed is put into the old run one after the other, in one order and in the opposite one, and each effect is
    the mean of the two: with two changes that is their Shapley value, and in any case the effects add up to the whole
    change. It takes 2 (n - 1) runs for n changes.

    Args:
        project: Where the runs are.
        old, new: Two runs that have ended.
        metric: Which; None for the first that changed.
        seeds: How many more runs of `new`, with other seeds, show how much the metric varies by itself.
        here: Run in this environment; packages are no factor then.
        watch: Shows each run.

    Raises:
        UserError: If the runs cannot be compared, or do not have the metric; or if nothing can be run.
        ServiceError: If data or packages can neither be found nor fetched.
    """
    difference = compare.compare(project, old, new)
    metric = metric or _first_changed(difference)
    before, after = (value_of(record, metric) for record in (old, new))
    was, became = (compare.spec_of(project, record) for record in (old, new))
    changed = factors_of(difference, was, became, config_dir=project.settings.config_dir)
    trials = _Trials(project, new, metric, here=here, watch=watch)
    if here and (packages := changed.pop(Factor.ENVIRONMENT, ())):
        trials.notes.append(f"what changed in the packages ({len(packages)}) is left out: all ran in this environment")
    order = list(changed)
    known: dict[frozenset[Factor], float | None] = {frozenset(): before, frozenset(order): after}
    for chosen in _paths(order):
        if chosen not in known:
            known[chosen] = trials.combined(mix(was, became, chosen), chosen)
    noise = _half_range(after, trials.reseeded(became, seeds))
    if trials.refused and not trials.made:
        raise trials.refused[0]
    shares = tuple(_share(factor, changed[factor], order, known) for factor in order)
    return Explanation(old, new, metric, before, after, shares, noise, tuple(trials.made), tuple(trials.notes))


class _Trials:
    """The runs that are made to explain the metric of one."""

    def __init__(self, project: Project, new: RunRecord, metric: str, *, here: bool, watch: Watch) -> None:
        self._project = project
        self._new = new
        self._metric = metric
        self._here = here
        self._watch = watch
        self.made: list[RunRecord] = []
        self.refused: list[UserError] = []
        self.notes: list[str] = []

    def combined(self, recipe: Recipe, chosen: frozenset[Factor]) -> float | None:
        """The metric of a run with these parts of the new run; None if that does not work."""
        value, why = self._value(recipe, chosen)
        if value is None:
            self.notes.append(f"{_named(chosen)} of the new run with the rest of the old one does not work: {why}")
        return value

    def reseeded(self, spec: RunSpec, count: int) -> list[float]:
        """The metric of runs that are the new one with other seeds; of those that succeeded."""
        seeds = (spec.snapshot.seed + number for number in range(1, count + 1))
        found = [self._value(replace(Recipe.of(spec), seed=seed), {Factor.SEED}) for seed in seeds]
        if failed := [why for value, why in found if value is None]:
            note = f"{len(failed)} of {count} runs with another seed did not work: {failed[0]}"
            self.notes.append(note if len(failed) < count else f"{note}; how much it varies by itself is not known")
        return [value for value, _ in found if value is not None]

    def _value(self, recipe: Recipe, chosen: Iterable[Factor]) -> tuple[float | None, str]:
        """The metric of a run, or why there is none."""
        tags = {"kit.from_new": _named(chosen)}
        origin = Origin("explain", self._new.run_id)
        try:
            record = rerun(self._project, recipe, origin=origin, watch=self._watch, here=self._here, tags=tags).record
        except UserError as error:  # the code of one run does not know a key of the other's config, say
            self.refused.append(error)
            return None, str(error)
        self.made.append(record)
        return outcome(record, self._metric)


def _half_range(after: float, others: Sequence[float]) -> float | None:
    return (max(after, *others) - min(after, *others)) / 2 if others else None


def factors_of(found: Difference, old: RunSpec, new: RunSpec, *, config_dir: str) -> dict[Factor, tuple[str, ...]]:
    """What is not the same in two runs, in short, by factor."""
    records = {version.source for spec in (old, new) for version in spec.snapshot.data}
    files = [patch.path for patch in found.files]
    code = [name for name in files if name not in records and not name.startswith(f"{config_dir}/")]
    named = {
        Factor.DATA: [change.name for change in found.data],
        Factor.CODE: [*sorted(code, key=_is_prose), *(change.name for change in found.omitted)],
        Factor.ENVIRONMENT: [_as_text(change) for change in found.installed],
        Factor.CONFIG: [_as_text(change) for change in found.values],
        Factor.SEED: [_as_text(found.seed)] if found.seed else [],
    }
    return {factor: tuple(names) for factor, names in named.items() if names}


def _is_prose(name: str) -> bool:
    """Whether a file is hardly what makes a metric move."""
    return name.endswith((".md", ".rst", ".txt", ".ipynb"))


def _as_text(change: Change) -> str:
    return f"{change.name.strip('()')} {change.old or '(none)'} → {change.new or '(none)'}"


def _first_changed(found: Difference) -> str:
    changed = [m.name for m in found.metrics if m.change is not None and m.change != 0 and math.isfinite(m.change)]
    if not changed:
        raise UserError("the runs have no metric that changed", fix="See what differs with `kit diff`.")
    return changed[0]


def value_of(record: RunRecord, metric: str) -> float:
    """A metric of a run.

    Raises:
        UserError: If it has none of that name, or one that is no number.
    """
    if (value := record.metrics.get(metric)) is not None and math.isfinite(value):
        return value
    hint = did_you_mean(nearest(metric, record.metrics)) or f"It has {', '.join(record.metrics) or 'none at all'}."
    raise UserError(f"run {record.run_id} has no metric {metric!r} that is a number", fix=hint)


def outcome(record: RunRecord, metric: str) -> tuple[float | None, str]:
    """A metric of a run that was made to learn it; None if it does not count, and why."""
    value = record.metrics.get(metric)
    if record.status is not RunStatus.SUCCEEDED:
        return None, record.reason or str(record.status)
    if value is None or not math.isfinite(value):
        return None, f"it has no {metric} that is a number"
    return value, ""


def _paths(order: Sequence[Factor]) -> Iterable[frozenset[Factor]]:
    """What is taken from the new run, step by step: in this order, and in the opposite one."""
    for path in (order, order[::-1]):
        yield from (frozenset(path[:count]) for count in range(1, len(path)))


def mix(old: RunSpec, new: RunSpec, chosen: Collection[Factor], *, exact: bool = True) -> Recipe:
    """The recipe of a run with these parts of the new run and the others of the old one.

    Args:
        exact: Whether the config's values count as they were recorded, whatever composing gives today.
    """

    def pick(factor: Factor) -> RunSpec:
        return new if factor in chosen else old

    return Recipe(
        code=pick(Factor.CODE),
        config=pick(Factor.CONFIG),
        data=pick(Factor.DATA),
        environment=pick(Factor.ENVIRONMENT).snapshot.environment,
        seed=pick(Factor.SEED).snapshot.seed,
        exact=exact,
    )


def _named(chosen: Iterable[Factor]) -> str:
    return ", ".join(sorted(factor.value for factor in chosen))


def _share(
    factor: Factor, what: tuple[str, ...], order: Sequence[Factor], known: Mapping[frozenset[Factor], float | None]
) -> Share:
    effects = []
    for path in (order, order[::-1]):
        place = path.index(factor)
        without, with_it = known.get(frozenset(path[:place])), known.get(frozenset(path[: place + 1]))
        if without is not None and with_it is not None:
            effects.append(with_it - without)
    if not effects:
        return Share(factor, what, None, None, None)
    return Share(factor, what, statistics.fmean(effects), min(effects), max(effects))
