"""Predict with a trained model.

`python -m {{ cookiecutter.__package_name }}.predict --model … --input … --output …`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from {{ cookiecutter.__package_name }}.features import (
    KNOWN_BEFORE_DEPARTURE,
    features,
)
from {{ cookiecutter.__package_name }}.model import Model

__all__ = ["main", "predict"]


def predict(model: Model, flights: pd.DataFrame) -> pd.DataFrame:
    """The flights with a column `late_probability` added.

    Raises:
        ValueError: If a column that the features need is missing.
    """
    missing = [name for name in KNOWN_BEFORE_DEPARTURE if name not in flights]
    if missing:
        raise ValueError(f"missing columns: {', '.join(missing)}")
    return flights.assign(late_probability=model.predict(features(flights)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read flights (Parquet or CSV), predict, write them with the probabilities."""
    parser = argparse.ArgumentParser(description="Predict how likely flights are to arrive late.")
    parser.add_argument("--model", type=Path, required=True, help=f"the artifact {Model.FILENAME} of a run")
    parser.add_argument("--input", type=Path, required=True, help="flights, .parquet or .csv")
    parser.add_argument("--output", type=Path, required=True, help="where to write them, .parquet or .csv")
    options = parser.parse_args(arguments)
    for path in (options.input, options.output):
        if path.suffix not in {".parquet", ".csv"}:
            parser.error(f"{path}: only .parquet and .csv are understood")
    for path in (options.model, options.input):
        if not path.is_file():
            parser.error(f"{path}: no such file")
    try:
        predicted = predict(Model.load(options.model), _read(options.input))
    except ValueError as error:
        parser.error(str(error))
    _write(predicted, options.output)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def _write(flights: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        flights.to_csv(path, index=False)
    else:
        flights.to_parquet(path, index=False)


if __name__ == "__main__":
    main()
