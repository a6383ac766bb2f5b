"""What a run spec is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit import runs
from kit.errors import UserError
from kit.models import Limits, RunSpec, masked, to_json
from kit.project import open_project

MakeProject = Callable[..., Path]


def planned(root: Path, *overrides: str, **request: Any) -> RunSpec:
    return runs.plan(open_project(root), runs.Request(overrides=overrides, **request))


def test_note_and_timeout_may_stand_in_the_config(project: Path) -> None:
    spec = planned(project, "+note=why", "+timeout=90")
    assert (spec.note, spec.limits) == ("why", Limits(timeout=90.0))


def test_the_command_line_wins_over_the_config(project: Path) -> None:
    limits = Limits(timeout=5.0, grace=1.0)
    spec = planned(project, "+note=why", "+timeout=90", note="because", limits=limits)
    assert (spec.note, spec.limits) == ("because", limits)


@pytest.mark.parametrize(
    "override", ["+timeout=0", "+timeout=-1", "+timeout=soon", "+timeout=true", "+timeout=inf", "+note=5"]
)
def test_a_note_or_timeout_of_another_kind_is_refused(project: Path, override: str) -> None:
    with pytest.raises(UserError, match=override[1:].partition("=")[0]):
        planned(project, override)


def test_what_the_environment_holds_in_secret_is_not_stored(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    spec = planned(make_project(), "+database.auth=${oc.env:DB_PASSWORD}", tags={"api_key": "hunter2"})
    assert spec.config["database"] == {"auth": "hunter2"}
    assert b"hunter2" not in to_json(masked(spec))
