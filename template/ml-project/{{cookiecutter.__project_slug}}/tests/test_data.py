"""The flights as they are stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from {{ cookiecutter.__package_name }}.data import (
    ingest,
    load,
)


def test_all_flights_of_the_year_are_there_each_in_the_file_of_its_month(folder: Path) -> None:
    months = [load(folder, [month]) for month in range(1, 13)]

    assert sum(map(len, months)) == 336_776
    assert [set(flights["month"]) for flights in months] == [{month} for month in range(1, 13)]


def test_the_same_files_come_out_again(folder: Path, tmp_path: Path) -> None:
    ingest(tmp_path / "again")

    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_a_month_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"month=13\.parquet"):
        load(folder, [13])
