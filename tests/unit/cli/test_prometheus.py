"""What Prometheus reads: the text exposition format, read back by its own rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.cli._prometheus import exposition
from kit.health import Health, ScheduleHealth, Streak
from kit.states import RunStatus
from kit.status import Check, State, Status
from tests.scheduling import NOON, minute

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)')
_SAMPLE = re.compile(rf"({_NAME})\{{(.*)\}} (\S+)")


@dataclass(frozen=True)
class Sample:
    name: str
    labels: dict[str, str]
    value: float


def parse(text: str) -> list[Sample]:
    """Read the format; fails at anything that Prometheus would not take."""
    assert text.endswith("\n")
    found: list[Sample] = []
    about: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        if match := re.fullmatch(rf"# (HELP|TYPE) ({_NAME}) (.+)", line):
            assert (match[1] == "HELP") is (match[2] not in about)
            assert match[1] == "HELP" or match[3] == "gauge"
            about[match[2]] = match[1]
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample is not None, line
        assert (about[sample[1]], [*about][-1]) == ("TYPE", sample[1])  # in one group, after both
        found.append(Sample(sample[1], dict(_labels(sample[2])), float(sample[3])))
    keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in found]
    assert len(keys) == len(set(keys))
    return found


def _labels(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        assert match is not None, text
        yield match[1], re.sub(r"\\(.)", lambda escaped: {"n": "\n"}.get(escaped[1], escaped[1]), match[2])
        at = match.end()


def status(*schedules: ScheduleHealth, checks: tuple[Check, ...] = (), project: str = "tiny") -> Status:
    return Status(project, NOON, checks, schedules, {RunStatus.RUNNING: 2})


def values(found: Status, name: str) -> dict[str, float]:
    """The samples of a metric, by what labels they have besides the project."""
    samples = [sample for sample in parse(exposition(found)) if sample.name == name]
    return {" ".join(v for k, v in sample.labels.items() if k != "project"): sample.value for sample in samples}


CHECKS = (
    Check("scheduler", State.OK, "runs", values={"running": 1, "heartbeat_age_seconds": 3.25}),
    Check("schedules", State.OK, "fine", values={"ok": 1}),
    Check("schedules", State.WARNING, "paused", values={"schedule": "a", "health": "paused"}),
    Check("schedules", State.BAD, "late", values={"schedule": "b", "health": "late"}),
    Check("store", State.OK, "fine"),
    Check("disk", State.OK, "roomy", values={"free_bytes": 65_700_000_000, "total_bytes": 10**12}),
    Check("mlflow", State.BAD, "down", values={"up": 0}),
    Check("spool", State.OK, "empty", values={"runs": 0, "bytes": 0}),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kit_up", {"": 1}),
        ("kit_well", {"": 0}),
        ("kit_check_state", {"scheduler": 0, "schedules": 2, "store": 0, "disk": 0, "mlflow": 2, "spool": 0}),
        ("kit_scheduler_running", {"": 1}),
        ("kit_scheduler_heartbeat_age_seconds", {"": 3.25}),
        ("kit_disk_free_bytes", {"": 65_700_000_000}),
        ("kit_mlflow_up", {"": 0}),
        ("kit_spool_runs", {"": 0}),
        ("kit_dvc_remote_up", {}),
    ],
)
def test_each_figure_has_a_metric(name: str, expected: dict[str, float]) -> None:
    assert values(status(checks=CHECKS), name) == expected


def test_every_status_of_runs_is_told() -> None:
    found = values(status(), "kit_runs")
    assert set(found) == {kind.value for kind in RunStatus}
    assert (found["running"], found["lost"]) == (2, 0)


def test_schedules_are_told_by_name() -> None:
    found = status(
        ScheduleHealth("a", Health.OK, streak=Streak(3), last_success=minute(-60), next_at=minute(60)),
        ScheduleHealth("b", Health.FAILING, streak=Streak(-2)),
        ScheduleHealth("c", Health.PAUSED),
    )
    assert values(found, "kit_schedule_health") == {"a ok": 1, "b failing": 1, "c paused": 1}
    assert values(found, "kit_schedule_failures_streak") == {"a": 0, "b": 2, "c": 0}
    assert values(found, "kit_schedule_paused") == {"a": 0, "b": 0, "c": 1}
    assert values(found, "kit_schedule_last_success_timestamp_seconds") == {"a": minute(-60).timestamp()}
    assert values(found, "kit_schedule_next_timestamp_seconds") == {"a": minute(60).timestamp()}


def test_without_a_store_that_is_what_is_told() -> None:
    found = Status("tiny", NOON, (Check("store", State.BAD, "damaged"),))
    assert values(found, "kit_up") == {"": 0}
    assert {sample.name for sample in parse(exposition(found))} == {"kit_up", "kit_well", "kit_check_state"}


@given(st.text(), st.text(min_size=1))
def test_any_name_comes_back(project: str, name: str) -> None:
    found = parse(exposition(status(ScheduleHealth(name, Health.OK), project=project)))
    assert {sample.labels["project"] for sample in found} == {project}
    assert {sample.labels["schedule"] for sample in found if "schedule" in sample.labels} == {name}
