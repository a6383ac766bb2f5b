"""A run that does not come to start leaves nothing, whatever stopped it and wherever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit import runs, snapshots
from kit.errors import HostError, UserError
from kit.executors.local import LocalExecutor
from kit.models import masked
from kit.project import open_project
from kit.stores.base import RunQuery
from tests.support import run_refs


def then_stop(function: Callable[..., Any]) -> Callable[..., Any]:
    def stopped(*arguments: Any, **named: Any) -> Any:
        function(*arguments, **named)
        raise KeyboardInterrupt

    return stopped


def start(root: Path, *overrides: str) -> None:
    project = open_project(root)
    runs.start(project, runs.plan(project, runs.Request(overrides=overrides)))


@pytest.mark.parametrize("stopped_in", ["snapshot", "masking", "submitting"])
def test_ctrl_c_leaves_nothing(project: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: str) -> None:
    where: dict[str, tuple[Any, str]] = {
        "snapshot": (snapshots, "take"),
        "masking": (runs, "masked"),
        "submitting": (LocalExecutor, "__init__"),
    }
    owner, name = where[stopped_in]
    monkeypatch.setattr(owner, name, then_stop(getattr(owner, name)))
    with pytest.raises(KeyboardInterrupt):
        start(project)
    assert run_refs(project) == []
    assert list(project.glob(".kit/runs/*")) == []
    assert open_project(project).store.runs(RunQuery()) == []


def test_tidying_up_that_fails_does_not_hide_why(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise HostError("the disk is full")

    monkeypatch.setattr(runs, "discard", fails)
    monkeypatch.setattr(runs, "masked", then_stop(masked))
    with pytest.raises(KeyboardInterrupt):
        start(project)


@pytest.mark.parametrize("seed", ["-1", "1.5", "foo", "true", str(2**63), str(10**30)])
def test_a_seed_that_no_store_holds_is_refused_before_anything_is_done(
    project: Path, monkeypatch: pytest.MonkeyPatch, seed: str
) -> None:
    monkeypatch.setattr(snapshots, "prepare_data", lambda *_, **__: pytest.fail("data was fetched"))
    with pytest.raises(UserError, match=r"^seed: expected a whole number from 0 to 9223372036854775807"):
        runs.plan(open_project(project), runs.Request(overrides=(f"seed={seed}",)))
    assert run_refs(project) == []


def test_the_largest_seed_is_kept(project: Path) -> None:
    planned = runs.plan(open_project(project), runs.Request(overrides=(f"seed={2**63 - 1}",)))
    assert planned.snapshot.seed == 2**63 - 1
