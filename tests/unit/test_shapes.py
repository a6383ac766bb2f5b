"""Rows and columns of tables, in files as others write them."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit._shapes import NoShape, Shape, is_table, read_shape

MOST = 10_000


def shape(folder: Path, content: str | bytes, name: str = "x.csv", *, most: int = MOST) -> Shape:
    """The shape of a file that is called otherwise where it lies, as in a cache."""
    file = folder / "0123abcd"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_shape(file, name, most=most)[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", True), ("a.b/c.PARQUET", True), ("a.tsv", True), ("a.pq", True), ("a.json", False), ("csv", False)],
)
def test_a_table_is_told_by_its_name(name: str, expected: bool) -> None:
    assert is_table(name) is expected


@pytest.mark.parametrize(
    ("content", "rows", "columns"),
    [
        ("a,b\n1,2\n3,4\n", 2, ["a", "b"]),
        ("a,b\n1,2\n3,4", 2, ["a", "b"]),
        ("a,b\r\n1,2\r\n", 1, ["a", "b"]),
        ("a,b\n", 0, ["a", "b"]),
        ("", 0, []),
        ("\n\na\n\n1\n\n", 1, ["a"]),
        ('a,b\n1,"two\nlines, and ""quotes"""\n3,4\n', 2, ["a", "b"]),
        ('"a\nb",c\n1,2\n', 1, ["a\nb", "c"]),
        ('a;b\n1;"x\ny"\n', 1, ["a", "b"]),
        ('a|b\n"x\ny"|2\n', 1, ["a", "b"]),
        ("\ufeffa,b\n1,2\n", 1, ["a", "b"]),
        ("a,b\n\0,2\n", 1, ["a", "b"]),
        ("1,2.5\n3,nan\n", 2, []),
        ("country,2012,2013\nx,1,2\n", 1, ["country", "2012", "2013"]),
    ],
)
def test_rows_of_a_csv_file(tmp_path: Path, content: str, rows: int, columns: list[str]) -> None:
    assert shape(tmp_path, content) == Shape(rows, dict.fromkeys(columns, ""))


def test_a_tab_is_what_separates_a_tsv_file(tmp_path: Path) -> None:
    assert shape(tmp_path, 'a,b,c\td\n1\t"x\ny"\n', "x.TSV") == Shape(1, {"a,b,c": "", "d": ""})


def test_bytes_that_are_not_utf8_are_no_reason_to_fail(tmp_path: Path) -> None:
    assert shape(tmp_path, "größe,b\n1,2\n".encode("latin-1")).rows == 1


def test_a_field_may_be_long(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert shape(tmp_path, f"a\n{'x' * 200_000}\n", most=10**6).rows == 1
    assert csv.field_size_limit() == before


def test_a_csv_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(NoShape, match="too large"):
        shape(tmp_path, "a\n1\n", most=3)
    assert shape(tmp_path, "a\n1\n", most=4).rows == 1


def test_what_was_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a\n1\n")
    assert read_shape(tmp_path / "x", "x.csv", most=MOST)[1] == 4
    pq.write_table(pa.table({"a": [1]}), tmp_path / "p")
    assert read_shape(tmp_path / "p", "p.parquet", most=0)[1] == 0


def test_a_parquet_file_says_how_many_rows_and_which_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]}), tmp_path / "p")
    assert read_shape(tmp_path / "p", "p.parquet", most=0)[0] == Shape(3, {"a": "int64", "b": "string"})


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not at all" * 10])
def test_what_is_no_parquet_file_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NoShape, match="it is no Parquet file"):
        shape(tmp_path, content, "x.parquet")


def test_a_file_that_is_gone_is_the_callers_to_tell(tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet"):
        with pytest.raises(OSError, match="x"):
            read_shape(tmp_path / "x", name, most=MOST)


_FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)


@given(st.lists(st.tuples(_FIELDS, _FIELDS), max_size=10), st.sampled_from("\t,;|"))
def test_whatever_a_csv_writer_writes_is_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "written"
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened, delimiter=delimiter).writerows([("a", "b"), *rows])
    assert read_shape(file, "x.csv", most=MOST)[0] == Shape(len(rows), {"a": "", "b": ""})
