"""A clock that says the same in every run: each thread that reads it is told that a hundredth of a second has passed.

It stands in for Python's clocks, for the task and the libraries that it uses. Python's own library, kit and the tracker
have the real one: who waits by it would wait for ever, and what they do with it is in no result.
"""

from __future__ import annotations

import builtins
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from kit._probe._asking import Watch

__all__ = ["install"]

_KIND = "time"
_TICK = 0.01
"""Seconds."""
_SECONDS = ("time", "perf_counter", "monotonic", "process_time", "thread_time")


class _Clock:
    """One thread's time does not depend on when another reads its own."""

    def __init__(self, watch: Watch, now: float) -> None:
        self._watch = watch
        self._now = now
        self._reads = threading.local()

    def read(self, call: str) -> float | None:
        """Seconds since the epoch; None for whoever is to have the real time."""
        if self._watch.asked(_KIND, call, direct=True) is None:
            return None
        self._reads.count = getattr(self._reads, "count", 0) + 1
        return self._now + _TICK * int(self._reads.count)


class _Function:
    """In place of a function of C, which does not become a method where a class has it as an attribute.

    Attributes:
        answer: Takes the time, and then what the function takes.
        full: With so many arguments the function has no need to ask what time it is.
    """

    def __init__(self, clock: _Clock, name: str, answer: Callable[..., Any], full: int | None = None) -> None:
        self._clock = clock
        self._real: Callable[..., Any] = getattr(time, name)
        self._answer = answer
        self._full = full
        self.__name__ = name

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - as the function it stands in for
        now = None if len(arguments) == self._full else self._clock.read(f"time.{self.__name__}()")
        return self._real(*arguments) if now is None else self._answer(now, *arguments)


def install(watch: Watch, now: float) -> None:
    """Have the clocks start from `now`, in seconds since the epoch, and be moved by reading alone."""
    clock = _Clock(watch, now)
    for name in _SECONDS:
        setattr(time, name, _Function(clock, name, _seconds))
        setattr(time, f"{name}_ns", _Function(clock, f"{name}_ns", _nanoseconds))
    time.clock_gettime = _Function(clock, "clock_gettime", _seconds)
    time.clock_gettime_ns = _Function(clock, "clock_gettime_ns", _nanoseconds)
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, _Function(clock, name, getattr(time, name), full=1))
    asctime, strftime, localtime = time.asctime, time.strftime, time.localtime
    time.asctime = _Function(clock, "asctime", lambda now: asctime(localtime(now)), full=1)
    time.strftime = _Function(clock, "strftime", lambda now, form: strftime(form, localtime(now)), full=2)
    _replace_dates(watch, clock)


def _seconds(now: float, *_clock: int) -> float:
    return now


def _nanoseconds(now: float, *_clock: int) -> int:
    return round(now * 1_000_000_000)


def _replace_dates(watch: Watch, clock: _Clock) -> None:
    """The classes of `datetime` cannot be changed, and libraries in C count on them: others stand in for them.

    They are in a module of their own, which the task's modules get when they import `datetime`.
    """
    stand_in = ModuleType("datetime", dt.__doc__)
    vars(stand_in).update(vars(dt))
    for made in _dates(clock):
        setattr(stand_in, made.__name__, made)
    real = builtins.__import__

    def import_it(name: str, globals: Any = None, *rest: Any, **named: Any) -> Any:  # noqa: A002, ANN401 - as Python has it
        if name == "datetime" and globals is not None and watch.is_the_tasks(globals.get("__file__")):
            return stand_in
        return real(name, globals, *rest, **named)

    builtins.__import__ = import_it


_REAL: dict[type, Any] = {}
"""For which class each of these stands in."""


class _StandIn(type):
    """A class that is taken for another, and of which every instance is one of that."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _REAL[cls]) if cls in _REAL else super().__instancecheck__(instance)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _REAL[cls]) if cls in _REAL else super().__subclasscheck__(other)

    def __call__(cls, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the class takes them
        return _REAL[cls](*arguments, **named) if cls in _REAL else super().__call__(*arguments, **named)


def _dates(clock: _Clock) -> Iterable[type]:
    real_datetime, real_date = dt.datetime, dt.date

    class datetime(real_datetime, metaclass=_StandIn):  # type: ignore[misc, valid-type]  # noqa: N801
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            seconds = clock.read("datetime.now()")
            return real_datetime.now(tz) if seconds is None else real_datetime.fromtimestamp(seconds, tz)

        @classmethod
        def utcnow(cls) -> dt.datetime:
            return cls.now(dt.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> dt.datetime:
            return cls.now()

    class date(real_date, metaclass=_StandIn):  # type: ignore[misc, valid-type]  # noqa: N801
        @classmethod
        def today(cls) -> dt.date:
            seconds = clock.read("date.today()")
            return real_date.today() if seconds is None else real_date.fromtimestamp(seconds)

    _REAL.update({datetime: real_datetime, date: real_date})
    return tuple(_REAL)
