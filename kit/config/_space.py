"""What a search chooses from: overrides with several values, read as ranges and choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kit.config._overrides import bad_override

__all__ = ["Dimension", "Search", "space_of"]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One key that is searched.

    Attributes:
        key: As overrides write it: `model.rate`, `+x`, or a group.
        kind: What its values are.
        low: The smallest, of numbers.
        high: The largest, which is one of them.
        step: From one number to the next; None: any between.
        log: Whether small numbers are as worth a look as large ones.
        choices: The values as overrides write them, of choices.
    """

    key: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """What `hydra/sweeper=optuna` is set to, and what it chooses from.

    Attributes:
        fixed: The overrides that every trial has.
        direction: None: as the command line or the metric's name says.
        seed: The sampler's; None: another one each time.
    """

    space: tuple[Dimension, ...]
    fixed: tuple[str, ...]
    n_trials: int = 20
    direction: Literal["minimize", "maximize"] | None = None
    metric: str | None = None
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["median", "hyperband", "none"] = "median"
    seed: int | None = None


def space_of(parsed: Sequence[Any]) -> tuple[tuple[Dimension, ...], tuple[str, ...]]:
    """What is searched, and the overrides that stay; of two for one key, the later counts.

    Raises:
        UserError: If nothing is searched, or a range is none.
    """
    dimensions: dict[str, Dimension] = {}
    fixed: dict[str, str] = {}
    for override in parsed:
        key = override.get_key_element()
        dimensions.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            dimensions[key] = _dimension(key, override)
        else:
            fixed[key] = f"{key}={override.get_value_element_as_str()}"
    if not dimensions:
        raise bad_override("there is nothing to search", "Give a key a range or choices: `lr=interval(0.001,0.1)`.")
    return tuple(dimensions.values()), tuple(fixed.values())


def _dimension(key: str, override: Any) -> Dimension:  # noqa: ANN401 Hydra has no types
    value, log = override.value(), "log" in getattr(override.value(), "tags", ())
    if override.is_interval_sweep():
        kind: Literal["float", "int"] = "int" if isinstance(value.start, int) else "float"
        return _range(key, kind, value.start, value.end, None, log=log)
    if override.is_range_sweep():
        numbers = list(override.sweep_iterator())
        whole = all(isinstance(number, int) for number in numbers)
        if not numbers:
            raise bad_override(f"{override.input_line!r} has no values", "Have it begin below its end.")
        step = None if log else abs(value.step)
        return _range(key, "int" if whole else "float", min(numbers), max(numbers), step, log=log)
    return Dimension(key, "choice", choices=tuple(dict.fromkeys(override.sweep_string_iterator())))


def _range(
    key: str, kind: Literal["float", "int"], low: float, high: float, step: float | None, *, log: bool
) -> Dimension:
    if not low <= high or (log and low <= 0):
        what = "a logarithmic range begins above 0" if log and low <= 0 else f"the range of {key} ends before it begins"
        raise bad_override(what, "Write it as `interval(LOW,HIGH)`.")
    return Dimension(key, kind, low, high, step, log)
