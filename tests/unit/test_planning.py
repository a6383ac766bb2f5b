"""A claimed run plans itself; what it does as a whole is in tests/integration/test_claimed_runs.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import planning, snapshots
from kit.models import Origin, Request, from_json, to_json
from kit.models import RunSpec as Spec
from kit.project import Project, open_project
from kit.states import IllegalTransition, RunStatus
from tests.factories import claimed
from tests.support import claim, run_refs

ENVIRONMENT = ("KIT_SCHEDULE", "KIT_SCHEDULED_AT", "KIT_ATTEMPT")


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Planning changes it, for what comes after in its process."""
    yield
    for name in ENVIRONMENT:
        os.environ.pop(name, None)


@pytest.fixture
def opened(project: Path) -> Project:
    return open_project(project)


def launched(project: Project, status: RunStatus, *overrides: str, origin: Origin | None = None) -> None:
    """A run as it is when its own process begins."""
    made = claimed(status=status, origin=origin or claimed().origin)
    claim(project.store, made)
    paths = project.paths.run(made.run_id)
    paths.root.mkdir()
    paths.request.write_bytes(to_json(Request(overrides, origin=made.origin)))


def test_what_is_planned_is_noted_everywhere(opened: Project) -> None:
    launched(opened, RunStatus.STARTING, "+password=hunter2", "+at=${oc.env:KIT_SCHEDULED_AT}")
    spec = planning.plan_claimed(opened, "abc123")
    paths = opened.paths.run("abc123")
    assert spec.config["at"] == os.environ["KIT_SCHEDULED_AT"] == "2026-03-01T12:00:00+00:00"
    assert (os.environ["KIT_SCHEDULE"], os.environ["KIT_ATTEMPT"]) == ("nightly", "1")
    assert from_json(paths.spec.read_bytes(), Spec) == spec
    assert paths.spec.stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in paths.config.read_text()
    stored = opened.store.spec("abc123")
    assert stored is not None
    assert "hunter2" not in to_json(stored).decode()
    assert opened.store.get("abc123").commit == spec.snapshot.code.commit


def test_a_run_of_nobody_finds_nothing_of_a_schedule_in_its_environment(opened: Project) -> None:
    launched(opened, RunStatus.STARTING, origin=Origin("sweep", "s1", 0))
    planning.plan_claimed(opened, "abc123")
    assert [name for name in ENVIRONMENT if name in os.environ] == []


def test_a_run_that_was_given_up_touches_nothing(opened: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "prepare_data", lambda *_, **__: pytest.fail("data was touched"))
    launched(opened, RunStatus.LOST)
    with pytest.raises(IllegalTransition):
        planning.plan_claimed(opened, "abc123")
    assert not opened.paths.run("abc123").request.exists()


def test_a_run_that_is_given_up_meanwhile_leaves_no_plan(opened: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(opened, RunStatus.STARTING)
    take = snapshots.take

    def take_and_lose(*arguments: object, **named: object) -> object:
        opened.store.transition("abc123", RunStatus.LOST, at=claimed().created_at)
        return take(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshots, "take", take_and_lose)
    with pytest.raises(IllegalTransition):
        planning.plan_claimed(opened, "abc123")
    assert not opened.paths.run("abc123").spec.exists()
    assert run_refs(opened.root) == []
    assert opened.store.spec("abc123") is None
