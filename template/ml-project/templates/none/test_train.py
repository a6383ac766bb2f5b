"""The task from end to end: repeatable, and better than the baseline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.testing import fake_run, typed_config

from {{ cookiecutter.__package_name }}.data import (
    ingest,
    load,
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

    assert load(tmp_path / "again.csv") == load(Path(config.data))


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
