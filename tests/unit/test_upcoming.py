"""What comes next, with what daylight saving does to it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kit.schedule import Schedule
from kit.triggers import After, Cron, Interval, Once, OnData, Trigger
from kit.upcoming import Upcoming, upcoming, waits_for

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def test_the_next_instants_of_all_in_order() -> None:
    schedules = [
        Schedule("nightly", Cron("30 2 * * *", "Europe/Berlin")),
        Schedule("release", Once(at(29, 1, 30))),
        Schedule("over", Once(at(28, 11))),
        Schedule("daily", Interval(86400.0)),
        Schedule("data", OnData("data/raw")),
        Schedule("report", After("nightly")),
    ]
    note = "02:30 does not exist that night: runs at 03:00"
    assert upcoming(schedules, NOW, limit=5) == [
        Upcoming("daily", at(29, 0), None, None),
        Upcoming("nightly", at(29, 1), "Europe/Berlin", note),
        Upcoming("release", at(29, 1, 30), None, None),
        Upcoming("daily", at(30, 0), None, None),
        Upcoming("nightly", at(30, 0, 30), "Europe/Berlin", None),
    ]


def test_one_that_is_over_has_none() -> None:
    assert upcoming([Schedule("over", Once(at(28, 12)))], NOW, limit=3) == []
    assert upcoming([], NOW, limit=3) == []


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (Cron("@daily"), None),
        (OnData("data/raw"), "a new version of data/raw, looked for every 1 m"),
        (OnData("data/raw", "main", every=90.0), "a new version of data/raw at main, looked for every 1 m 30 s"),
        (OnData("data/raw", "main", "origin"), "a new version of data/raw at main of origin, looked for every 1 m"),
        (After("ingest"), "a success of ingest"),
    ],
)
def test_what_the_others_wait_for(trigger: Trigger, words: str | None) -> None:
    assert waits_for(Schedule("x", trigger)) == words
