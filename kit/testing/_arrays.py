"""Predictions, features and metrics of any framework as NumPy arrays with names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "apart", "by_row", "different", "leaves", "row_names", "take", "worst"]

Array = NDArray[Any]

_SHOWN = 5
"""Rows that a message names: the worst. All of a thousand would be read by nobody."""


def leaves(value: Any, name: str = "") -> dict[str, Array]:
    """What `value` consists of: arrays, tensors, tables by column, and what mappings and sequences of these hold.

    Raises:
        TypeError: If something else is in it.
    """
    return dict(_leaves(value, name))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Array]]:
    if isinstance(value, Mapping):
        for key in value:
            yield from _leaves(value[key], f"{name}.{key}" if name else str(key))
    elif _is_table(value):
        for key in value.columns:
            yield from _leaves(value[key], f"{name}.{key}" if name else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes) and not _is_plain(value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}[{index}]")
    else:
        yield name, _array(value)


def _is_table(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "__getitem__")


def _is_plain(value: Sequence[Any]) -> bool:
    return all(isinstance(item, str | int | float | complex | np.generic) for item in value)


def _array(value: Any) -> Array:
    if hasattr(value, "detach"):  # a PyTorch tensor, on whichever device
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value  # NumPy has no such numbers
    array = np.asarray(value)
    if array.ndim == 0 and array.dtype == object and value is not None:
        raise TypeError(f"{type(value).__name__} cannot be compared: give arrays, tables, tensors or numbers")
    return array


def by_row(value: Any, rows: int, what: str) -> dict[str, Array]:
    """The same, where each has one entry for each row.

    Raises:
        AssertionError: If one has not.
    """
    __tracebackhide__ = True
    found = leaves(value)
    for name, array in found.items():
        if array.ndim == 0 or len(array) != rows:
            called = f"{what} {name}".rstrip()
            raise AssertionError(f"{called} has shape {array.shape}, not one entry for each of {rows} rows")
    return found


def row_names(rows: Any) -> list[str]:
    """What the rows are called: by a table's index, else by place."""
    index = getattr(rows, "index", None)
    return [str(name) for name in (range(len(rows)) if index is None or callable(index) else index)]


def take(rows: Any, places: Sequence[int]) -> Any:
    """Some rows, of the same kind as all."""
    if hasattr(rows, "iloc"):
        return rows.iloc[list(places)]
    return [rows[place] for place in places] if isinstance(rows, list | tuple) else rows[list(places)]


def apart(one: Array, other: Array) -> Array:
    """How far each entry is from the other; of what is no number, 0 or infinitely far. NaN is near to NaN."""
    if one.dtype.kind in "fiub" and other.dtype.kind in "fiub":
        with np.errstate(invalid="ignore"):
            far = np.abs(one.astype(np.float64) - other.astype(np.float64))
        same = (one == other) | (np.isnan(one.astype(np.float64)) & np.isnan(other.astype(np.float64)))
        return np.where(same, 0.0, np.where(np.isnan(far), np.inf, far))
    one, other = one.astype(object), other.astype(object)
    missing = np.asarray(one != one, dtype=bool) & np.asarray(other != other, dtype=bool)  # noqa: PLR0124 - NaN
    return np.where(np.asarray(one == other, dtype=bool) | missing, 0.0, np.inf)


def different(one: Mapping[str, Array], other: Mapping[str, Array], tolerance: float) -> list[str]:
    """What of the one is not as in the other, a line each; empty if all is."""
    lines = []
    for name in dict.fromkeys([*one, *other]):
        called = name or "result"
        if name not in one or name not in other:
            lines.append(f"{called} is there once only")
        elif one[name].shape != other[name].shape:
            lines.append(f"{called} has shape {one[name].shape} and then {other[name].shape}")
        elif (far := apart(one[name], other[name])).size and not np.all(far <= tolerance):
            place = np.unravel_index(int(np.argmax(far)), far.shape)
            where = f" at {', '.join(map(str, place))}" if place else ""
            by = f" by {far[place]:.3g}" if np.isfinite(far[place]) else ""
            lines.append(f"{called} differs{by}{where}: {one[name][place]} and then {other[name][place]}")
    return lines


def worst(excess: Array, names: Sequence[str], was: Array, became: Array) -> list[str]:
    """The rows of which `excess` is above 0, the worst first, a line each.

    Args:
        excess: By how much each row breaks what was expected of it.
        was: What was predicted before, for each row.
        became: And after.
    """
    flat = excess.reshape(len(excess), -1).max(axis=1)
    order = [int(row) for row in np.argsort(-flat, kind="stable") if flat[row] > 0]
    lines = [f"row {names[row]}: {_shown(was[row])} became {_shown(became[row])}" for row in order[:_SHOWN]]
    return [*lines, f"and {len(order) - _SHOWN} more"] if len(order) > _SHOWN else lines


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
