"""Gradient-boosted trees, which take categories and missing values as they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar
from zipfile import BadZipFile

import kit
import numpy as np
import pandas as pd
import skops.io
from kit.artifacts import dump_skops
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss

from {{ cookiecutter.__package_name }}.features import Examples

__all__ = ["Model", "ModelConfig"]


@dataclass(frozen=True)
class ModelConfig:
    """The group `model` of the config; scikit-learn's documentation of the classifier explains each."""

    learning_rate: float
    max_iter: int
    max_leaf_nodes: int
    min_samples_leaf: int
    l2_regularization: float


@dataclass(frozen=True)
class Model:
    """A trained classifier."""

    FILENAME: ClassVar[str] = "model.skops"
    TRUSTED: ClassVar[tuple[str, ...]] = (
        "functools.partial",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
    )
    classifier: Any

    @classmethod
    def fit(cls, config: ModelConfig, train: Examples, valid: Examples, run: kit.Run) -> Model:
        """Learn from `train`, and log after every tenth tree how well `valid` is predicted so far."""
        classifier = HistGradientBoostingClassifier(
            **asdict(config), categorical_features="from_dtype", early_stopping=False, random_state=run.seed
        )
        classifier.fit(train.features, train.late)
        stages = classifier.staged_predict_proba(valid.features)
        for tree, probability in enumerate(run.progress(stages, "trees", total=config.max_iter), start=1):
            if tree % 10 == 0:
                run.log({"valid_log_loss": float(log_loss(valid.late, probability[:, 1]))}, step=tree)
        return cls(classifier)

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """The probability of being late of each flight, shape (n,); a category never seen counts as missing."""
        probability: NDArray[np.float64] = self.classifier.predict_proba(features)[:, 1]
        return probability

    def save(self, path: Path) -> None:
        """Write the model in the skops format, the same bytes for the same model."""
        dump_skops(self.classifier, path)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read what `save` wrote.

        Unlike a pickle, the file cannot name code to run. A forged one could still crash the process that predicts with
        it (trees are not checked), so take models only from runs you trust.

        Raises:
            ValueError: If the file is not a model, or holds types that are not `TRUSTED`.
        """
        try:
            return cls(skops.io.load(path, trusted=list(cls.TRUSTED)))
        except (BadZipFile, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a model of this project: {error}") from error
