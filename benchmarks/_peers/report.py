"""Medians, ratios, and tables of them. Nothing is asserted: a target that is missed says so."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Found", "Target", "as_json", "fires_of", "scaffolds", "shown", "table", "targets", "trial"]


@dataclass(slots=True)
class Found:
    """What was measured of one peer: seconds, and bytes, one for each round.

    Attributes:
        error: Why nothing more was measured, or nothing at all.
    """

    about: str = ""
    first: str | None = None
    sweeps: bool = True
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    sweep: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    scaffold: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    works: dict[str, int] = field(default_factory=dict)
    note: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio that is wanted, and the one that was measured; None where something for it is missing."""

    what: str
    wanted: str
    measured: float | None
    holds: bool | None


def middle(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def one(name: str, found: Mapping[str, Found]) -> float | None:
    """A run as a sweep of this peer begins it: with what is kept running, where something is."""
    its = found[found[name].first or name] if (found[name].first or name) in found else Found()
    return middle(its.warm) or middle(its.cold)


def trial(name: str, found: Mapping[str, Found], trials: int) -> float | None:
    """What each trial beyond the first costs. Without sweeps, another run."""
    first, sweep = one(name, found), middle(found[name].sweep)
    if first is None:
        return None
    if not found[name].sweeps:
        return first
    return None if sweep is None or trials < 2 else (sweep - first) / (trials - 1)


def ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None or base <= 0 else value / base


def targets(found: Mapping[str, Found], trials: int) -> list[Target]:
    """What issue 5 wants of the figures that are measured here."""
    kit, others = found.get("kit", Found()), {name: its for name, its in found.items() if name != "kit"}
    by_hand = middle(found.get("hydra", Found()).cold)
    singles = [value for its in others.values() for value in (middle(its.cold), middle(its.warm)) if value is not None]
    warm, cold = middle(kit.warm), middle(kit.cold)
    each = {name: trial(name, found, trials) for name in found}
    late = middle(kit.late)
    wanted = [
        ("warm run: by hand / kit", 15.0, ratio(by_hand, warm)),
        ("warm run: fastest peer / kit", 4.0, ratio(min(singles, default=None), warm)),
        ("cold run: by hand / kit --cold", 1.0, ratio(by_hand, cold)),
        ("a trial: Hydra's basic launcher / kit", 10.0, ratio(each.get("hydra"), each.get("kit"))),
        ("a trial: Guild / kit", 8.0, ratio(each.get("guild"), each.get("kit"))),
    ]
    made = [
        Target(what, f"at least {least:g}", value, None if value is None else value >= least)
        for what, least, value in wanted
    ]
    due = None if late is None else late * 1000
    return [*made, Target("due to user code, median ms", "under 150", due, None if due is None else due < 150)]


def table(found: Mapping[str, Found], trials: int) -> str:
    """One line for each peer: medians, and how many times kit's they are."""
    each = {name: trial(name, found, trials) for name in found}
    kit = found.get("kit", Found())
    warm, base = middle(kit.warm), each.get("kit")
    heads = [("cold run", 10), ("warm run", 10), ("x kit", 8), (f"{trials} trials", 11), ("a trial", 10), ("x kit", 8)]
    heads += [("peak MiB", 10), ("warm MiB", 10), ("stays MiB", 11)]
    lines = [" " * 10 + "".join(f"{head:>{width}}" for head, width in heads)]
    for name, its in found.items():
        best = middle(its.warm) or middle(its.cold)
        lines.append(
            f"{name:<10}{_seconds(middle(its.cold)):>10}{_seconds(middle(its.warm)):>10}{_times(ratio(best, warm)):>8}"
            f"{_seconds(middle(its.sweep)):>11}{_seconds(each[name]):>10}{_times(ratio(each[name], base)):>8}"
            + "".join(f"{_mib(its.memory.get(kind)):>{width}}" for kind, width in _MEMORY)
        )
        told = [text.strip().splitlines()[-1] for text in (its.note, its.error) if text]
        lines += [f"{'':<10}{text[:110]}" for text in told]
    return "\n".join(lines)


_MEMORY = (("cold", 10), ("warm", 10), ("stays", 11))


def scaffolds(found: Mapping[str, Found]) -> str:
    lines = [f"{'a new project':<44}{'median':>10}"]
    for its in found.values():
        lines += [f"{kind:<44}{_seconds(middle(values)):>10}" for kind, values in its.scaffold.items()]
    return "\n".join(lines) if len(lines) > 1 else ""


def fires_of(found: Mapping[str, Found]) -> str:
    """Below zero is before it was due."""
    lines = [f"{'due to user code':<18}{'fires':>7}{'median':>11}{'least':>11}{'most':>11}"]
    for name, its in found.items():
        if its.late:
            figures = (statistics.median(its.late), min(its.late), max(its.late))
            lines.append(f"{name:<18}{len(its.late):>7}" + "".join(f"{value * 1000:>8.0f} ms" for value in figures))
    return "\n".join(lines) if len(lines) > 1 else ""


def shown(wanted: Sequence[Target]) -> str:
    lines = [f"{'target':<42}{'wanted':>14}{'measured':>10}"]
    for each in wanted:
        held = {None: "not measured", True: "holds", False: "MISSED"}[each.holds]
        value = "-" if each.measured is None else f"{each.measured:.1f}"
        lines.append(f"{each.what:<42}{each.wanted:>14}{value:>10}  {held}")
    return "\n".join(lines)


def as_json(found: Mapping[str, Found], trials: int, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, raw figures included."""
    peers = {}
    for name, its in found.items():
        medians = {kind: middle(getattr(its, kind)) for kind in ("cold", "warm", "sweep", "late")}
        peers[name] = {
            "about": its.about,
            "error": its.error,
            "note": its.note,
            "medians": medians | {"trial": trial(name, found, trials)},
            "raw": {kind: getattr(its, kind) for kind in ("cold", "warm", "sweep", "late", "scaffold")},
            "memory_bytes": its.memory,
            "works": its.works,
        }
    wanted = [
        {"what": each.what, "wanted": each.wanted, "measured": each.measured, "holds": each.holds}
        for each in targets(found, trials)
    ]
    return {**about, "trials": trials, "targets": wanted, "peers": peers}


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _mib(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:.0f}"
