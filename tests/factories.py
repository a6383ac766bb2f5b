"""Records for tests that are about something else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kit.models import Origin, RunRecord, RunSpec
from kit.snapshot import CodeVersion, DataVersion, Environment, Host, Snapshot
from kit.states import RunStatus
from kit.stores.rows import run_row

INSTANT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def snapshot(**changes: Any) -> Snapshot:
    """A snapshot of a clean tree with one data folder."""
    made = Snapshot(
        code=CodeVersion(commit="c" * 40, base="c" * 40, branch="main", dirty=False, ref="refs/kit/runs/x"),
        data=(DataVersion("data/flights", "d" * 32 + ".dir", 123, 12, "matches", "dvc.lock", "ingest"),),
        environment=Environment("3.11.7", "CPython", "/usr/bin/python3", {"numpy": "2.0"}, "uv.lock", "e" * 64),
        host=Host("box", "Linux 6", "x86_64", "A CPU", 2, 8 * 2**30),
        seed=7,
        command=("kit", "run"),
        taken_at=INSTANT,
    )
    return replace(made, **changes)


def spec(run_id: str = "abc123", **changes: Any) -> RunSpec:
    """A run spec of the tiny project."""
    made = RunSpec(
        run_id=run_id,
        name="baseline",
        project="tiny",
        experiment="baseline",
        task="tiny.train.train",
        overrides=("model.rate=0.2",),
        config={"model": {"rate": 0.2}, "steps": 3},
        snapshot=snapshot(),
        project_root="/project",
        tracking_uri="sqlite:////project/mlflow.db",
    )
    return replace(made, **changes)


def record(run_id: str = "abc123", *, at: datetime = INSTANT, params: dict[str, str] | None = None) -> RunRecord:
    """The queued record of `spec(run_id)`."""
    return RunRecord.queued(spec(run_id), at=at, params=params or {"model.rate": "0.2"})


def row_of_0001(made: RunRecord) -> dict[str, Any]:
    """The record's row as it was before executors had columns of their own."""
    return {name: value for name, value in run_row(made).items() if name not in {"executor", "job", "token"}}


def claimed(run_id: str = "abc123", **changes: Any) -> RunRecord:
    """The record of a schedule's run of which nothing is known yet."""
    made = RunRecord(
        run_id=run_id,
        name="nightly",
        project="tiny",
        experiment="baseline",
        task=None,
        status=RunStatus.QUEUED,
        created_at=INSTANT,
        commit=None,
        dirty=False,
        seed=None,
        origin=Origin("schedule", "nightly", 1, INSTANT),
    )
    return replace(made, **changes)
