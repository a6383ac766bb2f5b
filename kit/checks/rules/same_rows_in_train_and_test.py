"""Rows that a model learns from and is judged by."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.checks._places import first_line_with
from kit.checks._rows import NotRead, Rows, rows_of, shared
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError

if TYPE_CHECKING:
    from kit.config import Composed

__all__ = ["RULE"]

_TABLE = re.compile(r"\.(?:csv|parquet|pq)$")
_LEARNT_FROM = re.compile(r"(?:^|_)(?:train|training|fit)(?:_|$)")
_JUDGED_BY = re.compile(r"(?:^|_)(?:test|testing|valid|validation|val|dev|eval|holdout)(?:_|$)")
_NOT_CHANCE = 0.01
"""The share from which on it is no coincidence: tables of few values have equal rows of different cases."""


@dataclass(frozen=True, slots=True)
class _Split:
    """Files that a config names side by side; `key` is where it names the one that is judged by."""

    key: str
    learnt_from: str
    judged_by: str


def _check(tree: Tree) -> Iterator[Finding]:
    if not any(_TABLE.search(line.strip()) for line in _config_lines(tree)):
        return  # composing takes its time
    seen: set[tuple[str, str]] = set()
    tables: dict[str, Rows | None] = {}
    for composed, split in _named(tree):
        pair = (split.learnt_from, split.judged_by)
        if pair in seen:
            continue
        seen.add(pair)
        found, compared = _compare(tree, pair, tables)
        if compared and found / compared >= _NOT_CHANCE:
            origin = composed.origins.get(split.key, "")
            message = f"{found / compared:.0%} of the rows of {split.judged_by} are in {split.learnt_from} as well"
            hint = "Split before anything is copied or resampled, and drop duplicates before you split."
            path = origin if origin in tree else ""
            yield Finding(path, message, first_line_with(tree.text(path), split.judged_by), hint=hint)


def _named(tree: Tree) -> Iterator[tuple[Composed, _Split]]:
    for composed in tree.composed().values():
        if not isinstance(composed, KitError):
            yield from ((composed, split) for split in _splits(composed.config))


def _config_lines(tree: Tree) -> Iterator[str]:
    for path in tree.all_matching(f"{tree.config_dir}/**/*.yaml"):
        yield from re.split(r"[\s,\]}'\"#]+", tree.text(path) or "")


def _splits(config: Mapping[str, Any], prefix: str = "") -> Iterator[_Split]:
    """Pairs of tables that are named side by side, one to learn from and one to judge by."""
    files = {key: value for key, value in config.items() if isinstance(value, str) and _TABLE.search(value)}
    learnt = [value for key, value in files.items() if _LEARNT_FROM.search(key)]
    judged = {key: value for key, value in files.items() if _JUDGED_BY.search(key) and not _LEARNT_FROM.search(key)}
    for train, (key, test) in itertools.product(learnt, judged.items()):
        yield _Split(f"{prefix}{key}", train, test)
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _splits(value, f"{prefix}{key}.")


def _compare(tree: Tree, pair: tuple[str, str], tables: dict[str, Rows | None]) -> tuple[int, int]:
    for name in pair:
        if name not in tables:
            try:
                tables[name] = rows_of(tree.root / name)
            except NotRead:
                tables[name] = None
    learnt_from, judged_by = (tables[name] for name in pair)
    return (0, 0) if learnt_from is None or judged_by is None else shared(judged_by, learnt_from)


RULE = Rule(
    "KIT209",
    "same-rows-in-train-and-test",
    "Rows of the table to judge by are in the one to learn from as well",
    Severity.WARNING,
    _check,
    scope="project",
)
