"""What the store keeps of schedules, as rows of its tables, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import RowMapping

from kit._process import ProcessId
from kit.alerting import AlertState, OutboxEntry
from kit.fires import Fire, FireOrigin, Gap, SchedulerRecord, ScheduleState
from kit.models import from_json, to_json
from kit.states import FireStatus
from kit.triggers import Trigger

__all__ = [
    "as_fire",
    "as_gap",
    "as_scheduler",
    "as_state",
    "fire_row",
    "gap_row",
    "json_text",
    "message_row",
    "scheduler_row",
    "state_row",
]


def as_fire(row: RowMapping | dict[str, Any]) -> Fire:
    decoded = {
        "status": FireStatus(row["status"]),
        "origin": FireOrigin(row["origin"]),
        "slots": from_json(row["slots"], dict[str, int]),
    }
    return Fire(**{**row, **decoded})


def fire_row(fire: Fire) -> dict[str, Any]:
    row = {name: getattr(fire, name) for name in Fire.__dataclass_fields__}
    return row | {"status": fire.status.value, "origin": fire.origin.value, "slots": json_text(fire.slots)}


def as_gap(row: RowMapping) -> Gap:
    facts = {name: row[name] for name in Gap.__dataclass_fields__}
    return Gap(**{**facts, "status": FireStatus(row["status"])})


def gap_row(gap: Gap) -> dict[str, Any]:
    return {name: getattr(gap, name) for name in Gap.__dataclass_fields__} | {"status": gap.status.value}


def as_state(row: RowMapping) -> ScheduleState:
    return ScheduleState(**{**row, "trigger": _trigger(row["trigger"]), "alerts": _alerts(row["alerts"])})


def state_row(state: ScheduleState) -> dict[str, Any]:
    row = {name: getattr(state, name) for name in ScheduleState.__dataclass_fields__}
    return row | {"trigger": json_text(state.trigger), "alerts": json_text(state.alerts)}


def as_scheduler(row: RowMapping) -> SchedulerRecord:
    return SchedulerRecord(**{**row, "process": from_json(row["process"], ProcessId)})


def scheduler_row(record: SchedulerRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in SchedulerRecord.__dataclass_fields__}
    return row | {"process": json_text(record.process)}


def message_row(entry: OutboxEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in OutboxEntry.__dataclass_fields__}


def json_text(value: object) -> str:
    return to_json(value).decode()


# A cron expression is checked when it is made, and ten thousand schedules have few of them.
@lru_cache(maxsize=4096)
def _trigger(text: str) -> Trigger:
    return from_json(text, Trigger)  # type: ignore[arg-type]


@lru_cache(maxsize=4096)
def _alerts(text: str) -> AlertState:
    return from_json(text, AlertState)
