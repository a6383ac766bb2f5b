"""The scores mean what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from {{ cookiecutter.__package_name }} import evaluate

RNG = np.random.default_rng(0)
PROBABILITY = RNG.uniform(0.05, 0.6, size=50_000)
LATE = RNG.uniform(size=50_000) < PROBABILITY


def test_true_probabilities_are_calibrated_and_shifted_ones_are_off_by_the_shift() -> None:
    assert evaluate.expected_calibration_error(LATE, PROBABILITY) < 0.01
    assert evaluate.expected_calibration_error(LATE, PROBABILITY + 0.2) == pytest.approx(0.2, abs=0.01)


def test_the_baseline_ranks_like_a_coin_and_true_probabilities_beat_it_everywhere() -> None:
    scores = evaluate.score(LATE, PROBABILITY)
    baseline = evaluate.baseline(LATE, LATE)

    assert baseline["baseline_roc_auc"] == pytest.approx(0.5)
    assert scores["roc_auc"] > baseline["baseline_roc_auc"]
    assert scores["log_loss"] < baseline["baseline_log_loss"]
    assert scores["brier"] < baseline["baseline_brier"]


def test_a_feature_that_decides_matters_and_one_that_is_ignored_does_not() -> None:
    table = pd.DataFrame({"decides": PROBABILITY, "ignored": RNG.uniform(size=len(LATE))})

    losses = evaluate.importances(lambda rows: rows["decides"].to_numpy(), table, LATE, seed=0)

    assert losses["decides"] > 0.1
    assert losses["ignored"] == 0
    assert list(losses.index) == ["ignored", "decides"]


def test_the_figures_show_what_was_measured() -> None:
    calibration = evaluate.calibration_figure(LATE, PROBABILITY, bins=5)
    importance = evaluate.importance_figure(pd.Series({"ignored": 0.0, "decides": 0.2}))

    assert np.shape(calibration.axes[0].lines[1].get_xydata()) == (5, 2)
    assert [bar.get_extents().width > 0 for bar in importance.axes[0].patches] == [False, True]
