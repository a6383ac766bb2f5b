"""Lengths of time as people write them: `90 s`, `2 h`, `1 d`, `1 h 30 m`. Seconds inside; a month has no length."""

from __future__ import annotations

import math
import re

__all__ = ["format_duration", "parse_duration", "rough_duration"]

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_WORDS = {
    "week": "w",
    "wk": "w",
    "day": "d",
    "hour": "h",
    "hr": "h",
    "minute": "m",
    "min": "m",
    "second": "s",
    "sec": "s",
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def parse_duration(value: float | str) -> float:
    """Seconds.

    Args:
        value: Seconds, or numbers with units (`w`, `d`, `h`, `m`, `s`, or their English names), the largest first.

    Raises:
        ValueError: If it is neither, negative or infinite.
    """
    seconds = value if isinstance(value, int | float) and not isinstance(value, bool) else _parse(str(value))
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{value!r} is not a length of time")
    return float(seconds)


def _parse(text: str) -> float:
    rest, total, used = text.strip().lower(), 0.0, 0
    if re.fullmatch(r"\d+(?:\.\d+)?", rest):
        return float(rest)
    units = list(_UNITS)
    while rest:
        found = _PART.match(rest)
        unit = found and _WORDS.get(found[2].removesuffix("s") or "s", found[2])
        if not found or unit not in units[used:]:
            raise ValueError(f"{text!r} is not a length of time")
        total += float(found[1]) * _UNITS[unit]
        used = units.index(unit) + 1
        rest = rest[found.end() :]
    if not used:
        raise ValueError("an empty text is not a length of time")
    return total


def format_duration(seconds: float) -> str:
    """A text that `parse_duration` reads as the same number, to a microsecond: days, hours, minutes, seconds."""
    minutes, rest = divmod(round(seconds, 6), 60)
    days, left = divmod(int(minutes), 24 * 60)
    hours, left = divmod(left, 60)
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (left, "m")) if number]
    if rest or not parts:
        parts.append(f"{rest:.6f}".rstrip("0").rstrip(".") + " s")
    return " ".join(parts)


def rough_duration(seconds: float) -> str:
    """As one would say it: `40 s`, `12 min`, `5 h`, `3 d`; what is left over is left out."""
    size, unit = next(
        ((size, unit) for size, unit in ((2 * 86400, "d"), (3600, "h"), (60, "min")) if seconds >= size), (1, "s")
    )
    return f"{max(seconds, 0) // min(size, 86400):.0f} {unit}"
