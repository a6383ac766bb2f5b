"""What is known about a flight before it leaves, and whether it was late.

Only the columns in `KNOWN_BEFORE_DEPARTURE` are ever read to make features. In particular:

- `dep_time`, `dep_delay`, `arr_time`, `arr_delay` and `air_time` are measured after departure: they leak the answer.
- The weather observed at the departure hour is not known when one asks: only a forecast, and there is none here.
- The month is left out: the months to predict are later than all that were learned from, so a model cannot have seen
  their number. For the same reason late rates of earlier months make this model worse, not better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from {{ cookiecutter.__package_name }} import data

__all__ = [
    "CATEGORICAL",
    "KNOWN_BEFORE_DEPARTURE",
    "NUMERIC",
    "Examples",
    "Split",
    "by_day",
    "by_month",
    "features",
    "split",
]

KNOWN_BEFORE_DEPARTURE = (
    "year",
    "month",
    "day",
    "sched_dep_time",
    "sched_arr_time",
    "carrier",
    "origin",
    "dest",
    "distance",
)
NUMERIC = ("departure", "arrival", "duration", "distance", "weekday")
CATEGORICAL = ("carrier", "origin", "dest")


@dataclass(frozen=True)
class Examples:
    """Flights to learn from or to be judged by.

    Attributes:
        features: Shape (n, 8), see `features`.
        late: Shape (n,), whether each flight was late.
    """

    features: pd.DataFrame
    late: NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Earlier flights to learn from, later ones to choose a model by, the last ones to report on."""

    train: Examples
    valid: Examples
    test: Examples


def features(flights: pd.DataFrame) -> pd.DataFrame:
    """Make the features of each flight, shape (n, 8), from nothing but what is known before it leaves.

    Columns, in this order: `departure` and `arrival` (scheduled, local, minutes after midnight), `duration` (minutes
    between the two; off by the time zones, the same for each route), `distance` (miles), `weekday` (0 is Monday), and
    the categories `carrier`, `origin` and `dest`.

    Raises:
        KeyError: If a column is missing.
    """
    known = flights.loc[:, list(KNOWN_BEFORE_DEPARTURE)]
    departure = _minutes(known["sched_dep_time"])
    arrival = _minutes(known["sched_arr_time"])
    table = pd.DataFrame(
        {
            "departure": departure,
            "arrival": arrival,
            "duration": (arrival - departure) % (24 * 60),
            "distance": known["distance"],
            "weekday": pd.to_datetime(known[["year", "month", "day"]]).dt.day_of_week,
        }
    ).astype("float64")
    return table.join(known[list(CATEGORICAL)].astype("category"))


def split(config: data.DataConfig, *, seed: int) -> Split:
    """Read the flights and split them by time, never by shuffle: by the config's months, or by day if it has none.

    Flights without an arrival delay (cancelled or diverted: 2.8 % of them) have no answer and are left out. Only the
    training flights are thinned to `train_fraction`, so every model is judged by the same flights.

    Raises:
        ValueError: If the months are not in order of time, or there are too few days.
    """
    folder = Path(config.folder)
    train, valid, test = by_day(data.load(folder)) if config.months is None else by_month(folder, config.months)
    train = train.sample(frac=config.train_fraction, random_state=seed).sort_index()
    return Split(*(_examples(part, config.late_after) for part in (train, valid, test)))


def by_month(folder: Path, months: data.Months) -> list[pd.DataFrame]:
    """The flights of the training, validation and test months.

    Raises:
        ValueError: If the months are not in order of time.
    """
    parts = [months.train, months.valid, months.test]
    for earlier, later in pairwise(parts):
        if max(earlier) >= min(later):
            raise ValueError(f"months must be split by time: {earlier} does not come before {later}")
    return [data.load(folder, part) for part in parts]


def by_day(flights: pd.DataFrame) -> list[pd.DataFrame]:
    """The flights known so far: those to learn from, those to choose on, and those to report on.

    The last sixth of the days (rounded up) is to report on, and the sixth before it to choose on. Of January alone that
    leaves 19 days to learn from, of the year January to August.

    Raises:
        ValueError: If there are flights of fewer than three days.
    """
    date = pd.to_datetime(flights[["year", "month", "day"]])
    days = sorted(date.unique())
    if len(days) < 3:  # noqa: PLR2004
        raise ValueError(f"flights of {len(days)} days are known: too few to learn, choose and report on")
    held_out = math.ceil(len(days) / 6)
    valid, test = date >= days[-2 * held_out], date >= days[-held_out]
    return [flights[~valid], flights[valid & ~test], flights[test]]


def _examples(flights: pd.DataFrame, late_after: int) -> Examples:
    arrived = flights[flights["arr_delay"].notna()]
    return Examples(features(arrived), (arrived["arr_delay"] > late_after).to_numpy(dtype=np.bool_))


def _minutes(clock: pd.Series[int]) -> pd.Series[int]:
    """Minutes after midnight of times written as 1345 for a quarter to two."""
    return clock // 100 * 60 + clock % 100
