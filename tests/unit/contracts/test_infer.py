"""A first contract says what the data is, and the data that it was written from keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.contracts import infer
from kit.contracts._infer import _outward
from kit.errors import UserError


def written(frame: pd.DataFrame, folder: Path) -> str:
    frame.to_parquet(folder / "table.parquet")
    return infer(folder / "table.parquet", name="TABLE", about="data/table.parquet")


def schema(text: str) -> Any:
    found: dict[str, Any] = {}
    exec(compile(text, "contract", "exec"), found)
    return found["TABLE"]


FRAME = pd.DataFrame(
    {
        "count": [3, 17, 1234] * 10,
        "share": [0.0, 0.251, -1.23] * 10,
        "gaps": [1.0, None, 99.5] * 10,
        "word": ["a", "b", None] * 10,
        "name": [f"person {n}" for n in range(30)],
        "yes": [True, False, True] * 10,
        "when": pd.to_datetime(["2013-01-01", "2013-02-01", "2014-01-01"] * 10),
        "api_token": ["x", "y", "x"] * 10,
        "endless": [1.0, float("inf"), 2.0] * 10,
    }
)


def test_types_gaps_ranges_and_few_words_are_written_down(tmp_path: Path) -> None:
    text = written(FRAME, tmp_path)
    for line in [
        '"count": pa.Column("int64", pa.Check.in_range(3, 1300)),',
        '"share": pa.Column("float64", pa.Check.in_range(-1.3, 0.26)),',
        '"gaps": pa.Column("float64", pa.Check.in_range(1.0, 100.0), nullable=True),',
        '"word": pa.Column("str", pa.Check.isin(["a", "b"]), nullable=True),',
        '"name": pa.Column("str"),',
        '"yes": pa.Column("bool"),',
        '"api_token": pa.Column("str"),',
        '"endless": pa.Column("float64"),',
        "strict=True,",
    ]:
        assert line in text
    assert "written by `kit data infer` from 30 rows" in text


def test_the_data_itself_keeps_it_and_other_data_does_not(tmp_path: Path) -> None:
    table = schema(written(FRAME, tmp_path))
    read = pd.read_parquet(tmp_path / "table.parquet")
    table.validate(read, lazy=True)
    with pytest.raises(Exception, match="in_range"):
        table.validate(read.assign(count=5000))


@given(value=st.integers(-(10**15), 10**15))
def test_whole_numbers_are_rounded_away_from_the_data(value: int) -> None:
    low, high = int(_outward(value, -1, whole=True)), int(_outward(value, 1, whole=True))
    assert low <= value <= high
    assert high - low <= max(abs(value) // 5, 0)


@given(value=st.floats(-1e15, 1e15, allow_subnormal=False))
def test_other_numbers_are_rounded_away_from_the_data(value: float) -> None:
    low, high = float(_outward(value, -1, whole=False)), float(_outward(value, 1, whole=False))
    assert low <= value <= high
    assert high - low <= abs(value) / 4


def test_a_table_without_rows_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="without rows"):
        written(FRAME.head(0), tmp_path)
