"""What one version of an output holds: bytes, files, rows and columns, as far as it is here to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kit._shapes import is_table
from kit.compare_data import DataChange, Reader
from kit.snapshot import DataVersion

__all__ = ["Contents", "contents", "schema_changes"]


@dataclass(frozen=True, slots=True)
class Contents:
    """None for what is not known, or what such a thing does not have.

    Attributes:
        size: Bytes of all its files.
        files: How many; None for an output that is a file itself.
        rows: Of all its tables.
        columns: Name to type, which a CSV file does not say; several types, where tables differ.
        note: Why something is not known.
    """

    size: int | None = None
    files: int | None = None
    rows: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None


def contents(version: DataVersion, reader: Reader) -> Contents:
    """Look into a version."""
    if version.used is None:
        return Contents()
    found = reader.look_into(DataChange(version.path, None, version))
    as_recorded = version.state == "matches"
    sizes = [None if file.new is None else file.new.size for file in found.files]
    whole = sum(size for size in sizes if size is not None) if found.files and None not in sizes else None
    folder = version.used.endswith(".dir")
    notes = [found.note, *(file.note for file in found.files)]
    return Contents(
        size=version.size if as_recorded and version.size is not None else whole,
        files=(version.files if as_recorded else len(found.files)) if folder else None,
        rows=found.rows,
        columns=_columns(found),
        note=next((note for note in notes if note is not None), None),
    )


def schema_changes(old: Contents, new: Contents) -> list[str]:
    """Columns that came, went or have another type, each as `+ name`, `- name` or `name: old → new`."""
    if not old.columns or not new.columns:
        return []
    return [
        *(f"+ {name}" for name in new.columns if name not in old.columns),
        *(f"- {name}" for name in old.columns if name not in new.columns),
        *(
            f"{name}: {kind} → {new.columns[name]}"
            for name, kind in old.columns.items()
            if kind != new.columns.get(name, kind)
        ),
    ]


def _columns(found: DataChange) -> dict[str, str]:
    kinds: dict[str, list[str]] = {}
    for file in found.files:
        if file.new is not None and file.new.shape is not None and is_table(file.path):
            for name, kind in file.new.shape.columns.items():
                kinds.setdefault(name, []).append(kind)
    return {name: " or ".join(filter(None, dict.fromkeys(each))) for name, each in kinds.items()}
