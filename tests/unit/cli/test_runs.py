"""Tests for kit.cli.runs: what fits on the screen, and what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit.cli import main, render
from kit.cli._arguments import tags
from kit.cli.runs import _comparison, _that_fit
from kit.errors import UserError
from kit.project import open_project
from kit.stores.base import Comparison
from tests.factories import record, spec


@pytest.fixture(autouse=True)
def _fresh_console() -> Iterator[None]:
    render.console.cache_clear()
    yield
    render.console.cache_clear()


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


def test_an_order_needs_a_number() -> None:
    with pytest.raises(UserError, match=r"'>1' is no number"):
        _comparison("auc>>1")


@pytest.mark.parametrize("text", ["auc", "auc>", ">0.7", ""])
def test_what_is_no_comparison_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="is no comparison") as caught:
        _comparison(text)
    assert "'auc>0.7'" in (caught.value.fix or "")


@pytest.mark.parametrize("name", ["[/x]", "[abc]", ":smile:"])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_may_have_any_name(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    terminal: bool,
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.chdir(project)
    store = open_project(project).store
    store.create(spec(name=name), replace(record(), name=name))
    store.set_metrics("abc123", {name: 0.5})
    for arguments, count in ((["runs"], 2), (["show", "abc"], 2), (["runs", "--sort", name], 2)):
        assert main(arguments) == 0
        assert capsys.readouterr().out.count(name) == count


def test_tags_are_read_the_same_everywhere() -> None:
    assert tags(["team=a", "empty=", "both=a=b", "team=b"]) == {"team": "b", "empty": "", "both": "a=b"}
    for text in ("team", "=x", ""):
        with pytest.raises(UserError, match="is not KEY=VALUE"):
            tags([text])
