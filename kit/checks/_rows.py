"""The rows of tables, compared by hash, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NotRead", "Rows", "rows_of", "shared"]

_MOST_BYTES = 50_000_000
"""Of one file: a check takes seconds."""
_KEPT = 200_000
"""Hashes of one table. Of a larger one a sample is kept: every row whose hash is small, in all tables alike."""
_ALL = 2**64
_PARQUET = (".parquet", ".pq")


class NotRead(Exception):
    """A table cannot be read, or not within bounds."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table.

    Attributes:
        header: What its columns are called.
        hashes: Of every row whose hash is below `limit`, which are all or a sample.
    """

    header: tuple[str, ...]
    hashes: frozenset[int]
    limit: int


def rows_of(path: Path) -> Rows:
    """Read a CSV or Parquet file.

    Raises:
        NotRead: If that is not possible.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise NotRead(f"{path.name} is too large")
        header, rows = _parquet(path) if path.suffix.lower() in _PARQUET else _csv(path)
        return Rows(header, *_sampled(rows))
    except (OSError, ValueError) as error:
        raise NotRead(f"{path.name} cannot be read: {error}") from error


def shared(one: Rows, other: Rows) -> tuple[int, int]:
    """How many different rows of `one`, of how many that were compared, are in `other` as well."""
    if one.header != other.header:
        return 0, 0
    limit = min(one.limit, other.limit)
    compared = {value for value in one.hashes if value < limit}
    return len(compared & other.hashes), len(compared)


def _sampled(rows: Iterable[int]) -> tuple[frozenset[int], int]:
    limit, kept = _ALL, set[int]()
    for value in rows:
        if value < limit:
            kept.add(value)
            if len(kept) > _KEPT:
                limit //= 2
                kept = {old for old in kept if old < limit}
    return frozenset(kept), limit


def _csv(path: Path) -> tuple[tuple[str, ...], Iterator[int]]:
    """Line by line: a quoted field with line ends in it makes several, which changes nothing for what is compared.

    A first column without a name is the index that pandas writes: the same row has another one in another file.
    """
    with path.open("rb") as file:
        header = file.readline().decode("utf-8-sig").strip().split(",")
    indexed = header[0].strip('"') == "" and len(header) > 1
    return tuple(header[indexed:]), _lines(path, indexed=indexed)


def _lines(path: Path, *, indexed: bool) -> Iterator[int]:
    with path.open("rb") as file:
        next(file, b"")
        for raw in file:
            line = raw.strip()
            if line:
                yield _hash(line.partition(b",")[2] if indexed else line)


def _hash(row: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(row, digest_size=8).digest())


def _parquet(path: Path) -> tuple[tuple[str, ...], Iterator[int]]:
    try:
        import pyarrow.parquet as pq
        from pandas.util import hash_pandas_object
    except ImportError as error:
        raise NotRead("Parquet cannot be read without pyarrow and pandas") from error

    def rows() -> Iterator[int]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=[name for name in names if name in wanted]):
                # Without the dictionaries of categories, which each batch has its own of.
                yield from map(int, hash_pandas_object(batch.to_pandas(), index=False, categorize=True))

    with pq.ParquetFile(path) as opened:
        names = opened.schema_arrow.names
    wanted = {name for name in names if not name.startswith("__index_level_")}
    return tuple(name for name in names if name in wanted), rows()
