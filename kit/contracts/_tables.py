"""The data that a contract is about, as one table: that of a file, or of all the tables in a folder."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit._shapes import delimiter_of, is_parquet, is_table
from kit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "files_of", "read"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one or more files, in the order of their names.

    Attributes:
        frame: All of them, numbered from 0.
        files: Their paths, as they are told.
        starts: The number of the first row of each.
    """

    frame: pd.DataFrame
    files: tuple[str, ...]
    starts: tuple[int, ...]

    def place(self, number: int) -> tuple[str, int]:
        """The file that a row is from, and its number there, as pandas counts: from 0."""
        index = bisect_right(self.starts, number) - 1
        return self.files[index], number - self.starts[index]


def files_of(path: Path) -> list[Path]:
    """The tables at a path, sorted; hidden ones are not looked at.

    Raises:
        DataError: If there is nothing at the path, or no table.
    """
    fix = "`dvc pull` or `dvc repro` brings it; `kit data status` says what there is."
    if not path.exists():
        raise DataError("the data is not there", where=str(path), fix=fix)
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if is_table(file.name) and file.is_file() and not any(part[0] == "." for part in file.relative_to(path).parts)
    )
    if not found:
        raise DataError("there is no table: no CSV or Parquet file", where=str(path), fix=fix)
    return found


def read(path: Path) -> Table:
    """All rows at a path.

    Raises:
        DataError: If there are none, or a file is not what its name says.
    """
    import pandas as pd

    files = files_of(path)
    frames = [_frame(file) for file in files]
    starts, total = [], 0
    for frame in frames:
        starts.append(total)
        total += len(frame)
    names = tuple(file.relative_to(path).as_posix() if file != path else file.name for file in files)
    whole = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Table(whole.reset_index(drop=True), names, tuple(starts))


def _frame(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if is_parquet(file.name):
            # No columns that only the names of folders hold: a row is what its file says.
            return pd.read_parquet(file, partitioning=None)
        return pd.read_csv(file, sep=delimiter_of(file), encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # pyarrow's and pandas' own are ValueErrors
        said = " ".join(str(error).split())[:200]
        raise DataError(f"the file cannot be read: {said}", where=str(file), fix="Mend it, or take it out.") from error
