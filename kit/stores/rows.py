"""Records of runs as rows of their table, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping

from kit._process import ProcessId
from kit.models import Origin, RunRecord, from_json, to_json
from kit.states import RunStatus

__all__ = ["process_of", "process_text", "run_record", "run_row"]

_NOT_COLUMNS = {"origin", "metrics", "params", "tags"}
_ENCODED = {"status", "overrides", "origin", "parent", "trial", "scheduled_at", "starter", "supervisor", "process"}


def run_row(record: RunRecord) -> dict[str, Any]:
    """The record as a row of the table of runs; its tags, metrics and parameters have tables of their own."""
    row = {name: getattr(record, name) for name in RunRecord.__dataclass_fields__ if name not in _NOT_COLUMNS}
    return row | {
        "status": record.status.value,
        "overrides": to_json(record.overrides).decode(),
        "origin": record.origin.kind,
        "parent": record.origin.parent,
        "trial": record.origin.index,
        "scheduled_at": record.origin.scheduled_at,
        "starter": process_text(record.starter),
        "supervisor": process_text(record.supervisor),
        "process": process_text(record.process),
    }


def run_record(row: RowMapping, metrics: dict[str, float], params: dict[str, str], tags: dict[str, str]) -> RunRecord:
    """The record that a row and the run's rows of other tables make."""
    return RunRecord(
        **{name: value for name, value in row.items() if name not in _ENCODED},
        status=RunStatus(row["status"]),
        overrides=from_json(row["overrides"], tuple[str, ...]),
        origin=Origin(row["origin"], row["parent"], row["trial"], row["scheduled_at"]),
        starter=process_of(row["starter"]),
        supervisor=process_of(row["supervisor"]),
        process=process_of(row["process"]),
        metrics=metrics,
        params=params,
        tags=tags,
    )


def process_text(process: ProcessId | None) -> str | None:
    return None if process is None else to_json(process).decode()


def process_of(text: str | None) -> ProcessId | None:
    return None if text is None else from_json(text, ProcessId)
