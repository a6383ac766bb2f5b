"""The task: learn from the earlier flights, report on the last ones."""

from __future__ import annotations

from dataclasses import dataclass

import kit

from {{ cookiecutter.__package_name }} import evaluate
from {{ cookiecutter.__package_name }}.data import DataConfig
from {{ cookiecutter.__package_name }}.features import split
from {{ cookiecutter.__package_name }}.model import (
    Model,
    ModelConfig,
)

__all__ = ["TrainConfig", "train"]


@dataclass(frozen=True)
class TrainConfig:
    """What an experiment may set."""

    data: DataConfig
    model: ModelConfig


def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]:
    """Train a model and score it on the test months.

    Returns:
        `valid_*` to choose a model by, and for the test months the scores and, as `baseline_*`, those of the late rate
        of the training months. The model and two plots are kept as artifacts.
    """
    flights = split(cfg.data, seed=run.seed)
    run.params({"train_flights": len(flights.train.late), "test_flights": len(flights.test.late)})

    model = Model.fit(cfg.model, flights.train, flights.valid, run)
    path = run.dir / Model.FILENAME
    model.save(path)
    run.artifact(path)

    chosen_by = evaluate.score(flights.valid.late, model.predict(flights.valid.features))
    late, probability = flights.test.late, model.predict(flights.test.features)
    run.figure(evaluate.calibration_figure(late, probability), "calibration.png")
    losses = evaluate.importances(model.predict, flights.test.features, late, seed=run.seed)
    run.figure(evaluate.importance_figure(losses), "importance.png")
    return {
        **evaluate.score(late, probability),
        **evaluate.baseline(flights.train.late, late),
        **{f"valid_{name}": value for name, value in chosen_by.items()},
    }
