"""An experiment run again and again with one seed, and what came out otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from kit import _clock, _probe, evidence, runs, worktrees
from kit._probe import Asked
from kit.errors import Cancelled, RunError, TimedOut
from kit.evidence import Evidence, same
from kit.models import Config, MetricPoint, Probe, RunRecord, RunSpec
from kit.planning import Draft, new_id
from kit.project import Project
from kit.states import RunStatus
from kit.trackers.spool import points_of
from kit.verdicts import Finding, judge

__all__ = ["CONFIG", "INPUTS", "TAG", "Ended", "Repeating", "findings"]

T = TypeVar("T")
TAG = "kit.check"
"""The tag that marks the runs of a check; its value is `determinism`."""
CONFIG = "config"
"""Held in addition to what `kit._probe` holds: the config as it was composed for the first run."""
INPUTS = "inputs"
"""And the project's files: the run is made from a copy of them as they were before the first run."""

_SECONDS, _TIMES = 60.0, 10.0
"""A run with something held fixed may take longer: so many seconds, and so many times what the first one took."""
_OWN_NAME = "(this run)"


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended.

    Attributes:
        points: Every point that it logged, in order.
        held: What was held fixed in it.
        asked: The places of the task that asked for something of that.
    """

    record: RunRecord
    spec: RunSpec
    evidence: Evidence
    points: tuple[MetricPoint, ...]
    held: tuple[str, ...] = ()
    asked: tuple[Asked, ...] = ()


class Repeating:
    """The runs of one experiment, one after the other.

    Args:
        project: Where.
        request: What to run.
        ignore: Patterns of the names of metrics, parameters and artifacts that need not be the same.
        on_end: Called with each run as it ends.
    """

    def __init__(
        self, project: Project, request: runs.Request, *, ignore: tuple[str, ...], on_end: Callable[[Ended], None]
    ) -> None:
        self._project = project
        self._request = request
        self._ignore = ignore
        self._on_end = on_end
        self._first: Ended | None = None

    def run(self, held: tuple[str, ...] = (), *, hash_seed: int | None = None) -> Ended:
        """Run it once more, with the first one's seed.

        Args:
            held: What to hold fixed; such a run may fail or take too long.
            hash_seed: The interpreter's, instead of the one that every run has.

        Raises:
            UserError: If it cannot be run as it is.
            RunError: If it is stopped.
        """
        with self._place(held) as project:
            spec = self._plan(project, held)
            if held or hash_seed is not None:
                spec = self._probed(spec, held, hash_seed)
            runs.see_through(project, spec)
        if not held:
            runs.expect_accepted(self._project, spec.run_id)
        ended = self._collect(spec, held)
        self._first = self._first or ended
        self._on_end(ended)
        return ended

    @contextlib.contextmanager
    def _place(self, held: tuple[str, ...]) -> Iterator[Project]:
        if INPUTS not in held or self._first is None:
            yield self._project
            return
        with worktrees.restored(self._project, self._first.spec, new_id()) as copy:
            yield copy

    def _plan(self, project: Project, held: tuple[str, ...]) -> RunSpec:
        drafted = runs.draft(project, self._request)
        tags = {**self._request.tags, TAG: "determinism"}
        if held:
            tags[f"{TAG}.held"] = ", ".join(held)
        if self._first is not None:
            tags[f"{TAG}.first"] = self._first.record.run_id
            drafted = replace(drafted, seed=self._first.spec.snapshot.seed)
            if CONFIG in held:
                drafted = _with_config(drafted, self._first)
        return runs.plan(project, replace(drafted, request=replace(drafted.request, tags=tags)))

    def _probed(self, spec: RunSpec, held: tuple[str, ...], hash_seed: int | None) -> RunSpec:
        first = spec if self._first is None else self._first.spec
        taken = None if self._first is None else self._first.record.duration(_clock.now())
        probe = Probe(
            tuple(kind for kind in held if kind in _probe.HELD), first.snapshot.taken_at.timestamp(), hash_seed
        )
        return replace(spec, probe=probe, limits=replace(spec.limits, timeout=_SECONDS + _TIMES * (taken or 0.0)))

    def _collect(self, spec: RunSpec, held: tuple[str, ...]) -> Ended:
        record = runs.ended(self._project, spec.run_id)
        _refuse_stopped(record, patient=not held)
        paths = self._project.paths.run(spec.run_id)
        produced = evidence.collect(self._project, record)
        return Ended(record, spec, produced, tuple(points_of(paths.spool)), held, _probe.read(paths.asked))

    def produced(self, ended: Ended) -> bool:
        """Whether there is anything to compare."""
        names = (*ended.evidence.series, *ended.evidence.artifacts)
        return not all(_is_ignored(name, self._ignore) for name in names)

    def findings(self, old: Ended, new: Ended) -> tuple[Finding, ...]:
        """What came out otherwise and counts."""
        return findings(old, new, ignore=self._ignore)


def findings(old: Ended, new: Ended, *, ignore: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """What came out otherwise, in the order in which it was logged; parameters and artifacts at last.

    Args:
        ignore: Patterns of the names of what need not be the same.
    """
    found = judge(_as_any_run(old), _as_any_run(new))
    places = _places(old.points, new.points)
    counts = [finding for finding in found if not _is_ignored(finding.name, ignore)]
    return tuple(sorted(counts, key=lambda finding: _rank(finding, places)))


def _is_ignored(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _with_config(drafted: Draft, first: Ended) -> Draft:
    values: Config = _renamed(first.spec.config, first.record.run_id, drafted.run_id)
    return replace(drafted, composed=replace(drafted.composed, config=dict(values)))


def _renamed(value: T, old: str, new: str) -> T:
    """The same, with a run's name in every text replaced by that of another: a config may hold its own folder."""
    renamed: Any = value
    if isinstance(value, str):
        renamed = value.replace(old, new)
    elif isinstance(value, Mapping):
        renamed = {_renamed(key, old, new): _renamed(child, old, new) for key, child in value.items()}
    elif isinstance(value, list):
        renamed = [_renamed(child, old, new) for child in value]
    return renamed  # type: ignore[no-any-return]


def _as_any_run(ended: Ended) -> Evidence:
    produced, name = ended.evidence, ended.record.run_id
    return replace(
        produced,
        params=_renamed(produced.params, name, _OWN_NAME),
        artifacts=_renamed(produced.artifacts, name, _OWN_NAME),
    )


def _refuse_stopped(record: RunRecord, *, patient: bool) -> None:
    """Raises:
    RunError: If somebody stopped the run, and not the task: that says nothing about it.
    """
    what, fix = f"run {record.run_id}: {record.reason or record.status}", f"See it with `kit show {record.run_id}`."
    if record.status is RunStatus.CANCELLED:
        raise Cancelled(what, fix=fix)
    if record.status is RunStatus.LOST:
        raise RunError(what, fix=fix)
    if record.status is RunStatus.TIMED_OUT and patient:
        raise TimedOut(what, fix=fix)


def _places(old: tuple[MetricPoint, ...], new: tuple[MetricPoint, ...]) -> dict[str, int]:
    """Of each metric that is not the same, where in the log the first point lies that is not."""
    before, after = _by_metric(old), _by_metric(new)
    places = {}
    for key in {*before, *after}:
        one, other = before.get(key, []), after.get(key, [])
        apart = (index for index, pair in enumerate(zip(one, other, strict=False)) if not _is_same(*pair))
        index = next(apart, min(len(one), len(other)))
        longer = one if len(one) > index else other
        if index < len(longer):
            places[key] = longer[index][0]
    return places


def _by_metric(points: tuple[MetricPoint, ...]) -> dict[str, list[tuple[int, MetricPoint]]]:
    series: dict[str, list[tuple[int, MetricPoint]]] = {}
    for place, point in enumerate(points):
        series.setdefault(point.key, []).append((place, point))
    return series


def _is_same(one: tuple[int, MetricPoint], other: tuple[int, MetricPoint]) -> bool:
    return one[1].step == other[1].step and same(one[1].value, other[1].value)


def _rank(finding: Finding, places: Mapping[str, int]) -> tuple[int, int]:
    """Points that both runs have come first; where one run has none, how it ended says more."""
    if finding.kind == "metric":
        lacks = finding.old is None or finding.new is None
        return (2 if lacks else 0), places.get(finding.name, len(places))
    return {"status": 1, "parameter": 3, "artifact": 4}[finding.kind], 0
