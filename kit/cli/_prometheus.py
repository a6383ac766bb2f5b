"""A status as Prometheus reads it: the text exposition format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from kit.health import Health, ScheduleHealth
from kit.states import RunStatus
from kit.status import State, Status

__all__ = ["exposition"]

_Sample = tuple[Mapping[str, str], float]

_FIGURES = {
    ("scheduler", "running"): ("kit_scheduler_running", "Schedulers that are there."),
    ("scheduler", "heartbeat_age_seconds"): (
        "kit_scheduler_heartbeat_age_seconds",
        "Since a scheduler was last heard of.",
    ),
    ("queue", "waiting"): ("kit_queue_waiting", "Fires that are due and wait for their turn."),
    ("queue", "longest_wait_seconds"): ("kit_queue_longest_wait_seconds", "How long the first of them has waited."),
    ("runs", "stuck"): ("kit_runs_stuck", "Runs whose supervisor is silent."),
    ("runs", "lost"): ("kit_runs_lost", "Runs that were lost in the last 24 hours."),
    ("disk", "free_bytes"): ("kit_disk_free_bytes", "Free on the disk that .kit lies on."),
    ("disk", "total_bytes"): ("kit_disk_size_bytes", "The size of that disk."),
    ("spool", "runs"): ("kit_spool_runs", "Runs that ended and that MLflow does not know all of."),
    ("spool", "bytes"): ("kit_spool_bytes", "What of them is still to be sent."),
    ("alerts", "unsent"): ("kit_alerts_unsent", "Alerts that could not be sent."),
    ("mlflow", "up"): ("kit_mlflow_up", "Whether MLflow can be reached."),
    ("dvc", "up"): ("kit_dvc_remote_up", "Whether the default DVC remote can be reached."),
}
"""Metric and help of each figure of a check."""

_SEVERITY = {State.OK: 0, State.WARNING: 1, State.BAD: 2}


def exposition(status: Status) -> str:
    """All metrics, each with the label `project`; every one is a gauge."""
    lines: list[str] = []
    for name, about, samples in _metrics(status):
        found = [_line(name, {"project": status.project, **labels}, value) for labels, value in samples]
        if found:
            lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge", *found]
    return "".join(f"{line}\n" for line in lines)


def _metrics(status: Status) -> Iterator[tuple[str, str, Iterable[_Sample]]]:
    states = {check.name: State.OK for check in status.checks}
    values: dict[tuple[str, str], float] = {}
    for check in status.checks:
        states[check.name] = max(states[check.name], check.state, key=_SEVERITY.__getitem__)
        values |= {
            (check.name, key): value
            for key, value in check.values.items()
            if isinstance(value, int | float) and (check.name, key) in _FIGURES
        }
    yield "kit_up", "Whether kit's store can be used.", [({}, states.get("store") is State.OK)]
    yield "kit_well", "Whether nobody has to do anything.", [({}, status.is_well)]
    yield (
        "kit_check_state",
        "0 is well, 1 a warning, 2 bad.",
        [({"check": name}, _SEVERITY[state]) for name, state in states.items()],
    )
    for figure, (name, about) in _FIGURES.items():
        yield name, about, [({}, values[figure])] if figure in values else []
    if status.runs:
        yield (
            "kit_runs",
            "Runs in the store.",
            [({"status": kind.value}, status.runs.get(kind, 0)) for kind in RunStatus],
        )
    yield from _of_schedules(status.schedules)


def _of_schedules(schedules: Iterable[ScheduleHealth]) -> Iterator[tuple[str, str, Iterable[_Sample]]]:
    found = [({"schedule": schedule.name}, schedule) for schedule in schedules]
    yield (
        "kit_schedule_health",
        "1 for what the schedule is.",
        [({**label, "health": schedule.health.value}, 1) for label, schedule in found],
    )
    yield (
        "kit_schedule_paused",
        "Whether somebody paused it.",
        [(label, schedule.health is Health.PAUSED) for label, schedule in found],
    )
    yield (
        "kit_schedule_failures_streak",
        "Fires that failed since one succeeded; 10 stands for more.",
        [(label, max(0, -schedule.streak.count)) for label, schedule in found],
    )
    for name, about, instants in (
        (
            "kit_schedule_last_success_timestamp_seconds",
            "The last instant it was run for with success.",
            [(label, schedule.last_success) for label, schedule in found],
        ),
        (
            "kit_schedule_next_timestamp_seconds",
            "When it is due next by the clock.",
            [(label, schedule.next_at) for label, schedule in found],
        ),
    ):
        yield name, about, _timestamps(instants)


def _timestamps(instants: Iterable[tuple[Mapping[str, str], datetime | None]]) -> list[_Sample]:
    return [(label, instant.timestamp()) for label, instant in instants if instant is not None]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    number = float(value)
    return f"{name}{{{told}}} {int(number) if number.is_integer() else repr(number)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
