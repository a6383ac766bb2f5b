"""Artifacts whose bytes depend on nothing but their content, so that a run that is repeated leaves the same ones."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

__all__ = ["dump_skops"]

_SCHEMA = "schema.json"
_ADDRESS = re.compile(r'("__id__": |"file": ")(\d+)')
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def dump_skops(model: Any, path: str | Path) -> None:  # noqa: ANN401 - whatever skops takes
    """Write `model` as `skops.io.dump` does, to be read by `skops.io.load`.

    skops names arrays by where they lay in memory, and notes the time: two files of one model are never the same. Here
    arrays are numbered in the order of the schema.

    Args:
        model: What to write.
        path: The file.

    Raises:
        OSError: If it cannot be written.
    """
    import skops.io

    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"{match[1]}{numbers.setdefault(match[2], len(numbers))}"

    with ZipFile(io.BytesIO(skops.io.dumps(model))) as source, ZipFile(path, "w") as target:
        schema = _ADDRESS.sub(number, source.read(_SCHEMA).decode())
        for member in source.infolist():
            stem, dot, ending = member.filename.partition(".")
            name = f"{numbers[stem]}{dot}{ending}" if stem in numbers else member.filename
            data = schema.encode() if member.filename == _SCHEMA else source.read(member)
            target.writestr(ZipInfo(name, _NO_TIME), data, compress_type=member.compress_type)
