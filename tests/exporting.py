"""What tests of exported schedules share."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kit.errors import UserError
from kit.exports import Export, Place, export, exporter
from kit.policies import CatchUp, CatchUpMode, Overlap, Retry
from kit.schedule import Schedule
from kit.triggers import After, Cron, Once, OnData

__all__ = [
    "ALL", "HOURLY", "MAIL", "NEW_DATA", "NIGHTLY", "NOW", "ONCE", "REPORT", "WHOLE",
    "exported", "place", "refused", "text_of",
]  # fmt: skip

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NIGHTLY = Schedule(
    "nightly",
    Cron("30 4 * * mon-fri", "America/New_York"),
    retry=Retry(attempts=3, delay=300.0, jitter=0.0),
    timeout=7200.0,
    grace=60.0,
)
HOURLY = Schedule(
    "every.hour", Cron("15 * * * *"), overlap=Overlap.QUEUE, catch_up=CatchUp(CatchUpMode.NONE, tolerance=120.0)
)
ONCE = Schedule("release", Once(datetime(2027, 1, 1, 0, 30, tzinfo=UTC)))
NEW_DATA = Schedule("new_data", OnData("data/raw"))
REPORT = Schedule("report", After("nightly"), timeout=60.0)
MAIL = Schedule("mail", After("report"))
ALL = {one.name: one for one in (NIGHTLY, HOURLY, ONCE, NEW_DATA, REPORT, MAIL)}
WHOLE = 3 * (7200 + 60) + 300 + 600 + 600
"""Seconds of all attempts, the pauses between them, and some for what is no attempt."""


def place(system: str, **changes: Any) -> Place:
    given = Place(
        project="flights",
        root="/srv/my flights",
        command=exporter(system).command or (sys.executable, "-m", "kit"),
        now=NOW,
        image="flights:1",
        zone="America/New_York",
    )
    return replace(given, **changes)


def exported(system: str, *schedules: Schedule, anyway: bool = False, **changes: Any) -> Export:
    every = ALL | {one.name: one for one in schedules}
    return export(system, every, [one.name for one in schedules], place(system, **changes), anyway=anyway)


def text_of(system: str, *schedules: Schedule, **changes: Any) -> str:
    found = exported(system, *schedules, **changes)
    assert not found.refused
    (text,) = found.files.values()
    return text


def refused(system: str, schedule: Schedule, **changes: Any) -> UserError:
    found = exported(system, schedule, **changes)
    assert found.files == {}
    return found.refused[schedule.name]
