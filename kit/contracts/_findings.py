"""What of the data breaks a contract: which check, how often, and the first rows. Few of them: data may be private."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from kit.contracts._tables import Table
from kit.redact import MASK, is_secret_name, mask

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "Row", "findings", "told"]

_SHOWN = 5
_LONGEST = 60
_LONGEST_CHECK = 120
_LONGEST_ERROR = 300
_CHECKS = 20
_UNIQUE = "multiple_fields_uniqueness"
_WORDS = {
    "column_in_dataframe": "is missing",
    "column_in_schema": "is not in the contract",
    "not_nullable": "has no value",
    "field_uniqueness": "occurs more than once",
    _UNIQUE: "occur together more than once",
    "column_ordered": "is not in its place",
}
"""What pandera calls its own checks, in words that go on from the column's name."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row that breaks a check.

    Attributes:
        number: As pandas counts in that file: from 0.
        value: What it has there, shortened; `***` in a column whose name promises a secret.
    """

    file: str
    number: int
    value: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that does not hold.

    Attributes:
        check: What it asks for, or what is wrong.
        column: None if it is about the whole table.
        count: How many rows break it; None if it is about none in particular.
        rows: The first of them.
    """

    check: str
    column: str | None
    count: int | None = None
    rows: tuple[Row, ...] = ()

    def __str__(self) -> str:
        text = f"{self.column}: {self.check}" if self.column else self.check
        return text if self.count is None else f"{text} ({self.count:,} row{'s' if self.count != 1 else ''})"


def told(found: Iterable[Finding]) -> list[str]:
    """The findings as lines of text, their rows below each; of very many only the first."""
    found, lines = list(found), []
    for finding in found[:_CHECKS]:
        lines.append(str(finding))
        lines += [f"    {row.file} row {row.number:,}: {row.value}" for row in finding.rows]
        if (left := (finding.count or 0) - len(finding.rows)) > 0:
            lines.append(f"    and {left:,} more")
    if len(found) > _CHECKS:
        lines.append(f"and {len(found) - _CHECKS:,} more checks that do not hold")
    return lines


def findings(cases: pd.DataFrame, table: Table) -> tuple[Finding, ...]:
    """What pandera calls failure cases, check by check.

    Args:
        cases: A row for each cell that fails: `schema_context`, `column`, `check`, `check_number`, `failure_case` and
            `index`.
        table: What was held against the contract.
    """
    cases = cases.assign(column=cases["column"].where(cases["column"].notna(), None))
    of_table = cases["schema_context"] == "DataFrameSchema"
    named = cases[~of_table]
    found = [
        _finding(str(check), None if column is None else str(column), group, table)
        for (column, check, _), group in named.groupby(_BY, sort=False, dropna=False)
    ]
    for (check, _), group in cases[of_table].groupby(_BY[1:], sort=False, dropna=False):
        found += _of_table(str(check), group, table)
    return tuple(found)


_BY = ["column", "check", "check_number"]


def _finding(check: str, column: str | None, cases: pd.DataFrame, table: Table) -> Finding:
    if check.startswith("dtype(") and column in table.frame.columns:
        return Finding(f"should be {_kind(check)}, is {table.frame[column].dtype}", column)
    words = mask(_WORDS.get(check) or _expected(check, cases))
    numbers = _numbers(cases)
    if not numbers:
        return Finding(words, column)
    values = dict(zip(numbers, cases["failure_case"], strict=False))
    rows = (_row(number, _value(column or "", values[number]), table) for number in numbers[:_SHOWN])
    return Finding(words, column, len(set(numbers)), tuple(rows))


def _expected(check: str, cases: pd.DataFrame) -> str:
    """The check, and where it could not be done what it said."""
    if check.startswith("coerce_dtype("):
        return f"cannot become {_kind(check)}"
    found = cases["failure_case"].iloc[0]
    broke = isinstance(found, str) and not _numbers(cases) and "Error" in found
    return f"{_short(check)} does not hold" + (f": {mask(found)[:_LONGEST_ERROR]}" if broke else "")


def _short(check: str) -> str:
    """A check's name has all that it allows in it."""
    return check if len(check) <= _LONGEST_CHECK else f"{check[:_LONGEST_CHECK]}..."


def _kind(check: str) -> str:
    return check.partition("(")[2].removesuffix(")").strip("'")


def _of_table(check: str, cases: pd.DataFrame, table: Table) -> list[Finding]:
    """A check of the table as a whole has a case for each cell of a row that breaks it."""
    numbers = sorted(set(_numbers(cases)))
    if not numbers:
        if check not in _WORDS:
            return [_finding(check, None, cases, table)]
        return [Finding(_WORDS[check], _value("", name)) for name in cases["failure_case"]]
    columns = [str(name) for name in dict.fromkeys(cases["column"]) if name in table.frame.columns]
    rows = (_row(number, _cells(columns, number, table), table) for number in numbers[:_SHOWN])
    words = f"{', '.join(columns)} {_WORDS[check]}" if check == _UNIQUE else f"{mask(_short(check))} does not hold"
    return [Finding(words, None, len(numbers), tuple(rows))]


def _numbers(cases: pd.DataFrame) -> list[int]:
    return [int(float(number)) for number in cases["index"] if isinstance(number, Real) and not math.isnan(number)]


def _row(number: int, value: str, table: Table) -> Row:
    file, within = table.place(number)
    return Row(file, within, value)


def _cells(columns: Sequence[str], number: int, table: Table) -> str:
    row = table.frame.iloc[number]
    return ", ".join(f"{name}={_value(name, row[name])}" for name in columns[:_SHOWN]) + (
        ", ..." if len(columns) > _SHOWN else ""
    )


def _value(column: str, value: Any) -> str:  # noqa: ANN401 - a cell may hold anything
    if is_secret_name(column):
        return MASK
    text = mask(" ".join(str(value).split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
