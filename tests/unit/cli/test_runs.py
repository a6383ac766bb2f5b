"""Tests for kit.cli.runs: what fits on the screen, and what was meant."""

from __future__ import annotations

import pytest

from kit.cli.runs import _comparison, _that_fit
from kit.errors import UserError
from kit.stores.base import Comparison


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (100, ["roc_auc", "calibration_error", "b"]),
        (31, ["roc_auc", "calibration_error"]),
        (29, ["roc_auc"]),
        (0, ["roc_auc"]),
    ],
)
def test_metrics_are_shown_while_there_is_room(width: int, shown: list[str]) -> None:
    assert _that_fit(["roc_auc", "calibration_error", "b"], width) == shown


def test_nothing_logged_shows_nothing() -> None:
    assert _that_fit([], 80) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auc>0.7", Comparison("auc", ">", "0.7")),
        ("val/auc >= 0.7", Comparison("val/auc", ">=", "0.7")),
        ("model.name=a=b", Comparison("model.name", "=", "a=b")),
        ("loss!=nan", Comparison("loss", "!=", "nan")),
    ],
)
def test_a_comparison_is_read(text: str, expected: Comparison) -> None:
    assert _comparison(text) == expected


@pytest.mark.parametrize("text", ["auc", "auc>", ">0.7", ""])
def test_what_is_no_comparison_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="is no comparison") as caught:
        _comparison(text)
    assert "'auc>0.7'" in (caught.value.fix or "")
