"""A first contract, written from the data: what it is today, to be read and mended by who knows what it should be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.contracts._tables import read
from kit.errors import UserError
from kit.redact import is_secret_name, mask

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["infer"]

_FEW = 20
"""As many different texts are a set of categories."""
_EACH = 5
"""And each of them is there so often, on average."""


def infer(path: Path, *, name: str, about: str) -> str:
    """The source of a module with the contract of the data at a path.

    Types, what may be missing, ranges of numbers rounded outward, and the values of texts that have few.

    Args:
        name: What the schema is called.
        about: What the data is called, for its description.

    Raises:
        DataError: If the data cannot be read.
        UserError: If there is nothing to learn from.
    """
    table = read(path)
    if table.frame.empty:
        raise UserError("a table without rows says nothing", where=str(path), fix="Name one that has some.")
    origin = f"written by `kit data infer` from {_counted(len(table.frame))}, to be read and mended"
    columns = [f"        {str(column)!r}: {_column(table.frame.iloc[:, i])}," for i, column in enumerate(table.frame)]
    return _formatted(
        "\n".join(
            [
                f'"""What {about} is: {origin}."""',
                "",
                "import pandera.pandas as pa",
                "",
                f"__all__ = [{name!r}]",
                "",
                f"{name} = pa.DataFrameSchema(",
                "    {",
                *columns,
                "    },",
                "    strict=True,  # no other columns",
                ")",
                "",
            ]
        )
    )


def _counted(rows: int) -> str:
    return f"{rows:,} row{'s' if rows != 1 else ''}"


def _column(values: pd.Series[Any]) -> str:
    found = values.dropna()
    parts = [_kind(values), *_check(str(values.name), found)]
    if len(found) < len(values):
        parts.append("nullable=True")
    return f"pa.Column({', '.join(parts)})"


def _kind(values: pd.Series[Any]) -> str:
    """pandas' own name of the type; what is anything is anything."""
    return "None" if str(values.dtype) == "object" else repr(str(values.dtype))


def _check(name: str, found: pd.Series[Any]) -> Iterable[str]:
    """One check at most: a range, or categories."""
    import pandas as pd

    if found.empty or pd.api.types.is_bool_dtype(found):
        return []
    if pd.api.types.is_numeric_dtype(found) and not pd.api.types.is_complex_dtype(found):
        low, high = found.min(), found.max()
        if not (math.isfinite(low) and math.isfinite(high)):
            return []
        whole = pd.api.types.is_integer_dtype(found)
        return [f"pa.Check.in_range({_outward(low, -1, whole=whole)}, {_outward(high, 1, whole=whole)})"]
    if is_secret_name(name) or not _is_text(found):
        return []
    values = sorted(found.unique())
    few = len(values) <= _FEW and len(values) * _EACH <= len(found)
    return [f"pa.Check.isin({values!r})"] if few and all(mask(value) == value for value in values) else []


def _is_text(found: pd.Series[Any]) -> bool:
    return all(isinstance(value, str) for value in found.unique())


def _outward(value: float, sign: int, *, whole: bool) -> str:
    """The value with two digits, rounded away from the data; what is 0 on this side of all the data stays 0.

    The data of today has not been everywhere that the data of tomorrow may be.
    """
    value = float(value) if not whole else int(value)
    if value == 0:
        return "0" if whole else "0.0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    if whole:
        size = max(int(step), 1)
        return str(sign * math.ceil(sign * value / size) * size if size > 1 else int(value))
    rounded = sign * math.ceil(sign * value / step) * step
    return repr(float(f"{rounded:.2g}"))


def _formatted(text: str) -> str:
    """As ruff would have it, where ruff is: a project's own checks refuse what is not."""
    import shutil
    import subprocess

    ruff = shutil.which("ruff")
    if ruff is None:
        return text
    done = subprocess.run(
        [ruff, "format", "--isolated", "--line-length", "120", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else text
