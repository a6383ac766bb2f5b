"""What a metric must reach."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.errors import UserError
from kit.project import open_project
from kit.states import RunStatus
from kit.testing import assert_metric, fake_run, load_floors
from tests.factories import record, spec

FLOORS = {
    "tests/floor.toml": 'experiment = "baseline"\nauc = 0.6\nloss = {max = 0.7}\nshare = {min = 0.1, max = 0.2}\n'
}


def fails(*arguments: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        assert_metric(*arguments, **options)
    return str(raised.value)


def test_bounds_hold_for_runs_and_for_metrics(tmp_path: Path) -> None:
    run = fake_run(tmp_path, name="smoke")
    run.log({"auc": 0.75})
    assert_metric(run, "auc", min=0.75, max=0.75)
    assert_metric({"auc": 0.75}, "auc", min=0.7)
    assert fails(run, "auc", min=0.8, max=0.7) == (
        "auc = 0.75 of run smoke:\n  below the minimum 0.8 by 0.05\n  above the maximum 0.7 by 0.05"
    )


def test_nan_is_never_good_enough() -> None:
    metrics = {"auc": math.nan}
    assert "below the minimum 0 by nan" in fails(metrics, "auc", min=0)
    assert "above the maximum 1 by nan" in fails(metrics, "auc", max=1)


def test_another_run_is_a_bound_with_a_tolerance(tmp_path: Path) -> None:
    old = fake_run(tmp_path, name="old")
    old.log({"auc": 0.5, "loss": 0.25})
    assert_metric({"auc": 0.375}, "auc", not_worse_than=old, tolerance=0.125, better="higher")
    assert_metric({"auc": 0.75}, "auc", min=0.1, not_worse_than=old)
    assert_metric({"loss": 0.125}, "loss", max=1, not_worse_than=old)
    said = fails({"auc": 0.25}, "auc", not_worse_than=old, tolerance=0.125, better="higher")
    assert said == "auc = 0.25 of this run:\n  worse than 0.5 of run old by 0.25; 0.125 would be tolerated"
    assert "worse than 0.25 of run old by 0.25" in fails({"loss": 0.5}, "loss", max=1, not_worse_than=old)
    assert "by nan" in fails({"auc": math.nan}, "auc", not_worse_than=old, better="higher")


def test_a_run_can_be_named(project: Path) -> None:
    opened = open_project(project)
    opened.store.create(spec(), replace(record(), status=RunStatus.SUCCEEDED, tracked=True))
    opened.store.set_metrics(record().run_id, {"auc": 0.5})
    assert_metric({"auc": 0.5}, "auc", not_worse_than="last", better="higher", root=project)
    said = fails({"auc": 0.25}, "auc", not_worse_than="last", better="higher", root=project)
    assert f"worse than 0.5 of run {record().run_id} by 0.25" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"not_worse_than": "last"}, "whether a higher auc is better"),
        ({"not_worse_than": "last", "min": 0, "max": 1}, "whether a higher auc is better"),
        ({"min": 0, "tolerance": -1.0}, "tolerance of -1"),
        ({"min": 0, "tolerance": math.nan}, "tolerance of nan"),
    ],
)
def test_what_cannot_be_judged_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        assert_metric({"auc": 0.5}, "auc", **options)


def test_a_metric_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no metric 'acu'.*auc"):
        assert_metric({"auc": 0.5}, "acu", min=0)


def test_floors_hold_where_no_bound_is_given(make_project: Callable[..., Path]) -> None:
    root = make_project(FLOORS)
    assert_metric({"auc": 0.6, "loss": 0.7, "share": 0.1}, "auc", root=root)
    assert "below the minimum 0.6 of tests/floor.toml by 0.1" in fails({"auc": 0.5}, "auc", root=root)
    assert "above the maximum 0.7 of tests/floor.toml" in fails({"loss": 0.75}, "loss", root=root)
    assert "below the minimum 0.1" in fails({"share": 0.0}, "share", root=root)
    assert load_floors(root)["experiment"] == "baseline"


@pytest.mark.parametrize("text", ["", 'auc = "0.6"', "auc = nan", "auc = true", "auc = {}", "auc = {least = 0.6}"])
def test_a_floor_that_says_nothing_is_refused(text: str, make_project: Callable[..., Path]) -> None:
    root = make_project({"tests/floor.toml": text})
    with pytest.raises(UserError, match=r"there is none for it \(tests/floor.toml\)"):
        assert_metric({"auc": 0.5}, "auc", root=root)


def test_a_file_of_floors_that_is_missing_or_no_toml_is_told(make_project: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"there is no tests/floor\.toml"):
        assert_metric({"auc": 0.5}, "auc", root=make_project(name="none"))
    with pytest.raises(UserError, match=r"not TOML: .*tests/floor\.toml"):
        load_floors(make_project({"tests/floor.toml": "auc 0.6"}, name="broken"))
