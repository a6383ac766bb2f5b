"""The task: fit a line, and report how well it predicts measurements that were held out."""

from __future__ import annotations

import json
import math
import random
import statistics
from dataclasses import dataclass
from pathlib import Path

import kit

from {{ cookiecutter.__package_name }} import data

__all__ = ["TrainConfig", "train"]


@dataclass(frozen=True)
class TrainConfig:
    """What an experiment may set.

    Attributes:
        data: The CSV file of the measurements, relative to the project root.
        test_fraction: Share of the measurements that is held out, between 0 and 1.
    """

    data: str
    test_fraction: float


def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]:
    """Fit y = slope x + intercept by least squares.

    Returns:
        The line, and its root mean squared error on the held-out measurements beside that of always predicting the
        mean of the others (`baseline_rmse`).
    """
    points = data.load(Path(cfg.data))
    random.Random(run.seed).shuffle(points)  # noqa: S311  (a split, not a secret)
    held_out = round(len(points) * cfg.test_fraction)
    test, rest = points[:held_out], points[held_out:]
    run.params({"train_points": len(rest), "test_points": len(test)})

    line = statistics.linear_regression(*zip(*rest, strict=True))
    mean = statistics.fmean(y for _, y in rest)
    path = run.dir / "line.json"
    path.write_text(json.dumps({"slope": line.slope, "intercept": line.intercept}) + "\n")
    run.artifact(path)
    return {
        "slope": line.slope,
        "intercept": line.intercept,
        "rmse": _rmse([y - line.slope * x - line.intercept for x, y in test]),
        "baseline_rmse": _rmse([y - mean for _, y in test]),
    }


def _rmse(errors: list[float]) -> float:
    return math.sqrt(statistics.fmean(error * error for error in errors))
