"""What a run needs of a machine, in one vocabulary that every engine's own words are made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from kit._durations import parse_duration
from kit._near import did_you_mean, nearest
from kit.errors import UserError

__all__ = ["Resources", "parse_resources"]

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_EXPECTED = {
    "cpus": "a whole number from 1",
    "gpus": "a whole number from 0",
    "memory": "bytes, or a size such as 8G",
    "time": "seconds, or a length of time such as 2h",
    "ranks": "a whole number from 1",
}


@dataclass(frozen=True, slots=True)
class Resources:
    """None leaves it to the engine.

    Attributes:
        memory: Bytes.
        time: Seconds after which the engine ends the job.
        ranks: How many processes work on the task, which `torchrun` starts; None for the run's own.
    """

    cpus: int | None = None
    gpus: int | None = None
    memory: int | None = None
    time: float | None = None
    ranks: int | None = None

    def over(self, others: Resources) -> Resources:
        """These; where they say nothing, the others."""
        own = {name: getattr(self, name) for name in _EXPECTED}
        return Resources(**{name: getattr(others, name) if value is None else value for name, value in own.items()})


def parse_resources(values: object, *, where: str) -> Resources:
    """Read them out of a config; `where` names them in errors.

    Raises:
        UserError: If a key is unknown, or a value is none of its kind.
    """
    if values is None:
        return Resources()
    if not isinstance(values, Mapping):
        raise UserError(
            f"{where}: expected {', '.join(_EXPECTED)}, got {values!r}", fix=f"Write `{where}.cpus=2`, say."
        )
    known = [field.name for field in fields(Resources)]
    for key in values:
        if key not in known:
            fix = did_you_mean(nearest(str(key), known)) or f"Known keys: {', '.join(known)}."
            raise UserError(f"{where}: unknown key {str(key)!r}", fix=fix)
    return Resources(
        cpus=_count(values, "cpus", 1, where),
        gpus=_count(values, "gpus", 0, where),
        memory=_memory(values.get("memory"), where),
        time=_time(values.get("time"), where),
        ranks=_count(values, "ranks", 1, where),
    )


def _count(values: Mapping[str, object], key: str, least: int, where: str) -> int | None:
    value = values.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        return value
    raise _unusable(key, value, where)


def _memory(value: object, where: str) -> int | None:
    if value is None:
        return None
    found = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    size = 0 if found is None else round(float(found[1]) * _UNITS[found[2].lower()])
    if size < 1:
        raise _unusable("memory", value, where)
    return size


def _time(value: object, where: str) -> float | None:
    if value is None:
        return None
    try:
        seconds = parse_duration(value) if isinstance(value, int | float | str) else 0.0
    except ValueError as error:
        raise _unusable("time", value, where) from error
    if seconds <= 0:
        raise _unusable("time", value, where)
    return seconds


def _unusable(key: str, value: object, where: str) -> UserError:
    return UserError(f"{where}.{key}: expected {_EXPECTED[key]}, got {value!r}", fix="Mend the value.")
