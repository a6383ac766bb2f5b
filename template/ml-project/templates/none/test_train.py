"""The task from end to end: repeatable, and better than the baseline."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from kit.testing import fake_run, typed_config

from {{ cookiecutter.__package_name }}.data import (
    ingest,
    load,
    main,
    taken,
)
from {{ cookiecutter.__package_name }}.train import (
    TrainConfig,
    train,
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    path = tmp_path / "measurements.csv"
    ingest(path)
    return typed_config(TrainConfig, [f"data={path}"], root=ROOT)


def test_the_measurements_are_the_same_each_time(config: TrainConfig, tmp_path: Path) -> None:
    ingest(tmp_path / "again.csv")

    assert (tmp_path / "again.csv").read_bytes() == Path(config.data).read_bytes()


@pytest.mark.parametrize(
    ("at", "count"),
    [
        ("2012-06-01T00:00:00+00:00", 0),
        ("2013-01-02T20:00:00+00:00", 1),
        ("2013-07-02T12:00:00+00:00", 100),
        ("2014-01-01T02:00:00+02:00", 200),
        ("2031-05-05T00:00:00+00:00", 200),
    ],
)
def test_more_and_more_of_them_are_known_through_the_year(at: str, count: int) -> None:
    assert taken(datetime.fromisoformat(at)) == count


def test_the_stage_writes_what_was_known_when_the_run_was_due(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIT_SCHEDULED_AT", "2013-02-01T02:00:00+00:00")
    main()
    assert load(Path("data/measurements.csv")) == load(Path(config.data))[:17]

    monkeypatch.setenv("KIT_SCHEDULED_AT", "2013-01-01T02:00:00+00:00")
    with pytest.raises(SystemExit, match="nothing was measured until 2013-01-01T02:00"):
        main()


def test_the_line_is_found_and_kept(config: TrainConfig, tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run")

    metrics = train(config, run)

    assert metrics["slope"] == pytest.approx(2, abs=0.1)
    assert metrics["intercept"] == pytest.approx(1, abs=0.3)
    # The noise has a standard deviation of 0.5; nothing can do better than that, and the mean does far worse.
    assert metrics["rmse"] == pytest.approx(0.5, abs=0.15)
    assert metrics["baseline_rmse"] > 5
    assert json.loads((run.dir / "line.json").read_text())["slope"] == metrics["slope"]


def test_the_same_seed_gives_the_same_metrics_to_the_last_bit(config: TrainConfig, tmp_path: Path) -> None:
    assert train(config, fake_run(tmp_path / "first")) == train(config, fake_run(tmp_path / "second"))
