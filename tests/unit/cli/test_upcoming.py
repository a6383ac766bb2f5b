"""`kit schedule next` and `kit schedule validate`, on a terminal and on a pipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.cli import main, render
from tests.conftest import write

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _fresh_console() -> Iterator[None]:
    render.console.cache_clear()
    yield
    render.console.cache_clear()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich takes what it writes to for a terminal, a very wide one."""
    monkeypatch.setenv("FORCE_COLOR", "1")


def plain(text: str) -> list[str]:
    """The lines of what was written to a terminal."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in text.splitlines()]


@pytest.fixture
def schedules(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write schedules into the tiny project, and work there."""
    monkeypatch.chdir(project)

    def make(**texts: str) -> None:
        write(project / "conf" / "schedule", {f"{name}.yaml": text for name, text in texts.items()})

    return make


NIGHTLY = 'trigger: {cron: "30 2 1 12 *", timezone: Europe/Berlin}\n'


def test_next_on_a_pipe_is_a_table_of_instants(schedules: Callable[..., None], capsys: Capture) -> None:
    schedules(
        nightly=NIGHTLY,
        new="trigger: {data: data/raw}\n",
        off=f"{NIGHTLY}enabled: false\n",
        broken="x: 1\n",
        over="trigger: {once: 2020-01-01}\n",
    )
    assert main(["schedule", "next", "-n", "2"]) == 0
    out, err = capsys.readouterr()
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header == ["schedule", "local", "UTC", "note"]
    assert [row[0] for row in rows] == ["nightly", "nightly", "new"]
    assert rows[0][1].endswith("-12-01T02:30:00+01:00")
    assert rows[0][2].endswith("-12-01T01:30:00+00:00")
    assert rows[2][1:] == ["", "", "waits for a new version of data/raw, looked for every 1 m"]
    assert err == "note: 1 schedule is broken; see `kit schedule validate`\n"


def test_next_of_one(schedules: Callable[..., None], capsys: Capture) -> None:
    schedules(off=f"{NIGHTLY}enabled: false\n", over="trigger: {once: 2020-01-01}\n", broken="x: 1\n")
    assert main(["schedule", "next", "off", "-n", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["schedule"], one["timezone"], one["note"]) for one in found] == [("off", "Europe/Berlin", None)]
    assert found[0]["local"].endswith("T02:30:00+01:00")
    assert main(["schedule", "next", "off"]) == 0
    assert capsys.readouterr().err == "note: off is not enabled: nothing of this happens by itself\n"
    assert main(["schedule", "next", "over"]) == 0
    assert capsys.readouterr() == ("", "note: over is not due any more\n")
    assert main(["schedule", "next", "broken"]) == 2
    assert "unknown key 'x'" in capsys.readouterr().err
    assert main(["schedule", "next", "of"]) == 2
    assert "Did you mean 'off'?" in capsys.readouterr().err


def test_nothing_to_come(schedules: Callable[..., None], capsys: Capture) -> None:
    schedules()
    assert main(["schedule", "next"]) == 0
    assert capsys.readouterr() == ("", "note: nothing is to come\n")
    assert main(["schedule", "next", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.usefixtures("terminal")
def test_next_on_a_terminal_has_days_and_zones(schedules: Callable[..., None], capsys: Capture) -> None:
    schedules(nightly=NIGHTLY, report="trigger: {after: nightly}\n")
    assert main(["schedule", "next"]) == 0
    lines = plain(capsys.readouterr().out)
    assert lines[0].split() == ["schedule", "local", "UTC"]  # no notes, no column for them
    assert all("-12-01 02:30 CET" in line and line.endswith("-12-01 01:30") for line in lines[1:11])
    assert lines[11] == "report waits for a success of nightly"


def test_validate_says_that_all_is_fine(schedules: Callable[..., None], capsys: Capture) -> None:
    schedules(nightly=NIGHTLY, off=f"{NIGHTLY}enabled: false\n")
    assert main(["schedule", "validate"]) == 0
    assert capsys.readouterr() == ("", "2 schedules, all fine\n")
    assert main(["schedule", "validate", "off", "off"]) == 0
    assert capsys.readouterr() == ("", "1 schedule, fine\n")
    assert main(["schedule", "validate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_validate_of_none(schedules: Callable[..., None], capsys: Capture) -> None:
    schedules()
    assert main(["schedule", "validate"]) == 0
    assert capsys.readouterr().err == "no schedules; write one as conf/schedule/NAME.yaml\n"


def test_validate_on_a_pipe_has_a_line_for_each_problem(schedules: Callable[..., None], capsys: Capture) -> None:
    schedules(nightly=NIGHTLY, broken="triger: 1\n", other=f"{NIGHTLY}repro: [a, b]\n")
    assert main(["schedule", "validate"]) == 2
    out, err = capsys.readouterr()
    assert [line.split("\t") for line in out.splitlines()] == [
        ["schedule", "where", "problem", "fix"],
        ["broken", "conf/schedule/broken.yaml", "unknown key 'triger'", "Did you mean 'trigger'?"],
        ["other", "conf/schedule/other.yaml", "repro: no stage 'a' in dvc.yaml", "There is no stage in any dvc.yaml."],
        ["other", "conf/schedule/other.yaml", "repro: no stage 'b' in dvc.yaml", "There is no stage in any dvc.yaml."],
    ]
    assert err == "1 of 3 schedules fine\n"
    assert main(["schedule", "validate", "broken", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == [
        {
            "schedule": "broken",
            "what": "unknown key 'triger'",
            "where": "conf/schedule/broken.yaml",
            "fix": "Did you mean 'trigger'?",
        }
    ]


def test_validate_of_an_unknown_name(schedules: Callable[..., None], capsys: Capture) -> None:
    schedules(nightly=NIGHTLY)
    assert main(["schedule", "validate", "nigthly"]) == 2
    assert "no schedule 'nigthly'. Did you mean 'nightly'?" in capsys.readouterr().err


@pytest.mark.usefixtures("terminal")
def test_validate_on_a_terminal_tells_each_problem_with_its_fix(
    schedules: Callable[..., None], capsys: Capture
) -> None:
    schedules(broken="triger: 1\n")
    assert main(["schedule", "validate"]) == 2
    lines = plain(capsys.readouterr().out)
    assert lines == [
        "broken",
        "  unknown key 'triger' (conf/schedule/broken.yaml)",
        "    Did you mean 'trigger'?",
        "",
        "0 of 1 schedule fine",
    ]
