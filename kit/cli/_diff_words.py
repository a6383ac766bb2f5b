"""The words of a comparison, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kit.compare import Change, Difference
from kit.compare_data import Content, DataChange, FileChange, files_of, size_of
from kit.models import RunRecord
from kit.snapshot import DataVersion

__all__ = [
    "CODE_CONTROLS",
    "CONTROLS",
    "Report",
    "amount",
    "counted",
    "file_details",
    "file_name",
    "is_file",
    "is_record",
    "kind_of",
    "output_details",
    "pair",
    "short_package",
    "signed",
]

T = TypeVar("T")
_COLUMNS = 10
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""What makes text run the other way, so that code reads as what it is not."""
CONTROLS = (
    {code: f"^{chr(code ^ 64)}" for code in (*range(32), 127)}
    | {code: f"\\u{code:04x}" for code in (*range(0x80, 0xA0), *_DIRECTIONS)}
    | {9: "\\t", 10: "\\n"}
)
"""What a terminal would obey, with what is shown instead."""
CODE_CONTROLS = {code: sign for code, sign in CONTROLS.items() if code not in {9, 10}}
"""The same for code, whose lines and tabs are its own."""


@dataclass(frozen=True, slots=True)
class Report:
    """Two runs, and all that differs; `data` has the details of `found.data`, in its order."""

    old: RunRecord
    new: RunRecord
    found: Difference
    data: tuple[DataChange, ...]


def is_record(path: str) -> bool:
    """Whether a program keeps it, of what is told elsewhere in other words: versions of data and of packages."""
    return path.endswith((".dvc", ".lock"))


def output_details(change: DataChange) -> str:
    """Versions, files, bytes and rows, as far as they are known."""
    old, new = change.old, change.new
    versions = pair(None if old is None else old.label, None if new is None else new.label)
    if is_file(change):
        return f"{versions}, {file_details(change.files[0])}"
    parts = [
        versions,
        pair(*(_of(version, files_of) for version in (old, new)), unit="file"),
        pair(*(_of(version, lambda known: amount(size_of(known))) for version in (old, new))),
        None if change.rows is None else pair(f"{change.rows:+,}", None, unit="row"),
    ]
    return ", ".join(part for part in parts if part)


def is_file(change: DataChange) -> bool:
    """Whether the output is a file itself, so that the one file in it is all there is to tell."""
    return len(change.files) == 1 and change.files[0].path == change.path.rpartition("/")[2]


def file_details(change: FileChange) -> str:
    """Bytes, rows and columns, as far as they are known, and why not."""
    if change.kind == "moved":
        return ""
    rows = [None if side is None or side.shape is None else f"{side.shape.rows:,}" for side in (change.old, change.new)]
    parts = [
        pair(_size(change.old), _size(change.new)),
        pair(*rows, unit="row"),
        _columns("+ column", change.added_columns),
        _columns("- column", change.removed_columns),
        _columns("retyped column", [f"{name} {old} → {new}" for name, old, new in change.retyped_columns]),
        change.note,
    ]
    return ", ".join(part for part in parts if part)


def _columns(what: str, names: Sequence[str]) -> str | None:
    if len(names) > _COLUMNS:
        return f"{what}s {', '.join(names[:_COLUMNS])} and {len(names) - _COLUMNS:,} more"
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else None


def _of(version: DataVersion | None, ask: Callable[[DataVersion], object]) -> str | None:
    found = None if version is None else ask(version)
    return None if found is None else str(found)


def _size(content: Content | None) -> str | None:
    return None if content is None else amount(content.size)


def file_name(change: FileChange) -> str:
    """Its path, and what it was called if that was something else."""
    return f"{change.path} (was {change.was})" if change.was else change.path


def short_package(change: Change) -> Change:
    """A lock file's hash is to be told from another, not read."""
    if change.name != "(lock)":
        return change
    old, new = (None if text is None else text[:12] for text in (change.old, change.new))
    return Change(change.name, old, new)


def signed(value: float | None) -> str:
    """A change: with its sign, `=` for none, nothing where there is none to tell."""
    return "" if value is None else "=" if value == 0 else f"{value:+.6g}"


def amount(size: int | None) -> str | None:
    """Bytes as people write them."""
    if size is None:
        return None
    number = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def counted(entries: Iterable[T], kind: Callable[[T], str]) -> str:
    """How many of each kind: `2 added, 1 changed`."""
    kinds = [kind(entry) for entry in entries]
    return ", ".join(f"{kinds.count(name):,} {name}" for name in ("added", "removed", "changed") if name in kinds)


def kind_of(change: Change | DataChange) -> str:
    """Whether it is `added`, `removed` or `changed`."""
    return "added" if change.old is None else "removed" if change.new is None else "changed"


def pair(old: str | None, new: str | None, *, unit: str = "") -> str | None:
    """Both, or the one that is there; `unit` in the singular."""
    known = list(dict.fromkeys(text for text in (old, new) if text is not None))
    return " → ".join(known) + _of_unit(known, unit) if known else None


def _of_unit(numbers: list[str], unit: str) -> str:
    return "" if not unit else f" {unit}" if numbers in (["1"], ["+1"], ["-1"]) else f" {unit}s"
