"""The contract of the flights: they keep it, and what breaks it stops a run before it learns anything."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from {{ cookiecutter.__package_name }}.contracts import FLIGHTS
from {{ cookiecutter.__package_name }}.data import load
from {{ cookiecutter.__package_name }}.features import KNOWN_BEFORE_DEPARTURE


@pytest.fixture(scope="module")
def flights(folder: Path) -> pd.DataFrame:
    return load(folder)


def test_the_flights_of_the_year_keep_their_contract(flights: pd.DataFrame) -> None:
    FLIGHTS.validate(flights, lazy=True)


def test_all_that_a_model_learns_from_is_in_the_contract() -> None:
    assert {*KNOWN_BEFORE_DEPARTURE, "arr_delay"} <= set(FLIGHTS.columns)


@pytest.mark.parametrize(
    ("column", "value"), [("origin", "BOS"), ("distance", -17), ("month", 13), ("sched_dep_time", 2500), ("dest", None)]
)
def test_a_flight_that_cannot_be_breaks_it(column: str, value: str | int | None, flights: pd.DataFrame) -> None:
    broken = flights.head(1000).copy()
    broken.loc[17, column] = value

    with pytest.raises(SchemaErrors) as raised:
        FLIGHTS.validate(broken, lazy=True)

    cases = raised.value.failure_cases
    assert [(case.column, case.index) for case in cases.itertuples(index=False)] == [(column, 17)]


def test_a_column_that_is_gone_breaks_it(flights: pd.DataFrame) -> None:
    with pytest.raises(SchemaErrors, match="arr_delay"):
        FLIGHTS.validate(flights.drop(columns="arr_delay"), lazy=True)
