"""Training from end to end: repeatable, usable, and better than the floor in floor.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from kit.testing import fake_run

from {{ cookiecutter.__package_name }}.data import load
from {{ cookiecutter.__package_name }}.features import KNOWN_BEFORE_DEPARTURE
from {{ cookiecutter.__package_name }}.model import Model
from {{ cookiecutter.__package_name }}.predict import (
    main,
    predict,
)
from {{ cookiecutter.__package_name }}.train import (
    TrainConfig,
    train,
)

FLOOR = tomllib.loads(Path(__file__).with_name("floor.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Trained:
    """What a run of the experiment `fast` left."""

    metrics: dict[str, float]
    model_file: Path


@pytest.fixture(scope="module")
def trained(config: Callable[..., TrainConfig], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    run = fake_run(tmp_path_factory.mktemp("run"))
    return Trained(train(config("fast"), run), run.dir / Model.FILENAME)


def test_the_same_seed_gives_the_same_metrics_to_the_last_bit(
    config: Callable[..., TrainConfig], trained: Trained, tmp_path: Path
) -> None:
    assert train(config("fast"), fake_run(tmp_path)) == trained.metrics


def test_the_experiment_stays_above_the_floor(config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    metrics = train(config(FLOOR["experiment"]), fake_run(tmp_path))

    assert metrics["roc_auc"] >= FLOOR["roc_auc"]
    assert metrics["log_loss"] <= metrics["baseline_log_loss"] - FLOOR["log_loss_gain"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_saved_model_predicts_a_file_of_flights_that_have_not_left(
    suffix: str, trained: Trained, folder: Path, tmp_path: Path
) -> None:
    planned = load(folder, [12]).head(100)[list(KNOWN_BEFORE_DEPARTURE)]
    planned.loc[0, "carrier"] = "ZZ"  # never seen in training
    source, target = tmp_path / f"planned{suffix}", tmp_path / f"predicted{suffix}"
    _ = planned.to_parquet(source) if suffix == ".parquet" else planned.to_csv(source, index=False)

    main(["--model", str(trained.model_file), "--input", str(source), "--output", str(target)])

    predicted = pd.read_parquet(target) if suffix == ".parquet" else pd.read_csv(target)
    assert predicted["late_probability"].between(0, 1).all()
    expected = predict(Model.load(trained.model_file), planned)["late_probability"]
    pd.testing.assert_series_equal(predicted["late_probability"], expected, check_index=False)


def test_flights_without_a_needed_column_are_refused_in_one_line(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "planned.csv"
    source.write_text("carrier\nUA\n", encoding="utf-8")

    with pytest.raises(SystemExit, match="2"):
        main(["--model", str(trained.model_file), "--input", str(source), "--output", str(tmp_path / "out.csv")])

    assert "missing columns: year, month" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / Model.FILENAME
    path.write_bytes(b"not a model")

    with pytest.raises(ValueError, match="not a model"):
        Model.load(path)
