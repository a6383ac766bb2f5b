"""Whom to tell what, and when it would be too much."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.alerting import Alert, AlertKind, AlertPolicy, AlertState, Event, EventKind, alerts_for, is_late
from kit.models import from_json, to_json

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
POLICY = AlertPolicy(to=("file:///tmp/alerts",), late=900, every=3600)


class Line:
    """A schedule's life, told event by event."""

    def __init__(self, policy: AlertPolicy = POLICY) -> None:
        self.policy, self.state = policy, AlertState()

    def tell(self, kind: str, now: datetime, *, fire: datetime | None = None, count: int = 1) -> list[tuple[str, int]]:
        event = Event(EventKind(kind), fire or now, "why", count)
        self.state, alerts = alerts_for(self.state, [event], now, self.policy)
        return [(alert.kind.value, alert.count) for alert in alerts]


def test_a_failure_is_told_at_once_and_its_recovery_too() -> None:
    line = Line()
    assert line.tell("failed", NOW) == [("failure", 1)]
    assert line.tell("succeeded", NOW + MINUTE) == [("recovery", 1)]
    assert line.tell("succeeded", NOW + 2 * MINUTE) == []


def test_failures_are_counted_while_it_would_be_too_much() -> None:
    line = Line()
    told = [line.tell("failed", NOW + MINUTE * i) for i in range(61)]
    assert told[0] == [("failure", 1)]
    assert not any(told[1:60])
    assert told[60] == [("failure", 60)]
    assert line.tell("succeeded", NOW + 62 * MINUTE) == [("recovery", 61)]


def test_a_failure_nobody_was_told_of_does_not_recover_aloud() -> None:
    line = Line()
    line.tell("failed", NOW)
    line.tell("succeeded", NOW + MINUTE)
    assert line.tell("failed", NOW + 2 * MINUTE) == []
    assert line.tell("succeeded", NOW + 3 * MINUTE) == []


def test_a_late_fire_is_late_once() -> None:
    line = Line()
    assert line.tell("late", NOW, fire=NOW - HOUR) == [("late", 1)]
    assert line.tell("late", NOW + 2 * HOUR, fire=NOW - HOUR) == []
    assert line.tell("late", NOW + 2 * HOUR, fire=NOW) == [("late", 1)]


def test_missed_fires_are_told_with_their_number() -> None:
    line = Line()
    assert line.tell("missed", NOW, count=525_600) == [("missed", 525_600)]
    assert line.tell("missed", NOW + MINUTE, count=2) == []
    assert line.tell("missed", NOW + 2 * HOUR) == [("missed", 3)]


def test_only_what_was_asked_for_is_told() -> None:
    line = Line(AlertPolicy(when=(AlertKind.RECOVERY,)))
    assert line.tell("failed", NOW) == line.tell("missed", NOW) == line.tell("late", NOW) == []
    assert line.state.held == {}


def test_a_clock_that_went_back_silences_nothing() -> None:
    line = Line()
    line.tell("failed", NOW)
    assert line.tell("failed", NOW - 2 * HOUR) == [("failure", 1)]


def test_an_alert_says_what_happened() -> None:
    event = Event(EventKind.FAILED, NOW, "exit code 1")
    _, alerts = alerts_for(AlertState(), [event], NOW, POLICY)
    assert alerts == (Alert(AlertKind.FAILURE, NOW, "exit code 1", 1),)


@given(
    kinds=st.lists(st.tuples(st.sampled_from(EventKind), st.integers(0, 90)), max_size=40), every=st.integers(0, 7200)
)
def test_no_kind_but_recovery_is_told_twice_within_the_limit_and_no_failure_is_lost(
    kinds: list[tuple[EventKind, int]], every: int
) -> None:
    line, now = Line(AlertPolicy(late=900, every=every)), NOW
    sent: dict[str, datetime] = {}
    failed = told = 0
    for kind, minutes in kinds:
        now += MINUTE * minutes
        failed += kind is EventKind.FAILED
        for name, count in line.tell(kind, now):
            assert name == "recovery" or name not in sent or now - sent[name] >= timedelta(seconds=every)
            sent[name] = now
            told += count if name == "failure" else 0
    assert failed == told + line.state.held.get(AlertKind.FAILURE, 0)
    assert from_json(to_json(line.state), AlertState) == line.state


def test_a_fire_is_late_when_it_has_not_started_in_time() -> None:
    assert not is_late(POLICY, NOW, None, NOW + 15 * MINUTE)
    assert is_late(POLICY, NOW, None, NOW + 16 * MINUTE)
    assert not is_late(POLICY, NOW, NOW + MINUTE, NOW + HOUR)
    assert is_late(POLICY, NOW, NOW + HOUR, NOW + 2 * HOUR)
    assert not is_late(AlertPolicy(), NOW, None, NOW + 99 * HOUR)


@pytest.mark.parametrize("make", [lambda: AlertPolicy(late=0), lambda: AlertPolicy(every=-1)])
def test_times_out_of_bounds_are_refused(make: Callable[[], AlertPolicy]) -> None:
    with pytest.raises(ValueError, match=r"^\w+: "):
        make()
