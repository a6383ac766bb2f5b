"""A sweep as parallel coordinates: a line for each trial, through what it was given, to what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kit._files import write_atomic
from kit.models import RunRecord
from kit.sweeps._options import Goal

__all__ = ["can_draw", "choices_of", "draw"]

_AXES = 12
_LABEL = 14
_APART = 0.035


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    ticks: tuple[tuple[float, str], ...]
    places: tuple[float, ...]
    """Of each trial, between 0 and 1."""


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return find_spec("matplotlib") is not None


def choices_of(records: Sequence[RunRecord]) -> dict[str, list[str]]:
    """The keys that the trials' overrides give different values, and what each trial has: nothing where it has none."""
    given = [dict(text.partition("=")[::2] for text in record.overrides) for record in records]
    keys = dict.fromkeys(key for each in given for key in each)
    values = {key: [each.get(key, "") for each in given] for key in keys}
    return {key: column for key, column in values.items() if len(set(column)) > 1}


def draw(ranked: Sequence[RunRecord], goal: Goal, path: Path) -> None:
    """Draw trials that succeeded, the best first, into a PNG.

    Raises:
        OSError: If it cannot be written.
    """
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = list(choices_of(ranked).items())[:_AXES]
    outcome = _numbers(goal.metric, [f"{record.metrics[goal.metric]!r}" for record in ranked])
    axes = [_axis(name, column) for name, column in columns] + [outcome or _texts(goal.metric, [""] * len(ranked))]
    figure = Figure(figsize=(max(6.0, 1.8 * len(axes)), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    plot = figure.add_subplot()
    _lines(plot, axes, goal)
    for number, axis in enumerate(axes):
        _scale(plot, number, axis)
    plot.set_xticks(range(len(axes)), [_short(axis.name) for axis in axes])
    plot.set_yticks([])
    plot.set_ylim(-0.06, 1.06)
    plot.set_xlim(-0.3, len(axes) - 1 + 0.5)
    for spine in plot.spines.values():
        spine.set_visible(False)
    plot.tick_params(axis="x", length=0, pad=8)
    figure.suptitle(f"{len(ranked)} trials, {goal.words}", fontsize=10)
    figure.legend(loc="outside lower right", frameon=False, fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=150)
    write_atomic(path, out.getvalue())


def _lines(plot: object, axes: Sequence[_Axis], goal: Goal) -> None:
    """The best in front, and in a colour that is seen; the others by how good they are."""
    from matplotlib import colormaps

    colours = colormaps["viridis"]
    trials = len(axes[-1].places)
    for trial in reversed(range(trials)):
        good = axes[-1].places[trial] if goal.maximize else 1 - axes[-1].places[trial]
        best = trial == 0
        plot.plot(  # type: ignore[attr-defined]
            range(len(axes)),
            [axis.places[trial] for axis in axes],
            color="#d1495b" if best else colours(0.8 - 0.7 * good),
            linewidth=2.5 if best else 1.0,
            alpha=1.0 if best else 0.6,
            label="best" if best else None,
        )


def _scale(plot: object, number: int, axis: _Axis) -> None:
    plot.axvline(number, color="#999999", linewidth=0.8, zorder=0)  # type: ignore[attr-defined]
    for place, text in _apart(axis.ticks):
        plot.annotate(  # type: ignore[attr-defined]
            _short(text),
            (number, place),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=7,
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        )


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those that do not lie over one another; the ends in any case."""
    kept = [ticks[0]]
    for tick in ticks[1:-1]:
        if tick[0] - kept[-1][0] > _APART and ticks[-1][0] - tick[0] > _APART:
            kept.append(tick)
    return [*kept, *ticks[1:][-1:]]


def _axis(name: str, column: Sequence[str]) -> _Axis:
    return _numbers(name, column) or _texts(name, column)


def _numbers(name: str, column: Sequence[str]) -> _Axis | None:
    """A scale of numbers, logarithmic where they span more than two decades; None if one is no number."""
    from math import isfinite, log10

    try:
        values = [float(text) for text in column]
    except ValueError:
        return None
    if not all(map(isfinite, values)):
        return None
    low, high = min(values), max(values)
    log = low > 0 and high / low > 100
    scaled = [log10(value) if log else value for value in values]
    start, width = min(scaled), max(scaled) - min(scaled) or 1.0
    shown = sorted(set(values)) if len(set(values)) <= 6 else _between(low, high, log=log)
    ticks = tuple((((log10(value) if log else value) - start) / width, f"{value:.4g}") for value in shown)
    return _Axis(name, ticks, tuple((value - start) / width for value in scaled))


def _between(low: float, high: float, *, log: bool) -> list[float]:
    if log:
        return [low * (high / low) ** (part / 4) for part in range(5)]
    return [low + (high - low) * part / 4 for part in range(5)]


def _texts(name: str, column: Sequence[str]) -> _Axis:
    known: Mapping[str, int] = {text: number for number, text in enumerate(sorted(set(column)))}
    width = max(len(known) - 1, 1)
    return _Axis(
        name,
        tuple((number / width, text) for text, number in known.items()),
        tuple(known[text] / width for text in column),
    )


def _short(text: str) -> str:
    """The end of a long name is what tells it from others."""
    return text if len(text) <= _LABEL else f"…{text[1 - _LABEL :]}"
