"""How things look, on a terminal and on a pipe."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.cli import render
from kit.errors import HostError, UserError
from kit.states import RunStatus
from tests.factories import INSTANT, record


@pytest.fixture(autouse=True)
def _fresh_console() -> Iterator[None]:
    """The console is made once for a process; a test has an output of its own."""
    render.console.cache_clear()
    yield
    render.console.cache_clear()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.9, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert render.duration(seconds) == text


@given(seconds=st.floats(0, 1e7))
def test_no_duration_counts_sixty_of_anything(seconds: float) -> None:
    assert not {"60.0 s", "60"} & {render.duration(seconds), *render.duration(seconds).split(" ")[2:3]}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (59, "just now"), (60, "1 min ago"), (7199, "1 h ago"), (86400 * 3, "3 d ago"), (-5, "just now")],
)
def test_instants_are_told_from_now(seconds: float, text: str) -> None:
    assert render.ago(INSTANT - timedelta(seconds=seconds), INSTANT) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.1 + 0.2, "0.3"), (1234567.0, "1.23457e+06"), (math.nan, "nan"), (-math.inf, "-inf"), (5.0, "5")],
)
def test_numbers_have_six_digits(value: float | None, text: str) -> None:
    assert render.number(value) == text


def test_every_status_has_a_style() -> None:
    assert set(render.STYLES) == set(RunStatus)


def test_an_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    long = "a very long [bold]text[/] " * 30
    render.print_error(UserError(long.strip(), where="conf/[x].yaml", fix="Mend it."))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {long.strip()} (conf/[x].yaml). Mend it.\n"


def test_an_error_needs_neither_place_nor_fix(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_error(HostError("it broke"))
    assert capsys.readouterr().err == "error: it broke\n"


def test_an_error_with_several_lines_is_still_one(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_error(UserError("first\nsecond", fix="Do this.\nThen that."))
    assert capsys.readouterr().err == "error: first second. Do this. Then that.\n"


def test_a_table_on_a_pipe_is_tabs_and_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    render.table(["name", "value"], [("a", 1), ("[b]" * 100, None)])
    assert capsys.readouterr().out == f"name\tvalue\na\t1\n{'[b]' * 100}\tNone\n"


DATA = ["[/x]", "[abc]", "[bold]b[/]", ":smile:", "[link=x]", "\\[x]"]


@pytest.mark.parametrize("text", DATA)
def test_data_is_no_markup(text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # the table as a terminal has it
    render.table([text], [(text,)])
    render.key_values({text: text})
    render.heading(replace(record(), name=text), text)
    render.next_steps(["kit", text])
    render.console().print(text)
    assert capsys.readouterr().out.count(text) == 8


@pytest.mark.parametrize(
    ("value", "plain"), [(0.5, 0.5), (None, None), (math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_json_gets_a_text_for_what_is_no_number(value: float | None, plain: float | str | None) -> None:
    assert render.json_number(value) == plain


def test_names_and_values_are_aligned_and_empty_ones_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    render.key_values({"code": "abc", "seed": 0, "note": None, "tags": "", "environment": "[x]"})
    assert capsys.readouterr().out == "code         abc\nseed         0\nenvironment  [x]\n"
    render.key_values({})
    assert capsys.readouterr().out == ""


def test_json_is_one_document_that_any_parser_takes(capsys: pytest.CaptureFixture[str]) -> None:
    odd = replace(record(), metrics={"nan": math.nan, "up": math.inf, "auc": 0.5}, started_at=INSTANT)
    render.print_json(render.record_json(odd))
    out = capsys.readouterr().out

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    parsed = json.loads(out, parse_constant=refuse)
    assert parsed["metrics"] == {"nan": "nan", "up": "inf", "auc": 0.5}
    assert parsed["run_id"] == "abc123"
    assert out.endswith("}\n")
