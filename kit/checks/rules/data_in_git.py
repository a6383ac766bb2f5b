"""Data files that git keeps, and DVC should."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from kit.checks._places import in_lfs, is_template
from kit.checks._python import is_test
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_LARGE = 100_000
"""Bytes. Smaller tables are lists of codes and the like, which are read, reviewed and compared like code."""
_ENDINGS = frozenset({
    ".csv", ".tsv", ".parquet", ".pq", ".feather", ".arrow", ".orc", ".avro", ".h5", ".hdf5", ".npy", ".npz",
    ".mat", ".jsonl", ".ndjson", ".xls", ".xlsx", ".sqlite", ".sqlite3", ".db", ".tfrecord", ".zip", ".gz",
    ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".wav", ".mp3", ".flac", ".mp4", ".avi", ".nii",
    ".dcm", ".las", ".laz", ".tif", ".tiff",
})  # fmt: skip
_OF_DOCUMENTATION = frozenset({"docs", "doc", "fixtures", "testdata"})


def _check(tree: Tree) -> Iterator[Finding]:
    large = {
        path: size
        for path in tree.wanted
        if path in tree.tracked and _is_data(path) and not is_template(path) and (size := _size(tree, path)) > _LARGE
    }
    if not large:
        return
    pointers = in_lfs(tree, large)
    for path, size in large.items():
        if path not in pointers:
            name = shlex.quote(path)
            hint = f"Give it to DVC: `git rm --cached {name} && dvc add {name}`; git's history keeps what it has."
            yield Finding(path, f"{size / 1e6:.1f} MB of data in git: every clone gets every version", hint=hint)


def _is_data(path: str) -> bool:
    name = PurePosixPath(path)
    return name.suffix.lower() in _ENDINGS and not is_test(path) and _OF_DOCUMENTATION.isdisjoint(name.parts)


def _size(tree: Tree, path: str) -> int:
    try:
        return (tree.root / path).lstat().st_size
    except OSError:
        return 0


RULE = Rule("KIT201", "data-in-git", "A data file over 100 kB is in git, not in DVC", Severity.WARNING, _check)
