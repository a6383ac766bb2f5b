"""The example's schedules, driven through 2013 with a fake clock: each month that is over brings new data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.project import open_project
from kit.scheduler import Scheduler
from kit.schedules import Schedules
from kit.triggers import next_after
from tests.conftest import git
from tests.template.rendering import Answers

MONTHS_OVER = [datetime(2013 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(1, 13)]
"""From February 1, 2013 to January 1, 2014: one month more is over."""


@contextmanager
def scheduler_from(root: Path, start: datetime) -> Iterator[Scheduler]:
    """A scheduler that met the schedules at `start`; what was due before is not its business."""
    project = open_project(root)
    scheduler = Scheduler(project, Schedules(project))
    try:
        scheduler.turn(start)
        yield scheduler
    finally:
        scheduler.close()


def nights_after(root: Path, instants: Sequence[datetime]) -> list[datetime]:
    """When `nightly` is due next after each of these."""
    trigger = Schedules(open_project(root)).find("nightly").trigger
    nights = [night for instant in instants if (night := next_after(trigger, instant)) is not None]
    assert [night.date() for night in nights] == [instant.date() for instant in instants]
    return nights


def go_on(scheduler: Scheduler, now: datetime) -> None:
    """Turns until all that began has ended, and what began because of that."""
    for turn in range(10):
        scheduler.turn(now + turn * timedelta(seconds=61), wait=True)
        if not scheduler.handles:
            return
        for handle in list(scheduler.handles.values()):
            handle.wait()
    raise AssertionError("something begins again and again")


def runs_of(root: Path, run: Callable[..., str]) -> list[dict[str, Any]]:
    """All runs as `kit show` has them, the oldest first; `kit runs` lists every one."""
    listed = run(root, "kit", "runs")
    records = json.loads(run(root, "kit", "runs", "--json"))
    assert all(record["run_id"] in listed for record in records)
    return [json.loads(run(root, "kit", "show", record["run_id"], "--json")) for record in reversed(records)]


def data_of(record: dict[str, Any]) -> dict[str, Any]:
    """The version of the data that a run used."""
    (version,) = record["spec"]["snapshot"]["data"]
    assert version["state"] == "matches"
    assert isinstance(version, dict)
    return version


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
def test_nightly_retrains_twelve_times_on_twelve_versions_of_the_data(
    repository: Callable[[Answers], Path], run: Callable[..., str]
) -> None:
    root = repository({"framework": "scikit-learn"})
    (root / "conf" / "schedule" / "on_new_data.yaml").unlink()  # has its own test below
    nights = nights_after(root, MONTHS_OVER)

    with scheduler_from(root, MONTHS_OVER[0]) as scheduler:
        for night in nights:
            go_on(scheduler, night)

    runs = runs_of(root, run)
    assert [(record["name"], record["status"]) for record in runs] == [("nightly", "succeeded")] * 12
    assert [datetime.fromisoformat(record["origin"]["scheduled_at"]) for record in runs] == nights
    versions = [data_of(record) for record in runs]
    assert len({version["md5"] for version in versions}) == 12
    assert [version["files"] for version in versions] == list(range(1, 13)), "one file a month"
    learnt_from = [int(record["params"]["train_flights"]) for record in runs]
    assert learnt_from == sorted(set(learnt_from))
    assert all(record["metrics"]["roc_auc"] > 0.6 for record in runs)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_on_new_data_follows_each_version_that_nightly_makes_after_the_first(
    repository: Callable[[Answers], Path], run: Callable[..., str]
) -> None:
    root = repository({"framework": "none"})
    nights = nights_after(root, MONTHS_OVER[:3])

    with scheduler_from(root, MONTHS_OVER[0]) as scheduler:
        for night in [*nights, nights[-1] + timedelta(days=1)]:  # in that last day nothing was measured
            go_on(scheduler, night)

    runs = runs_of(root, run)
    assert {record["status"] for record in runs} == {"succeeded"}
    assert [record["name"] for record in runs] == ["nightly", *["nightly", "on_new_data"] * 2, "nightly"]
    versions = [data_of(record)["md5"] for record in runs]
    assert len(set(versions)) == 3
    assert versions[1::2] == [versions[2], versions[4], versions[4]], "on what nightly made, and then what was there"
    assert git(root, "status", "--porcelain") == "?? dvc.lock"
