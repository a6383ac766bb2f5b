"""Arrays and tables: what they are, never what is in them, but for the smallest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from kit.capsule._classes import is_a, root

__all__ = ["LIBRARIES", "Said", "said_of"]

LIBRARIES = {"numpy", "pandas", "polars", "torch", "tensorflow", "jax", "jaxlib", "pyarrow", "scipy", "xarray", "cupy"}
"""Packages whose arrays and tables say by `shape` and `dtype` what they are."""

_SAYINGS = ("dtype", "device", "requires_grad", "columns", "dtypes", "schema", "nnz")
_COLUMNS = 30
_SMALL = 20


@dataclass(frozen=True, slots=True)
class Said:
    """`shape (500, 3), float64`, and the same apart: plain values."""

    text: str
    fields: dict[str, object]


def said_of(value: Any) -> Said | None:  # noqa: ANN401
    """What an array or table says of itself; None for what is none."""
    shape: Any = _attribute(value, "shape")
    shape = _attribute(value, "num_rows") if shape is None else shape
    if shape is None or is_a(value, type):
        return None
    numpys = root(type(value)) == "numpy"
    if numpys and shape == () and hasattr(type(value), "item"):
        return Said(repr(value.item()), {})
    shape = tuple(shape) if is_a(shape, tuple) else shape
    sayings = [name for name in _SAYINGS if not (numpys and name == "device")]  # it is `cpu`, always
    said = {name: told for name in sayings if (told := _attribute(value, name)) is not None}
    words = [f"shape {shape}" if type(shape) is tuple else f"{shape} rows"]
    words += [str(said[name]) for name in ("dtype", "device") if name in said]
    fields: dict[str, object] = {"shape": shape} | {name: _plain(told) for name, told in said.items()}
    if numpys and type(value).__name__ == "ndarray" and value.size <= _SMALL and value.dtype.kind in "biuf":
        fields["values"] = value.tolist()
    return Said(", ".join(words), fields)


def _plain(told: Any) -> object:  # noqa: ANN401
    """A type, a device, the names of columns: of these, the library's own notation is short."""
    if hasattr(told, "tolist"):
        told = told[:_COLUMNS].tolist()
    if is_a(told, list, tuple):
        return [item if is_a(item, str, int, float) else str(item) for item in islice(told, _COLUMNS)]
    return told if is_a(told, str, int) else str(told)


def _attribute(value: object, name: str) -> object:
    """As the library's class has it: a class of the user's that is made from it is not asked."""
    for kind in type.__dict__["__mro__"].__get__(type(value)):
        found = type.__dict__["__dict__"].__get__(kind).get(name)
        if found is not None and root(kind) in LIBRARIES and hasattr(found, "__get__"):
            try:
                return cast("object", found.__get__(value, type(value)))
            except Exception:  # noqa: BLE001 - this kind of array has none
                return None
    return None
