"""The network: interrupted training ends where uninterrupted training does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from kit.testing import fake_run

from {{ cookiecutter.__package_name }}.features import split
from {{ cookiecutter.__package_name }}.model import Model
from {{ cookiecutter.__package_name }}.train import TrainConfig


def test_a_run_that_goes_on_from_a_checkpoint_gives_the_same_model(
    config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    cfg = config("fast")
    flights = split(cfg.data, seed=0)
    two = replace(cfg.model, epochs=2, device="cpu")  # a GPU adds in another order each time
    run = fake_run(tmp_path / "interrupted")

    Model.fit(replace(two, epochs=1), flights.train, flights.valid, run)
    resumed = Model.fit(two, flights.train, flights.valid, run)
    straight = Model.fit(two, flights.train, flights.valid, fake_run(tmp_path / "straight"))

    np.testing.assert_array_equal(
        resumed.predict(flights.valid.features), straight.predict(flights.valid.features), strict=True
    )
