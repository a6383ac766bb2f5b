"""Whether two runs produced the same, and if not, what is to blame. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Literal

from kit.compare import Change, Difference
from kit.errors import UserError
from kit.evidence import Evidence, Point, same

__all__ = [
    "Finding",
    "Suspect",
    "SuspectKind",
    "Tolerance",
    "Verdict",
    "conclude",
    "judge",
    "parse_tolerance",
    "suspects",
]


class Verdict(StrEnum):
    """How the result of a run that was repeated compares with the first one."""

    IDENTICAL = "identical"
    EQUAL = "equal"
    """Not bit for bit, but every metric is within the tolerance that was stated for it."""
    DIFFERENT = "different"


class SuspectKind(StrEnum):
    """What may have made a result different, the first suspicion first."""

    DATA = "data"
    CODE = "code"
    ENVIRONMENT = "environment"
    CONFIG = "config"
    SEED = "seed"
    HARDWARE = "hardware"
    NONDETERMINISM = "nondeterminism"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Suspect:
    """One recorded thing that was not the same; None where a run does not have it."""

    kind: SuspectKind
    name: str
    old: str | None = None
    new: str | None = None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two values may be apart: `|old - new| <= absolute` or `<= relative * |old|`."""

    absolute: float = 0.0
    relative: float = 0.0

    def allows(self, old: float, new: float) -> bool:
        if same(old, new):
            return True
        apart = abs(old - new)
        # From infinity everything is infinitely far, and so is any share of it.
        return math.isfinite(apart) and (apart <= self.absolute or apart <= self.relative * abs(old))

    def __str__(self) -> str:
        return f"{self.relative * 100:g} %" if self.relative else f"{self.absolute:g}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that came out otherwise.

    Attributes:
        name: Of the metric, parameter or artifact.
        step: Of a metric, the first at which it differs.
        tolerance: Of a metric, what was stated for it.
        tolerated: Whether it does not count.
    """

    kind: Literal["status", "metric", "parameter", "artifact"]
    name: str
    old: str | float | None
    new: str | float | None
    step: int | None = None
    tolerance: Tolerance | None = None
    tolerated: bool = False


def parse_tolerance(text: str) -> tuple[str, Tolerance]:
    """`METRIC=VALUE` or `VALUE` for every metric, named `*`; a value with `%` is relative to the old one.

    Raises:
        UserError: If the value is no number of 0 or more.
    """
    name, _, value = text.rpartition("=")
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        fix = "Write it like `--tolerance auc=0.001` or `--tolerance 1%`."
        raise UserError(f"--tolerance {text!r}: {value!r} is no tolerance", where="command line", fix=fix)
    return name or "*", Tolerance(relative=number / 100) if value.endswith("%") else Tolerance(absolute=number)


def judge(old: Evidence, new: Evidence, tolerances: Mapping[str, Tolerance] | None = None) -> tuple[Finding, ...]:
    """Everything that came out otherwise; empty if the runs produced the same, bit for bit.

    Artifacts whose content differs do not count where a tolerance was stated: a model with other weights is another
    file. One that is missing, or new, always counts.
    """
    return tuple(_findings(old, new, tolerances or {}))


def conclude(findings: Iterable[Finding]) -> Verdict:
    """What the findings come to."""
    tolerated = [finding.tolerated for finding in findings]
    if not tolerated:
        return Verdict.IDENTICAL
    return Verdict.EQUAL if all(tolerated) else Verdict.DIFFERENT


def suspects(found: Difference) -> tuple[Suspect, ...]:
    """What was not the same before the task began, in the order of suspicion."""
    return tuple(_suspects(found))


def _findings(old: Evidence, new: Evidence, tolerances: Mapping[str, Tolerance]) -> Iterator[Finding]:
    if old.status is not new.status:
        yield Finding("status", "status", old.status.value, new.status.value)
    for name in dict.fromkeys([*old.series, *new.series]):
        if finding := _of_metric(old, new, name, tolerances.get(name, tolerances.get("*"))):
            yield finding
    for name in sorted({*old.params, *new.params}):
        if old.params.get(name) != new.params.get(name):
            yield Finding("parameter", name, old.params.get(name), new.params.get(name))
    for name in sorted({*old.artifacts, *new.artifacts}) if old.folder and new.folder else ():
        one, other = old.artifacts.get(name), new.artifacts.get(name)
        if one != other:
            tolerated = bool(tolerances) and one is not None and other is not None
            yield Finding("artifact", name, one, other, tolerated=tolerated)


def _of_metric(old: Evidence, new: Evidence, name: str, tolerance: Tolerance | None) -> Finding | None:
    before, after = old.series.get(name, ()), new.series.get(name, ())
    if not (old.folder and new.folder):  # of one only the last value is known
        before, after = before[-1:], after[-1:]
        if before and after:
            before, after = (Point(0, before[0].value),), (Point(0, after[0].value),)
    apart = [(one, other) for one, other in zip_longest(before, after) if not _is_same(one, other)]
    if not apart:
        return None
    tolerated = tolerance is not None and all(
        one is not None and other is not None and one.step == other.step and tolerance.allows(one.value, other.value)
        for one, other in apart
    )
    one, other = apart[0]
    step = (one or other or Point(0, math.nan)).step
    was, became = (None if point is None else point.value for point in (one, other))
    return Finding("metric", name, was, became, step=step, tolerance=tolerance, tolerated=tolerated)


def _is_same(one: Point | None, other: Point | None) -> bool:
    return one is not None and other is not None and one.step == other.step and same(one.value, other.value)


def _suspects(found: Difference) -> Iterator[Suspect]:
    yield from _each(SuspectKind.DATA, found.data)
    for patch in found.files:
        yield Suspect(SuspectKind.CODE, patch.path)
    if found.note is not None:
        yield Suspect(SuspectKind.CODE, found.note)
    yield from _each(SuspectKind.CODE, found.omitted)
    yield from _each(SuspectKind.ENVIRONMENT, found.installed)
    yield from _each(SuspectKind.CONFIG, found.values)
    yield from _each(SuspectKind.SEED, [found.seed] if found.seed else [])
    yield from _each(SuspectKind.HARDWARE, found.host)


def _each(kind: SuspectKind, changes: Iterable[Change]) -> Iterator[Suspect]:
    for change in changes:
        yield Suspect(kind, change.name, change.old, change.new)
