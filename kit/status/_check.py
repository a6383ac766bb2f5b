"""What a look at one thing comes to, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from kit._disk_usage import amount
from kit._durations import rough_duration
from kit.errors import KitError, from_os_error

__all__ = ["DAY", "MOST", "Check", "State", "age", "ago", "amount", "failed", "said", "show"]

DAY = 86400.0
"""Seconds."""
MOST = 1000
"""So many records of a kind are looked at."""


class State(StrEnum):
    """How one thing is."""

    OK = "ok"
    WARNING = "warning"
    """Worth a look; production goes on."""
    BAD = "bad"
    """Somebody has to do something."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and how it is.

    Attributes:
        what: One line, without secrets.
        fix: What to do, as an imperative; None if nothing is to be done.
        values: The same as figures, for machines: counts, bytes, seconds.
    """

    name: str
    state: State
    what: str
    fix: str | None = None
    values: Mapping[str, float | str | None] = field(default_factory=dict)


def failed(name: str, error: KitError | OSError) -> Check:
    told = from_os_error(error) if isinstance(error, OSError) else error
    return Check(name, State.BAD, said(told), None if told.fix is None else " ".join(told.fix.split()))


def said(error: KitError) -> str:
    """In one line."""
    what = " ".join(error.what.split())
    return what if error.where is None else f"{what} ({error.where})"


def ago(instant: datetime, now: datetime) -> str:
    return f"{rough_duration((now - instant).total_seconds())} ago"


def show(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def age(instant: datetime, now: datetime) -> float:
    """Seconds; not less than none, if the clock was set back."""
    return max(0.0, (now - instant).total_seconds())
