"""Training from end to end: repeatable, usable, and better than the floor in floor.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kit
import pandas as pd
import pytest
from kit.testing import assert_metric, fake_run
from kit.testing.behaviour import assert_rows_are_independent, assert_sound

from {{ cookiecutter.__package_name }}.data import load
from {{ cookiecutter.__package_name }}.features import (
    KNOWN_BEFORE_DEPARTURE,
    features,
)
from {{ cookiecutter.__package_name }}.model import Model
from {{ cookiecutter.__package_name }}.predict import (
    main,
    predict,
)
from {{ cookiecutter.__package_name }}.train import (
    TrainConfig,
    train,
)


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


def test_the_experiment_stays_above_the_floor(
    config: Callable[..., TrainConfig], kit_run: kit.Run, kit_floors: Mapping[str, Any]
) -> None:
    metrics = train(config(kit_floors["experiment"]), kit_run)

    assert_metric(metrics, "roc_auc", min=kit_floors["roc_auc"])
    assert_metric(metrics, "log_loss", max=metrics["baseline_log_loss"] - kit_floors["log_loss_gain"])


def test_each_flight_has_a_probability_that_no_other_flight_changes(trained: Trained, folder: Path) -> None:
    model, flights = Model.load(trained.model_file), features(load(folder, [12]).head(200))

    assert_sound(model.predict, flights, low=0, high=1)
    assert_rows_are_independent(model.predict, flights, tolerance=1e-6)


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
