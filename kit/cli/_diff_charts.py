"""Two runs' values of a metric, step by step, as lines for a small SVG chart. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

__all__ = ["HEIGHT", "WIDTH", "Chart", "Points", "Tick", "chart", "ticks"]

Points = Sequence[tuple[int, float]]
"""Steps, and the value at each."""

WIDTH, HEIGHT = 340, 160
"""Of the picture, in its own units; all positions are in these."""
LEFT, RIGHT, TOP, BOTTOM = 54, 332, 10, 136
"""Where the lines are drawn."""

_MOST = 300
"""Points of a line; more would not be seen."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What there is to draw. `old` and `new` are SVG paths, empty for a run that has no such values."""

    name: str
    old: str
    new: str
    values: tuple[Tick, ...]
    steps: tuple[Tick, ...]


def chart(name: str, old: Points, new: Points) -> Chart | None:
    """The chart of one metric; None if there is no line to draw in it."""
    if max(len(old), len(new)) < 2:
        return None
    finite = [(step, value) for step, value in (*old, *new) if math.isfinite(value)]
    if not finite:
        return None
    lines = [sorted(points, key=lambda point: point[0]) for points in (old, new)]
    first, last = min(step for step, _ in finite), max(step for step, _ in finite)
    low, high = _room(min(value for _, value in finite), max(value for _, value in finite))
    marks = ticks(low, high)
    low, high = min(low, marks[0]), max(high, marks[-1])
    across = _scale(first, last if last > first else first + 1, LEFT, RIGHT)
    up = _scale(low, high, BOTTOM, TOP)
    drawn = [_path(_thinned(points), across, up) for points in lines]
    return Chart(
        name=name,
        old=drawn[0],
        new=drawn[1],
        values=tuple(Tick(_round(up(value)), f"{value:.4g}") for value in marks),
        steps=tuple(Tick(_round(across(step)), f"{step:,}") for step in dict.fromkeys((first, last))),
    )


def ticks(low: float, high: float, *, about: int = 4) -> list[float]:
    """Round numbers, a few of them, from the last one up to `low` to the first one from `high`."""
    rough = high / about - low / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)  # 0.6 / 0.1 is not quite 6
    found = [number * step for number in range(first, last + 1)]
    return [value for value in found if math.isfinite(value)]


def _room(low: float, high: float) -> tuple[float, float]:
    """A range with some height: a line that is level runs in its middle."""
    if high / 2 - low / 2 <= max(abs(low), abs(high)) * 1e-12:
        half = abs(low) * 0.05 or 1.0
        return max(low - half, -1e308), min(high + half, 1e308)
    return low, high


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From `low`..`high` to `start`..`end`; halves, since the largest numbers have no difference."""
    span = high / 2 - low / 2
    if span == 0:  # whole numbers that are the same as floats
        return lambda _value: (start + end) / 2
    return lambda value: start + (end - start) * ((value / 2 - low / 2) / span)


def _thinned(points: Points) -> Points:
    """No more points than can be seen: of each piece its lowest and its highest, so that no peak is lost."""
    if len(points) <= _MOST:
        return points
    found: list[tuple[int, float]] = []
    pieces = _MOST // 2
    for index in range(pieces):
        piece = points[len(points) * index // pieces : len(points) * (index + 1) // pieces]
        ends = {min(piece, key=_value), max(piece, key=_value)}
        found += sorted(ends, key=piece.index)
    return found


def _value(point: tuple[int, float]) -> float:
    return point[1]


def _path(points: Iterable[tuple[int, float]], across: Callable[[float], float], up: Callable[[float], float]) -> str:
    """A line that stops at a value that is no number, and goes on behind it."""
    steps: list[str] = []
    begun = False
    for step, value in points:
        if math.isfinite(value):
            steps.append(f"{'L' if begun else 'M'}{_round(across(step)):g} {_round(up(value)):g}")
            if not begun:
                steps.append("h0")  # a point of its own is a dot
        begun = math.isfinite(value)
    return "".join(steps)


def _round(position: float) -> float:
    return round(position, 1)
