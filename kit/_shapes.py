"""How many rows and which columns a table has, whose file is Parquet or CSV."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from kit import _files

__all__ = ["KnownShapes", "NoShape", "Shape", "delimiter_of", "is_parquet", "is_table", "read_shape"]

_PARQUET = frozenset({".parquet", ".pq"})
_TEXT = {".csv": ",;\t|", ".tsv": "\t"}
"""Endings, with what may stand between two fields."""
_LARGE = 1_000_000
"""Bytes."""
_KEPT = 500


@dataclass(frozen=True, slots=True)
class Shape:
    """`columns` maps each name to its type; a CSV file does not say any.

    A CSV file's first record has the names, unless all of it is numbers: then there are none.
    """

    rows: int
    columns: Mapping[str, str]


class KnownShapes:
    """The shapes of large CSV files by the hash of their content, in a file: reading one takes seconds.

    A file that is corrupt or cannot be written only costs time.

    Args:
        file: Where they are remembered.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._shapes: dict[str, Shape] = {}
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            self._shapes = msgspec.json.decode(file.read_bytes(), type=dict[str, Shape])

    def get(self, key: str) -> Shape | None:
        return self._shapes.get(key)

    def keep(self, key: str, shape: Shape, size: int) -> None:
        """Remember the shape of a file of so many bytes, if that is worth it; the last few hundred are kept."""
        if size < _LARGE or not self._file.parent.is_dir():
            return
        self._shapes[key] = shape
        kept = dict(list(self._shapes.items())[-_KEPT:])
        with contextlib.suppress(OSError, UnicodeEncodeError):
            _files.write_atomic(self._file, msgspec.json.encode(kept))


class NoShape(Exception):
    """Why a table cannot be counted."""


def is_table(name: str) -> bool:
    """Whether a file of that name can have a shape."""
    ending = PurePosixPath(name).suffix.lower()
    return ending in _PARQUET or ending in _TEXT


def is_parquet(name: str) -> bool:
    """Whether a file of that name is a table that says its columns' types."""
    return PurePosixPath(name).suffix.lower() in _PARQUET


def delimiter_of(file: Path) -> str:
    """What stands between two fields of a CSV file, judged by its first line.

    Raises:
        OSError: If it cannot be read.
    """
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as opened:
        return _delimiter(opened.readline(1 << 16), _TEXT.get(file.suffix.lower(), _TEXT[".csv"]))


def _delimiter(line: str, known: str) -> str:
    return max(known, key=line.count)


def read_shape(file: Path, name: str, *, most: int) -> tuple[Shape, int]:
    """The shape of a table, and how many bytes had to be read for it.

    Of a Parquet file only the end is read. A CSV file is read whole, one record at a time, since a quoted field may
    hold line ends.

    Args:
        file: Where the content lies, whatever it is called there.
        name: What the file is called.
        most: CSV files of more bytes are not read.

    Raises:
        NoShape: If it is too large, or is not what its name says.
        OSError: If it cannot be read.
    """
    ending = PurePosixPath(name).suffix.lower()
    if ending in _PARQUET:
        return _parquet(file), 0
    size = file.stat().st_size
    if size > most:
        raise NoShape("too large to count its rows")
    return _csv(file, _TEXT[ending]), size


def _parquet(file: Path) -> Shape:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise NoShape("its rows cannot be counted without pyarrow") from error
    try:
        with pq.ParquetFile(file) as opened:
            columns = {field.name: str(field.type) for field in opened.schema_arrow}
            return Shape(opened.metadata.num_rows, columns)
    except pa.ArrowException as error:
        raise NoShape("it is no Parquet file") from error


def _csv(file: Path, delimiters: str) -> Shape:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as opened, _long_fields():
        first = opened.readline(1 << 16)
        opened.seek(0)
        delimiter = _delimiter(first, delimiters)
        try:
            records: Iterator[list[str]] = filter(None, csv.reader(opened, delimiter=delimiter))  # no empty lines
            first_record = next(records, [])
            rows = sum(1 for _ in records)
            if first_record and all(map(_is_number, first_record)):
                return Shape(rows + 1, {})
            return Shape(rows, dict.fromkeys(first_record, ""))
        except csv.Error as error:
            raise NoShape(f"it cannot be read as CSV: {error}") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextmanager
def _long_fields() -> Iterator[None]:
    """Python's limit of 128 KiB for one field is for those who keep it."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
