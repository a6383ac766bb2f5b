"""How much of a metric's change each thing that changed is responsible for, found out by running combinations."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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

__all__ = ["Explanation", "Factor", "Share", "explain", "factors_of", "value_of"]


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
    """Attributes:
    before, after: The metric of both runs.
    shares: One for each factor that changed.
    noise: Half the range of the metric over runs that differ in nothing but the seed; None if that was not asked for.
    tried: The runs that were made for it.
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
        UserError: If the runs cannot be compared, or do not have the metric; or a snapshot is gone.
        ServiceError: If data or packages can neither be found nor fetched.
    """
    difference = compare.compare(project, old, new)
    metric = metric or _first_changed(difference)
    before, after = (value_of(record, metric) for record in (old, new))
    specs = {"old": compare.spec_of(project, old), "new": compare.spec_of(project, new)}
    changed = factors_of(difference, specs["old"], specs["new"], config_dir=project.settings.config_dir)
    if here:
        changed.pop(Factor.ENVIRONMENT, None)
    order = list(changed)
    known: dict[frozenset[Factor], float | None] = {frozenset(): before, frozenset(order): after}
    tried: list[RunRecord] = []
    notes: list[str] = []
    for chosen in (*_paths(order),) if len(order) > 1 else ():
        if chosen in known:
            continue
        recipe = _mix(specs["old"], specs["new"], chosen)
        record = _run(project, recipe, new, chosen, here=here, watch=watch)
        tried.append(record)
        known[chosen] = record.metrics.get(metric)
        if record.status is not RunStatus.SUCCEEDED:
            notes.append(f"{_named(chosen)} of the new run with the rest of the old one does not work: {record.reason}")
    noise = None
    if seeds:
        recipe = _mix(specs["old"], specs["new"], frozenset(order))
        others = [
            _run(project, _reseeded(recipe, n), new, {Factor.SEED}, here=here, watch=watch) for n in range(1, seeds + 1)
        ]
        tried.extend(others)
        values = [after, *(record.metrics[metric] for record in others if metric in record.metrics)]
        noise = (max(values) - min(values)) / 2
    shares = tuple(_share(factor, changed[factor], order, known) for factor in order)
    return Explanation(old, new, metric, before, after, shares, noise, tuple(tried), tuple(notes))


def factors_of(found: Difference, old: RunSpec, new: RunSpec, *, config_dir: str) -> dict[Factor, tuple[str, ...]]:
    """What is not the same in two runs, in short, by factor."""
    records = {version.source for spec in (old, new) for version in spec.snapshot.data}
    files = [patch.path for patch in found.files]
    code = [name for name in files if name not in records and not name.startswith(f"{config_dir}/")]
    named = {
        Factor.DATA: [change.name for change in found.data],
        Factor.CODE: [*sorted(code, key=_is_prose), *(change.name for change in found.omitted)],
        Factor.ENVIRONMENT: [_as_text(c) for c in found.environment if c.name != "(lock)"],
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


def _paths(order: Sequence[Factor]) -> Iterable[frozenset[Factor]]:
    """What is taken from the new run, step by step: in this order, and in the opposite one."""
    for path in (order, order[::-1]):
        yield from (frozenset(path[:count]) for count in range(1, len(path)))


def _mix(old: RunSpec, new: RunSpec, chosen: frozenset[Factor]) -> Recipe:
    def pick(factor: Factor) -> RunSpec:
        return new if factor in chosen else old

    return Recipe(
        code=pick(Factor.CODE),
        config=pick(Factor.CONFIG),
        data=pick(Factor.DATA),
        environment=pick(Factor.ENVIRONMENT).snapshot.environment,
        seed=pick(Factor.SEED).snapshot.seed,
        exact=True,
    )


def _reseeded(recipe: Recipe, number: int) -> Recipe:
    return Recipe(
        recipe.code, recipe.config, recipe.data, recipe.environment, (recipe.seed or 0) + number, exact=recipe.exact
    )


def _run(
    project: Project, recipe: Recipe, new: RunRecord, chosen: Iterable[Factor], *, here: bool, watch: Watch
) -> RunRecord:
    tags = {"kit.from_new": _named(chosen)}
    return rerun(project, recipe, origin=Origin("explain", new.run_id), watch=watch, here=here, tags=tags).record


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
