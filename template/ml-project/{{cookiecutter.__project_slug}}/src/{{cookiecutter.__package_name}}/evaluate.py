"""How good are probabilities? Scores, a calibration plot and what each feature contributes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

__all__ = ["baseline", "calibration_figure", "expected_calibration_error", "importance_figure", "importances", "score"]

Probabilities = NDArray[np.float64]
Outcomes = NDArray[np.bool_]


def score(late: Outcomes, probability: Probabilities) -> dict[str, float]:
    """Judge the `probability` of being late, shape (n,), by what happened, shape (n,).

    `roc_auc` is better when higher (0.5 is a coin), `log_loss`, `brier` and `calibration_error` when lower.
    """
    return {
        "roc_auc": float(roc_auc_score(late, probability)),
        "log_loss": float(log_loss(late, probability)),
        "brier": float(brier_score_loss(late, probability)),
        "calibration_error": expected_calibration_error(late, probability),
    }


def baseline(trained_on: Outcomes, late: Outcomes) -> dict[str, float]:
    """The scores of telling every flight the late rate of the training flights, keys with `baseline_` in front."""
    same = np.full(len(late), trained_on.mean())
    return {f"baseline_{name}": value for name, value in score(late, same).items()}


def expected_calibration_error(late: Outcomes, probability: Probabilities, *, bins: int = 10) -> float:
    """Mean distance between predicted and observed late rate over `bins` groups of equal size."""
    return float(np.mean(np.abs(np.subtract(*_reliability(late, probability, bins)))))


def calibration_figure(late: Outcomes, probability: Probabilities, *, bins: int = 10) -> Figure:
    """Observed late rate over predicted probability; the diagonal is perfect."""
    predicted, observed = _reliability(late, probability, bins)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    limit = 1.05 * float(max(predicted.max(), observed.max()))
    axes.plot([0, limit], [0, limit], linestyle="--", color="grey", label="perfect")
    axes.plot(predicted, observed, marker="o", label=f"model, {bins} groups of equal size")
    axes.set(xlabel="predicted probability of being late", ylabel="share that was late", title="Calibration")
    axes.legend()
    return figure


def importances(
    predict: Callable[[pd.DataFrame], Probabilities],
    features: pd.DataFrame,
    late: Outcomes,
    *,
    seed: int,
    rows: int = 20_000,
) -> pd.Series[float]:
    """How much ROC AUC is lost when one feature is shuffled, for each feature, on `rows` flights drawn with `seed`."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(features))[:rows]
    sample, answers = features.iloc[chosen].reset_index(drop=True), late[chosen]
    reference = roc_auc_score(answers, predict(sample))
    losses = {}
    for name in sample.columns:
        shuffled = sample.assign(**{name: sample[name].iloc[rng.permutation(len(sample))].array})
        losses[str(name)] = float(reference - roc_auc_score(answers, predict(shuffled)))
    return pd.Series(losses).sort_values()


def importance_figure(losses: pd.Series[float]) -> Figure:
    """Bars of what `importances` measured, the most important feature on top."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(losses.index), losses.to_numpy())
    axes.set(xlabel="ROC AUC lost when shuffled", title="Feature importance")
    return figure


def _reliability(late: Outcomes, probability: Probabilities, bins: int) -> tuple[Probabilities, Probabilities]:
    """Mean predicted and mean observed late rate in groups of (almost) equal size, each of shape (bins,)."""
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    predicted = np.array([probability[group].mean() for group in groups])
    observed = np.array([late[group].mean() for group in groups])
    return predicted, observed
