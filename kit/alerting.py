"""Whom to tell what, and when it would be too much. Pure functions; sending is another's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = [
    "Alert",
    "AlertKind",
    "AlertPolicy",
    "AlertState",
    "Event",
    "EventKind",
    "OutboxEntry",
    "alerts_for",
    "is_late",
]


class AlertKind(StrEnum):
    """What people can be told."""

    FAILURE = "failure"
    RECOVERY = "recovery"
    MISSED = "missed"
    LATE = "late"


class EventKind(StrEnum):
    """What happened to a fire, as far as alerts go."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MISSED = "missed"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Who is told what.

    Attributes:
        to: Apprise URLs; they hold secrets.
        when: What they are told.
        late: Seconds after which a fire that has not started is late; None never says so.
        every: Seconds between two alerts of one kind at least; what happens in between is told with the next.

    Raises:
        ValueError: If a time is negative.
    """

    to: tuple[str, ...] = ()
    when: tuple[AlertKind, ...] = (AlertKind.FAILURE, AlertKind.RECOVERY, AlertKind.MISSED, AlertKind.LATE)
    late: float | None = None
    every: float = 3600.0

    def __post_init__(self) -> None:
        if self.late is not None and self.late <= 0:
            raise ValueError("late: not more than 0 s")
        if self.every < 0:
            raise ValueError("every: less than 0 s")


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to fires of one schedule.

    Attributes:
        scheduled_at: The fire; the last one if they are several.
        reason: One line, masked.
        count: How many fires.
    """

    kind: EventKind
    scheduled_at: datetime
    reason: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class AlertState:
    """What a schedule's alerts need to be remembered from one event to the next.

    Attributes:
        failures: How many fires failed since the last success.
        announced: Whether people know that it fails.
        sent: When an alert of each kind was last sent.
        held: How many fires of each kind have not been told of.
        late_until: The last fire that was reported late.
    """

    failures: int = 0
    announced: bool = False
    sent: dict[AlertKind, datetime] = field(default_factory=dict)
    held: dict[AlertKind, int] = field(default_factory=dict)
    late_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One message.

    Attributes:
        count: How many fires it is about, those that were held back included; of a recovery, how many had failed.
    """

    kind: AlertKind
    scheduled_at: datetime
    reason: str | None
    count: int


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A message that is to be sent, or was.

    Attributes:
        schedule: Whose URLs it goes to; None sends it to everyone's.
        kind: An `AlertKind`, or `scheduler` for one that stopped.
        tries: How often it was tried.
        next_try_at: Not before; None once nobody tries any more.
        error: Why it could not be sent, masked.
        taken: Digests of the targets that took it already, `kit.alerts` says of what.
    """

    entry_id: str
    schedule: str | None
    kind: str
    title: str
    body: str
    created_at: datetime
    tries: int = 0
    next_try_at: datetime | None = None
    sent_at: datetime | None = None
    error: str | None = None
    taken: str = ""


def is_late(policy: AlertPolicy, scheduled_at: datetime, started_at: datetime | None, now: datetime) -> bool:
    """Whether a fire has not started, or did not start, within `policy.late`."""
    if policy.late is None:
        return False
    return (started_at or now) - scheduled_at > timedelta(seconds=policy.late)


def alerts_for(
    previous: AlertState, events: Sequence[Event], now: datetime, policy: AlertPolicy
) -> tuple[AlertState, tuple[Alert, ...]]:
    """Decide what to tell, and what to remember.

    The first failure is told at once, later ones at most once in `policy.every`. A recovery is told once, if the
    failure was, and does not wait: whoever was alarmed is relieved. A fire is late once, however often reported.

    Args:
        previous: What the last call returned; `AlertState()` at first.
        events: In the order in which they happened.

    Returns:
        The state to keep once the alerts are stored for sending, and the alerts.
    """
    state, alerts = previous, []
    for event in events:
        state, alert = _alert(state, event, now, policy)
        if alert is not None:
            alerts.append(alert)
    return state, tuple(alerts)


def _alert(state: AlertState, event: Event, now: datetime, policy: AlertPolicy) -> tuple[AlertState, Alert | None]:
    match event.kind:
        case EventKind.SUCCEEDED:
            return _success(state, event, now, policy)
        case EventKind.FAILED:
            streak = replace(state, failures=state.failures + event.count)
            after, alert = _limited(streak, AlertKind.FAILURE, event, now, policy)
            return (after if alert is None else replace(after, announced=True)), alert
        case EventKind.MISSED:
            return _limited(state, AlertKind.MISSED, event, now, policy)
        case EventKind.LATE:
            if state.late_until is not None and event.scheduled_at <= state.late_until:
                return state, None
            return _limited(replace(state, late_until=event.scheduled_at), AlertKind.LATE, event, now, policy)


def _success(state: AlertState, event: Event, now: datetime, policy: AlertPolicy) -> tuple[AlertState, Alert | None]:
    healthy = replace(state, failures=0, announced=False)
    if not state.announced or AlertKind.RECOVERY not in policy.when:
        return healthy, None
    healthy = replace(healthy, sent={**state.sent, AlertKind.RECOVERY: now})
    return healthy, Alert(AlertKind.RECOVERY, event.scheduled_at, event.reason, state.failures)


def _limited(
    state: AlertState, kind: AlertKind, event: Event, now: datetime, policy: AlertPolicy
) -> tuple[AlertState, Alert | None]:
    """Send, unless nobody asked or one of the kind was just sent. A clock that went back does not silence alerts."""
    if kind not in policy.when:
        return state, None
    count = state.held.get(kind, 0) + event.count
    sent = state.sent.get(kind)
    if sent is not None and timedelta() <= now - sent < timedelta(seconds=policy.every):
        return replace(state, held={**state.held, kind: count}), None
    after = replace(state, sent={**state.sent, kind: now}, held={**state.held, kind: 0})
    return after, Alert(kind, event.scheduled_at, event.reason, count)
