"""A sweep before its trials run: nothing runs unless every one of them can be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kit import runs, sweeps
from kit.cli import main, render
from kit.config import TrialResult
from kit.errors import UserError
from kit.project import open_project


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a trial was started")

    monkeypatch.setattr(runs, "start", start)


def swept(root: Path, *overrides: str) -> None:
    sweeps.sweep(open_project(root), runs.Request(overrides=overrides), jobs=None, on_end=lambda _: None)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("seed=1,foo", "trial 1 (seed=foo): seed: expected"),
        ("seed=1,2,-3", "trial 2 (seed=-3): seed: expected"),
        (f"seed=1,{2**63}", f"trial 1 (seed={2**63}): seed: expected"),
        ("task=tiny.train.train,oops", "trial 1 (task=oops): task: 'oops'"),
    ],
)
def test_a_mistake_in_the_last_trial_is_told_before_the_first_runs(project: Path, override: str, named: str) -> None:
    with pytest.raises(UserError) as caught:
        swept(project, override)
    assert caught.value.what.startswith(named)
    assert caught.value.fix


def test_trials_are_known_before_they_run(project: Path) -> None:
    found = sweeps.trials(open_project(project), runs.Request(overrides=("seed=1,2", "model=small,large")))
    assert found == [(f"seed={seed}", f"model={model}") for seed in (1, 2) for model in ("small", "large")]
    assert not (project / ".kit").exists()
    with pytest.raises(UserError, match="trial 1"):
        sweeps.trials(open_project(project), runs.Request(overrides=("seed=1,foo",)))


def test_a_dry_sweep_lists_its_trials(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    render.console.cache_clear()
    assert main(["run", "-m", "--dry-run", "seed=1,2", "+api_key=hunter2-hunter2"]) == 0
    assert capsys.readouterr().out == ("trial\toverrides\n0\tseed=1 '+api_key=***'\n1\tseed=2 '+api_key=***'\n")
    render.console.cache_clear()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only some systems bind processes to cores")
def test_as_many_at_a_time_as_there_are_cores_to_use(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    jobs: list[int] = []

    class Work:
        records = ()

        def __init__(self, _project: Any, _request: Any, _sweep_id: str, number: int, _on_end: Any) -> None:
            jobs.append(number)

        def launch(self, trials: Any, _first: int) -> list[Any]:
            return [TrialResult(tuple(trial), 0.0) for trial in trials]

    monkeypatch.setattr(sweeps, "_Work", Work)
    swept(project, "seed=1,2")
    assert jobs == [2]
