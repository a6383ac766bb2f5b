"""How instants of schedules are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from kit.cli._fires import local_and_utc


@pytest.fixture
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_berlin")
@pytest.mark.parametrize(
    ("instant", "told"),
    [
        (datetime(2026, 11, 22, 22, tzinfo=UTC), "2026-11-22 23:00 (22:00 UTC)"),
        (datetime(2026, 11, 22, 22, 0, 5, tzinfo=UTC), "2026-11-22 23:00:05 (22:00:05 UTC)"),
        (datetime(2026, 11, 22, 23, tzinfo=UTC), "2026-11-23 00:00 (11-22 23:00 UTC)"),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), "2027-01-01 00:00 (2026-12-31 23:00 UTC)"),
    ],
)
def test_the_clock_here_comes_with_that_of_utc(instant: datetime, told: str) -> None:
    assert local_and_utc(instant) == told


def test_where_they_are_one_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        assert local_and_utc(datetime(2026, 11, 22, 22, tzinfo=UTC)) == "2026-11-22 22:00 UTC"
    time.tzset()
