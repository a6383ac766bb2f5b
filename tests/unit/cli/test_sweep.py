"""The options of a sweep, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit.cli import main
from kit.cli._board import counted, status_of, varied
from kit.cli._sweep import Asked
from kit.errors import UserError
from kit.models import Origin
from kit.states import RunStatus
from kit.sweeps import Board, Options
from tests.factories import record


def board() -> Board:
    made = Board("sweep-abc", Options(), common=frozenset({"experiment=fast", "api_key=hunter2-hunter2"}))
    ends = [
        (RunStatus.SUCCEEDED, None),
        (RunStatus.FAILED, "ValueError: no"),
        (RunStatus.CANCELLED, "pruned: loss was 3"),
        (RunStatus.CANCELLED, "cancelled on request"),
    ]
    made.records = [
        replace(record(f"r{index}"), status=status, reason=reason, origin=Origin("sweep", "sweep-abc", index))
        for index, (status, reason) in enumerate(ends)
    ]
    made.total = 9
    return made


def test_a_board_in_words() -> None:
    assert counted(board()) == "4 of 9 trials, 1 failed, 1 cancelled, 1 pruned"
    assert [status_of(each) for each in board().records] == ["succeeded", "failed", "pruned", "cancelled"]
    assert board().exit_code == 1


def test_only_what_tells_a_trial_from_others_is_shown_and_no_secret() -> None:
    given = ("experiment=fast", "x=1", "api_key=hunter2-hunter2", "+token=swordfish-9")
    assert varied(board(), given) == "x=1 +token=***"


def test_what_is_typed_wins_over_what_was() -> None:
    before = Options(jobs=3, metric="auc", time_budget=5.0)
    after = Asked(jobs=2, time_budget="1h 30m", slot=("gpu", "disk=2")).over(before)
    assert after == replace(before, jobs=2, time_budget=5400.0, slots={"gpu": 1, "disk": 2})
    assert Asked().over(before) == before


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        (Asked(time_budget="soon"), "--time-budget"),
        (Asked(slot=("gpu=0",)), "--slot"),
        (Asked(slot=("=2",)), "--slot"),
        (Asked(slot=("gpu=two",)), "--slot"),
    ],
)
def test_values_that_cannot_be_used(asked: Asked, where: str) -> None:
    with pytest.raises(UserError) as caught:
        asked.over(Options())
    assert caught.value.where == where
    assert caught.value.fix


@pytest.mark.parametrize(
    "given",
    [
        ["--on-error", "stop"],
        ["--trials", "3"],
        ["--time-budget", "1m"],
        ["--metric", "auc"],
        ["--minimize"],
        ["--maximize"],
        ["--slot", "gpu"],
    ],
)
def test_options_of_sweeps_need_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    monkeypatch.chdir(project)
    assert main(["run", *given]) == 2
    assert f"error: {given[0]} is for the trials of a sweep (command line). Add `-m`" in capsys.readouterr().err
    assert not (project / ".kit").exists()


@pytest.mark.parametrize("given", [["x=1"], ["--name", "n"], ["--dry-run"], ["--profile"], ["--timeout", "3"]])
def test_a_sweep_that_goes_on_takes_nothing_that_would_make_it_another(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    monkeypatch.chdir(project)
    assert main(["run", "-m", "--resume", "last", *given]) == 2
    assert "--resume" in capsys.readouterr().err
