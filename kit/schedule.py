"""A schedule: what `conf/schedule/<name>.yaml` means.

Lengths of time are seconds, or texts such as `90 s`, `15 m`, `2 h`, `1 d` and `1 h 30 m`. A schedule turns
into JSON and back with `kit.models.to_json` and `from_json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kit import _zones, redact
from kit._reading import Reader, boolean, choice, integer, nearest, number, seconds, text, texts
from kit.alerting import AlertKind, AlertPolicy
from kit.errors import UserError
from kit.models import Limits
from kit.paths import safe_name
from kit.policies import RETRIED, CatchUp, CatchUpMode, Overlap, Retry
from kit.states import RunStatus
from kit.triggers import After, Cron, Interval, Once, OnData, Trigger

__all__ = ["Schedule", "masked", "parse_schedule", "reference_errors"]

_KEYS = (
    "trigger", "experiment", "overrides", "executor", "repro", "retry", "timeout", "grace", "overlap", "catch_up",
    "slots", "priority", "alert", "enabled",
)  # fmt: skip
_RETRY_KEYS = ("attempts", "delay", "factor", "max_delay", "jitter", "when", "resume")
_CATCH_UP_KEYS = ("mode", "window", "count", "tolerance")
_ALERT_KEYS = ("to", "when", "late", "every")

# Made once: there may be ten thousand schedules.
_RETRY, _CATCH_UP, _ALERT = Retry(), CatchUp(), AlertPolicy()
_an_overlap, _a_mode, _an_alert = choice(Overlap), choice(CatchUpMode), choice(AlertKind)
_a_retried_status = choice(RunStatus, among=RETRIED)


@dataclass(frozen=True, slots=True)
class Schedule:
    """An experiment, and when and how it is run.

    Attributes:
        name: The file's, without `.yaml`.
        experiment: None runs the project's default one.
        overrides: As on the command line, `lr=0.1`.
        executor: Where its attempts run; None leaves it to the experiment.
        repro: DVC stages that are brought up to date before each attempt.
        timeout: Seconds that an attempt may take; None does not limit.
        grace: Seconds between asking an attempt to end and killing it.
        slots: How many of each named pool an attempt takes.
        priority: Higher goes first when slots are short; one point is worth ten minutes of waiting.
        enabled: Whether its trigger counts; it can be run by hand all the same.
    """

    name: str
    trigger: Trigger
    experiment: str | None = None
    overrides: tuple[str, ...] = ()
    executor: str | None = None
    repro: tuple[str, ...] = ()
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    grace: float = 10.0
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = field(default_factory=CatchUp)
    slots: dict[str, int] = field(default_factory=dict)
    priority: int = 0
    alert: AlertPolicy = field(default_factory=AlertPolicy)
    enabled: bool = True

    @property
    def limits(self) -> Limits:
        """What the supervisor enforces on each attempt."""
        return Limits(timeout=self.timeout, grace=self.grace)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `kit run` would be given: the choice of the experiment, then the overrides."""
        return self.overrides if self.experiment is None else (f"experiment={self.experiment}", *self.overrides)

    @property
    def command(self) -> tuple[str, ...]:
        """What would be typed to have the same run now."""
        on = () if self.executor is None else ("--on", self.executor)
        return ("kit", "run", *on, *self.arguments)


def parse_schedule(name: str, mapping: object, *, where: str) -> Schedule:
    """Check a composed `conf/schedule/<name>.yaml`.

    Args:
        mapping: Plain dicts, lists and scalars.
        where: The file, for errors.

    Raises:
        UserError: With the key and the file, and the nearest known key for an unknown one.
    """
    safe_name(name)
    reader = Reader(mapping, _KEYS, where=where)
    trigger = _trigger(reader)
    if trigger == After(name):
        raise reader.error("a schedule cannot come after itself", "Name another schedule.", "trigger.after")
    return Schedule(
        name=name,
        trigger=trigger,
        experiment=reader.get("experiment", text, None),
        overrides=reader.get("overrides", texts, ()),
        executor=reader.get("executor", text, None),
        repro=reader.get("repro", texts, ()),
        retry=_retry(reader),
        timeout=reader.get("timeout", _positive, None),
        grace=reader.get("grace", seconds, 10.0),
        overlap=reader.get("overlap", _an_overlap, Overlap.SKIP),
        catch_up=_catch_up(reader),
        slots=reader.get("slots", _slots, {}),
        priority=reader.get("priority", _priority, 0),
        alert=_alert(reader),
        enabled=reader.get("enabled", boolean, True),
    )


def _trigger(reader: Reader) -> Trigger:
    if "trigger" not in reader:
        raise reader.error("no value", 'Add one, as `trigger: {cron: "0 2 * * *"}`.', "trigger")
    kinds = [key for key in reader.inner("trigger", _TRIGGER_KEYS) if key in _TRIGGERS]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise reader.error(f"needs one of {', '.join(_TRIGGERS)}, has {found}", "Keep one of them.", "trigger")
    make, known = _TRIGGERS[kinds[0]]
    inner = reader.inner("trigger", [kinds[0], *known])
    with inner.located():
        return make(inner)


def _cron(reader: Reader) -> Trigger:
    timezone = reader.get("timezone", _zone, "UTC")
    return reader.need("cron", lambda value: Cron(text(value), timezone))


def _interval(reader: Reader) -> Trigger:
    anchor = reader.get("anchor", _instant(reader.get("timezone", _zone, None)), None)
    return reader.need("interval", lambda value: Interval(seconds(value), anchor))


def _once(reader: Reader) -> Trigger:
    return Once(reader.need("once", _instant(reader.get("timezone", _zone, None))))


def _data(reader: Reader) -> Trigger:
    return OnData(
        path=reader.need("data", text),
        rev=reader.get("rev", text, None),
        remote=reader.get("remote", text, None),
        every=reader.get("every", seconds, 60.0),
    )


def _after(reader: Reader) -> Trigger:
    return After(reader.need("after", lambda value: safe_name(text(value))))


_TRIGGERS: dict[str, tuple[Callable[[Reader], Trigger], tuple[str, ...]]] = {
    "cron": (_cron, ("timezone",)),
    "interval": (_interval, ("anchor", "timezone")),
    "once": (_once, ("timezone",)),
    "data": (_data, ("rev", "remote", "every")),
    "after": (_after, ()),
}
_TRIGGER_KEYS = (*_TRIGGERS, *sorted({key for _, keys in _TRIGGERS.values() for key in keys}))


def _zone(value: object) -> str:
    return _zones.zone(text(value)).key


def _instant(timezone: str | None) -> Callable[[object], datetime]:
    """An instant as ISO 8601; without an offset it is the zone's wall-clock time, UTC if there is no zone."""

    def convert(value: object) -> datetime:
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(text(value).strip())
        except ValueError as error:
            raise UserError(f"{value!r} is not an instant", fix="Write it as 2026-12-01T02:00:00+01:00.") from error
        return found if found.utcoffset() is not None else _zones.to_instant(timezone or "UTC", found)

    return convert


def _positive(value: object) -> float:
    found = seconds(value)
    if not found:
        raise ValueError("expected more than 0 s")
    return found


def _priority(value: object) -> int:
    found = integer(value)
    if abs(found) > 1000:
        raise ValueError(f"{found} is not from -1000 to 1000")
    return found


def _slots(value: object) -> dict[str, int]:
    """`gpu`, `[gpu, licence]` or `{gpu: 2}`."""
    pools = value if isinstance(value, Mapping) else dict.fromkeys(texts(value), 1)
    found = {safe_name(str(name)): integer(size) for name, size in pools.items()}
    for name, size in found.items():
        if size < 1:
            raise ValueError(f"{size} slots of {name!r}")
    return found


def _retry(reader: Reader) -> Retry:
    """A number of attempts, or a mapping, which means three if it does not say."""
    default = _RETRY
    if "retry" not in reader:
        return default
    if not reader.is_mapping("retry"):
        with reader.located("retry"):
            return replace(default, attempts=reader.need("retry", integer))
    inner = reader.inner("retry", _RETRY_KEYS)
    delay = inner.get("delay", seconds, default.delay)
    with inner.located():
        return Retry(
            attempts=inner.get("attempts", integer, 3),
            delay=delay,
            factor=inner.get("factor", number, default.factor),
            max_delay=inner.get("max_delay", seconds, max(default.max_delay, delay)),
            jitter=inner.get("jitter", number, default.jitter),
            when=inner.get("when", _exits, default.when),
            resume=inner.get("resume", boolean, default.resume),
        )


def _exits(value: object) -> tuple[int | RunStatus, ...]:
    """Exit codes and statuses; a single one may stand for the list."""
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(
        item if isinstance(item, int) and not isinstance(item, bool) else _a_retried_status(item) for item in items
    )


def _catch_up(reader: Reader) -> CatchUp:
    """A mode, or a mapping."""
    default = _CATCH_UP
    if "catch_up" not in reader:
        return default
    if not reader.is_mapping("catch_up"):
        return replace(default, mode=reader.need("catch_up", _a_mode))
    inner = reader.inner("catch_up", _CATCH_UP_KEYS)
    window = inner.get("window", seconds, default.window)
    with inner.located():
        return CatchUp(
            mode=inner.get("mode", _a_mode, default.mode),
            window=window,
            count=inner.get("count", integer, default.count),
            tolerance=inner.get("tolerance", seconds, min(default.tolerance, window)),
        )


def _alert(reader: Reader) -> AlertPolicy:
    """Apprise URLs, or a mapping."""
    default = _ALERT
    if "alert" not in reader:
        return default
    if not reader.is_mapping("alert"):
        return replace(default, to=reader.need("alert", texts))
    inner = reader.inner("alert", _ALERT_KEYS)
    with inner.located():
        return AlertPolicy(
            to=inner.need("to", texts),
            when=inner.get("when", _alert_kinds, default.when),
            late=inner.get("late", seconds, None),
            every=inner.get("every", seconds, default.every),
        )


def _alert_kinds(value: object) -> tuple[AlertKind, ...]:
    return tuple(map(_an_alert, value if isinstance(value, list | tuple) else [value]))


def reference_errors(
    schedules: Mapping[str, Schedule], *, where: Callable[[str], str], others: Collection[str] = ()
) -> dict[str, UserError]:
    """Which schedules have an `after` that leads nowhere, or are part of a circle, by name.

    Args:
        schedules: By name.
        where: The file of a schedule, by its name.
        others: More names that an `after` may give: schedules that are there, and cannot be used.
    """
    errors: dict[str, UserError] = {}
    hints: dict[str, str] = {}
    seen: set[str] = set()
    for start in sorted(schedules):
        path: dict[str, int] = {}
        name: str | None = start
        while name is not None and name not in seen:
            seen.add(name)
            path[name] = len(path)
            trigger = schedules[name].trigger
            name = trigger.schedule if isinstance(trigger, After) else None
            if name is not None and name not in schedules:
                if name not in others:
                    hints[name] = hints.get(name) or _hint(name, [*schedules, *others])
                    last = [*path][-1]
                    errors[last] = UserError(f"trigger.after: no schedule {name!r}", where=where(last), fix=hints[name])
                name = None
        if name in path:
            circle = [*path][path[name] :]
            errors |= {member: _circular(circle, at, where=where(member)) for at, member in enumerate(circle)}
    return errors


def _hint(name: str, known: Sequence[str]) -> str:
    names = sorted(known)
    listed = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return nearest(name, names) or f"The schedules: {listed}."


def _circular(circle: Sequence[str], start: int, *, where: str) -> UserError:
    """As told of the one at `start`; a large circle is not shown whole."""
    shown = [circle[(start + step) % len(circle)] for step in range(min(len(circle), 8))]
    shown += ["...", circle[start]] if len(circle) > 8 else [circle[start]]
    return UserError(
        f"trigger.after: {' after '.join(shown)}: none of them ever runs", where=where, fix="Break the circle."
    )


def masked(schedule: Schedule) -> Schedule:
    """The schedule as it may be stored and shown: no secrets in its overrides, of an alert's URL only the service."""
    to = tuple(
        re.sub(r"(?s)(?<=://).*", redact.MASK, url) if "://" in url else redact.MASK for url in schedule.alert.to
    )
    return replace(
        schedule, overrides=tuple(map(redact.mask, schedule.overrides)), alert=replace(schedule.alert, to=to)
    )
