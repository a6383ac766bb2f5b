"""Features know nothing that is not known before departure, and the split follows time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from {{ cookiecutter.__package_name }}.data import load
from {{ cookiecutter.__package_name }}.features import (
    CATEGORICAL,
    KNOWN_BEFORE_DEPARTURE,
    NUMERIC,
    by_day,
    features,
    split,
)
from {{ cookiecutter.__package_name }}.train import TrainConfig

MEASURED_LATER = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


@pytest.fixture
def flights(folder: Path) -> pd.DataFrame:
    return load(folder, [1]).head(500)


def test_the_columns_are_the_documented_ones_and_complete(flights: pd.DataFrame) -> None:
    table = features(flights)

    assert tuple(table.columns) == (*NUMERIC, *CATEGORICAL)
    assert not table.isna().to_numpy().any()


def test_a_known_flight(flights: pd.DataFrame) -> None:
    first = features(flights).iloc[0]

    assert first.to_dict() == {
        "departure": 5 * 60 + 15,
        "arrival": 8 * 60 + 19,
        "duration": 184,
        "distance": 1400,
        "weekday": 1,
        "carrier": "UA",
        "origin": "EWR",
        "dest": "IAH",
    }


def test_what_is_measured_after_departure_never_reaches_the_features(flights: pd.DataFrame) -> None:
    unknown = [name for name in flights.columns if name not in KNOWN_BEFORE_DEPARTURE]
    assert set(unknown) >= MEASURED_LATER

    changed = flights.assign(**dict.fromkeys(unknown, -1))

    pd.testing.assert_frame_equal(features(changed), features(flights))
    pd.testing.assert_frame_equal(features(flights.drop(columns=unknown)), features(flights))


def test_a_flight_has_the_same_features_whichever_flights_are_beside_it(flights: pd.DataFrame) -> None:
    alone = pd.concat([features(flights.iloc[[row]]).astype("object") for row in range(50)])

    pd.testing.assert_frame_equal(alone, features(flights).head(50).astype("object"))


def test_the_split_follows_time_and_has_only_flights_with_an_answer(
    config: Callable[..., TrainConfig], folder: Path
) -> None:
    parts = split(config("baseline").data, seed=0)

    arrived = load(folder, range(1, 13))["arr_delay"].notna().sum()
    assert sum(len(part.late) for part in (parts.train, parts.valid, parts.test)) == arrived
    last = load(folder, [11, 12])
    last = last[last["arr_delay"].notna()]
    np.testing.assert_array_equal(parts.test.late, last["arr_delay"] > 15)


def test_only_the_training_flights_are_thinned(config: Callable[..., TrainConfig]) -> None:
    whole = split(config("baseline").data, seed=0)
    thin = split(config("baseline", "data.train_fraction=0.1").data, seed=0)

    assert len(thin.train.late) == pytest.approx(len(whole.train.late) / 10, rel=0.02)
    np.testing.assert_array_equal(thin.test.late, whole.test.late)


def test_months_out_of_order_are_refused(config: Callable[..., TrainConfig]) -> None:
    with pytest.raises(ValueError, match="split by time"):
        split(config("baseline", "data.months.valid=[3]").data, seed=0)


def test_the_whole_year_is_split_the_same_by_day_and_by_month(config: Callable[..., TrainConfig]) -> None:
    by_days, by_months = (split(config("baseline", f"data={data}").data, seed=0) for data in ("known", "nyc2013"))

    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(by_days, part).late, getattr(by_months, part).late)


@pytest.mark.parametrize("known", range(3, 366, 11))
def test_of_the_days_known_the_last_sixth_is_reported_on_and_the_sixth_before_it_chosen_on(known: int) -> None:
    dates = pd.date_range("2013-01-01", periods=known).repeat(2)
    flights = pd.DataFrame({"year": dates.year, "month": dates.month, "day": dates.day, "number": range(len(dates))})

    parts = [sorted(part["number"]) for part in by_day(flights.sample(frac=1, random_state=known))]

    assert [*chain(*parts)] == flights["number"].to_list()  # each flight in one part, in order of time
    train, valid, test = (len(part) / 2 for part in parts)
    assert min(train, valid) >= 1
    assert valid == test == math.ceil(known / 6)


def test_two_days_are_too_few(folder: Path) -> None:
    january = load(folder, [1])

    with pytest.raises(ValueError, match="flights of 2 days are known"):
        by_day(january[january["day"] <= 2])
