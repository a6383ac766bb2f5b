"""What a schedule does besides being due: retry, overlap, catch up, share slots. Pure functions; each takes `now`.

Alerts are in `kit.alerting`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice

from kit._durations import format_duration
from kit.errors import ExitCode
from kit.states import RunStatus
from kit.triggers import EPOCH, Trigger, count_between, iter_due_back, next_after

__all__ = [
    "QUEUE_LIMIT",
    "RETRIED",
    "Action",
    "CatchUp",
    "CatchUpMode",
    "CatchUpPlan",
    "Choice",
    "Decision",
    "Missed",
    "Overlap",
    "Retry",
    "Waiting",
    "choose",
    "decide_overlap",
    "delay_before",
    "plan_catch_up",
    "should_retry",
]


def _require(ok: bool, text: str) -> None:  # noqa: FBT001 an assertion that says what is wrong
    if not ok:
        raise ValueError(text)


# Retry

RETRIED = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST)
"""The ends that another attempt may mend."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, ever later: exponential backoff.

    Attributes:
        attempts: How many tries in all, the first included; 1 never retries.
        delay: Seconds before the second try.
        factor: How many times longer each later delay is.
        max_delay: Seconds that no delay exceeds, jitter included.
        jitter: How far a delay may vary, as a part of it: 0.1 means ten per cent less or more.
        when: What is retried: exit codes, and the statuses failed, timed_out and lost. `failed` does not include exit
            code 2, the user's mistake, which only a person mends; name it to retry it.
        resume: Whether a later try goes on from the checkpoint of an earlier one, if there is one and nothing changed.

    Raises:
        ValueError: If a value is out of its bounds.
    """

    attempts: int = 1
    delay: float = 60.0
    factor: float = 2.0
    max_delay: float = 3600.0
    jitter: float = 0.1
    when: tuple[int | RunStatus, ...] = RETRIED
    resume: bool = True

    def __post_init__(self) -> None:
        _require(1 <= self.attempts <= 100, f"attempts: {self.attempts} is not from 1 to 100")
        _require(0 <= self.delay <= self.max_delay, "delay: more than max_delay, or less than 0")
        _require(math.isfinite(self.max_delay), "max_delay: not finite")
        _require(1 <= self.factor <= 100, f"factor: {self.factor:g} is not from 1 to 100")
        _require(0 <= self.jitter <= 1, f"jitter: {self.jitter:g} is not from 0 to 1")
        for what in self.when:
            known = what in RETRIED if isinstance(what, RunStatus) else 1 <= what <= 255
            _require(known, f"when: {what!s} is neither an exit code from 1 to 255 nor one of {', '.join(RETRIED)}")


def should_retry(retry: Retry, attempt: int, status: RunStatus, exit_code: int | None) -> bool:
    """Whether another attempt follows the one that ended so.

    Args:
        attempt: The number of the one that ended, from 1.
    """
    if attempt >= retry.attempts or status not in RETRIED:
        return False
    if exit_code is not None and exit_code in [code for code in retry.when if not isinstance(code, RunStatus)]:
        return True
    mistake = status is RunStatus.FAILED and exit_code == ExitCode.USER
    return status in retry.when and not mistake


def delay_before(attempt: int, retry: Retry, *, schedule: str, scheduled_at: datetime) -> float:
    """Seconds to wait before an attempt, after the one before it ended.

    `min(delay * factor ** (attempt - 2), max_delay)`, times a factor drawn evenly from `1 - jitter` to `1 + jitter`:
    fires that failed together do not come back together (Brooker, Exponential Backoff And Jitter, AWS 2015). The draw
    is a hash of the fire and the attempt: a scheduler that restarts, or a second one, waits until the same instant.

    Args:
        attempt: The attempt to come, from 2.

    Raises:
        ValueError: For the first attempt, which waits for nothing.
    """
    _require(attempt >= 2, "only a later attempt waits")
    base = min(retry.delay * retry.factor ** (attempt - 2), retry.max_delay)
    seed = f"{schedule}\n{scheduled_at.astimezone(UTC).isoformat()}\n{attempt}"
    draw = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64
    return min(base * (1 + retry.jitter * (2 * draw - 1)), retry.max_delay)


# Overlap


class Overlap(StrEnum):
    """What becomes of a fire whose schedule is still busy with an earlier one."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class Action(StrEnum):
    """What to do with a fire now."""

    START = "start"
    WAIT = "wait"
    """Ask again when a run of the schedule has ended."""
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a fire now, why, and which others of its schedule to cancel first."""

    action: Action
    reason: str | None = None
    cancel: tuple[datetime, ...] = ()


QUEUE_LIMIT = 100
"""How many fires of one schedule wait; one that always takes longer than its period would fill the store."""


def decide_overlap(
    overlap: Overlap,
    scheduled_at: datetime,
    *,
    running: Collection[datetime] = (),
    waiting: Collection[datetime] = (),
    requested: bool = False,
    limit: int = QUEUE_LIMIT,
) -> Decision:
    """Decide on one fire, by what the schedule is busy with. Ask again for a fire that waits.

    Args:
        scheduled_at: The fire.
        running: Its schedule's fires that run, or wait for a retry.
        waiting: Its schedule's other fires that wait for their turn, or for a slot.
        requested: Somebody wants this very one (catch-up `all`, a backfill, `--at`): it waits where others are skipped.
        limit: How many may wait.
    """
    earlier = [at for at in waiting if at < scheduled_at]
    if requested or overlap is Overlap.QUEUE:
        return _queue(running, earlier, limit=None if requested else limit)
    if overlap is Overlap.REPLACE:
        return _replace(scheduled_at, running, waiting)
    busy = sorted([*running, *earlier])
    if busy:
        return Decision(Action.SKIP, f"the fire of {_show(busy[0])} was not over (overlap: skip)")
    return Decision(Action.START)


def _queue(running: Collection[datetime], earlier: Collection[datetime], *, limit: int | None) -> Decision:
    if limit is not None and len(earlier) >= limit:
        return Decision(Action.SKIP, f"{len(earlier)} fires were waiting already (overlap: queue)")
    if running or earlier:
        first = min([*running, *earlier])
        return Decision(Action.WAIT, f"after the fire of {_show(first)}")
    return Decision(Action.START)


def _replace(scheduled_at: datetime, running: Collection[datetime], waiting: Collection[datetime]) -> Decision:
    newer = [at for at in [*running, *waiting] if at > scheduled_at]
    if newer:
        return Decision(Action.SKIP, f"replaced by the fire of {_show(max(newer))} (overlap: replace)")
    cancel = tuple(sorted({*running, *waiting} - {scheduled_at}))
    if running:
        return Decision(Action.WAIT, "until the fire it replaces has ended", cancel)
    return Decision(Action.START, cancel=cancel)


# Catching up


class CatchUpMode(StrEnum):
    """Which of the fires that were due while nobody was there are run."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What to run of what was missed.

    Attributes:
        mode: none runs the last fire if it is no later than `tolerance`; latest runs the last one within `window`; all
            runs the last `count` within `window`.
        window: Seconds; what was due earlier is missed for good.
        count: How many fires are caught up with at most.
        tolerance: Seconds that a fire may be late and still count as on time.

    Raises:
        ValueError: If a value is out of its bounds.
    """

    mode: CatchUpMode = CatchUpMode.LATEST
    window: float = 7 * 86400.0
    count: int = 100
    tolerance: float = 300.0

    def __post_init__(self) -> None:
        _require(0 < self.window <= 10 * 366 * 86400.0, "window: not from 0 s to 10 years")
        _require(1 <= self.count <= 10_000, f"count: {self.count} is not from 1 to 10000")
        _require(1 <= self.tolerance <= self.window, "tolerance: less than 1 s, or more than window")


@dataclass(frozen=True, slots=True)
class Missed:
    """Consecutive fires that will not run: a year of minutes is one record. The first and the last were due, too."""

    first: datetime
    last: datetime
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class CatchUpPlan:
    """Every instant due in a span, either in `to_run` (in order) or in one of `missed` (in order)."""

    to_run: tuple[datetime, ...] = ()
    missed: tuple[Missed, ...] = ()


def plan_catch_up(
    trigger: Trigger, after: datetime, now: datetime, policy: CatchUp, *, anchor: datetime = EPOCH
) -> CatchUpPlan:
    """Share out what was due in (after, now]. Takes as long as the days and `policy.count`, not as what was due.

    Args:
        after: Everything up to this instant is dealt with.
        anchor: Where an interval that has none of its own counts from.
    """
    none = policy.mode is CatchUpMode.NONE
    window = policy.tolerance if none else policy.window
    limit = policy.count if policy.mode is CatchUpMode.ALL else 1
    edge = max(after, now - timedelta(seconds=window) - timedelta(microseconds=1))
    newest: list[datetime] = []
    for instant in islice(iter_due_back(trigger, now, anchor=anchor), limit):
        if instant <= edge:
            break
        newest.append(instant)
    too_old = (
        "nobody was there when it was due (catch_up: none)"
        if none
        else f"older than the catch-up window of {format_duration(window)}"
    )
    surplus = (
        f"more than {limit} were due (catch_up: all, count: {limit})"
        if policy.mode is CatchUpMode.ALL
        else f"a later one was due too (catch_up: {policy.mode})"
    )
    oldest_run = newest[-1] - timedelta(microseconds=1) if newest else now
    spans = ((after, edge, too_old), (edge, oldest_run, surplus))
    missed = tuple(
        found for start, end, reason in spans if (found := _missed(trigger, start, end, reason, anchor)) is not None
    )
    return CatchUpPlan(tuple(reversed(newest)), missed)


def _missed(trigger: Trigger, after: datetime, until: datetime, reason: str, anchor: datetime) -> Missed | None:
    """What was due in (after, until]."""
    if not (number := count_between(trigger, after, until, anchor=anchor)):
        return None
    first = next_after(trigger, after, anchor=anchor)
    last = next(iter_due_back(trigger, until, anchor=anchor), None)
    if first is None or last is None:
        return None
    return Missed(first, last, number, reason)


# Slots

_POINT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits for its slots.

    Attributes:
        key: What the caller knows it by.
        since: When it began to wait.
        priority: Higher goes first; one point is worth ten minutes of waiting.
        slots: How many of each named pool it takes.
    """

    key: str
    since: datetime
    priority: int = 0
    slots: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """What may start now, in order, and what never can, with the reason."""

    start: tuple[str, ...] = ()
    impossible: Mapping[str, str] = field(default_factory=dict)


def choose(
    queue: Sequence[Waiting], pools: Mapping[str, int], used: Mapping[str, int], *, limit: int | None = None
) -> Choice:
    """Choose what starts now, so that everything starts in the end.

    Nothing starves, for two reasons. Ageing: all wait in the order of `since - priority * 10 min`, which does not
    change as time passes, so only what comes within ten minutes for each point of difference can overtake. Reservation:
    one that does not fit keeps what is free of its pools from all behind it, so a run that needs the whole pool gets it
    as soon as those that hold it end (their timeouts bound that); what needs other pools goes past.

    Args:
        queue: In any order.
        pools: The size of each pool; one that is not named has a single slot.
        used: How many slots of each pool are taken.
        limit: How many may start in all; None does not limit.
    """
    free = {name: pools.get(name, 1) - used.get(name, 0) for item in queue for name in item.slots}
    start: list[str] = []
    impossible: dict[str, str] = {}
    for item in sorted(queue, key=lambda item: (item.since - item.priority * _POINT, item.since, item.key)):
        too_many = [name for name, number in item.slots.items() if number > pools.get(name, 1)]
        if too_many:
            name = too_many[0]
            impossible[item.key] = f"needs {item.slots[name]} slots of {name!r}, which has {pools.get(name, 1)}"
            continue
        fits = all(free[name] >= number for name, number in item.slots.items())
        for name, number in item.slots.items():
            free[name] = max(0, free[name] - number)
        if fits and (limit is None or len(start) < limit):
            start.append(item.key)
    return Choice(tuple(start), impossible)


def _show(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
