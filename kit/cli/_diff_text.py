"""The difference of two runs as text, from causes to effects."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

from kit import _clock
from kit._patch import FilePatch
from kit.cli._diff_words import (
    CODE_CONTROLS,
    CONTROLS,
    Report,
    counted,
    file_details,
    file_name,
    is_file,
    is_record,
    kind_of,
    output_details,
    pair,
    short_package,
    signed,
)
from kit.cli.render import STYLES, ago, console, number, table
from kit.compare import Change, Difference, MetricChange
from kit.compare_data import DataChange

__all__ = ["print_data", "print_report"]

T = TypeVar("T")
_SHOWN = 20
"""Entries of one list, and changed metrics, before a terminal is told how many more there are."""
_SHOWN_LINES = 200
"""Of the code, likewise."""
_SHOWN_CHARACTERS = 300
"""Of one value, likewise."""

Sign = Literal["+", "-", "~", ">"]
_COLOURS: dict[str, str] = {"+": "green", "-": "red", "~": "yellow", ">": "cyan"}
_SIGNS: dict[str, Sign] = {"added": "+", "removed": "-", "changed": "~", "moved": ">", "renamed": ">", "copied": "+"}


def print_report(report: Report, *, full: bool) -> None:
    """Print it: all on a pipe or if `full`, else no more of each part than can be taken in."""
    everything = full or not console().is_terminal
    shown = None if everything else _SHOWN
    _print_runs(report)
    _print_code(report.found, None if everything else _SHOWN_LINES)
    if report.found.omitted:
        _print_changes("files too large or too secret to be kept", report.found.omitted, shown)
    _print_data(report.data, shown)
    _print_changes("config", report.found.values, shown)
    _print_changes("environment", map(short_package, report.found.environment), shown)
    _print_seed(report)
    _print_changes("host", report.found.host, shown)
    _print_metrics(report, shown)


def _print_runs(report: Report) -> None:
    from rich.text import Text

    now = _clock.now()
    for side, record in (("old", report.old), ("new", report.new)):
        status = (record.status.value, STYLES[record.status])
        line = Text.assemble(f"{side}  {record.run_id}  ", (record.name, "bold"), "  ", status)
        console().print(line + f"  {ago(record.created_at, now)}", soft_wrap=True)


def _print_code(found: Difference, shown: int | None) -> None:
    patches = found.files
    if not patches:
        _title("code", found.note or ("the same but for untracked files" if found.omitted else "the same"))
        return
    files = f"{len(patches)} file{'s' if len(patches) > 1 else ''}"
    _title("code", f"{files}, +{sum(p.added for p in patches)} -{sum(p.removed for p in patches)}")
    room = sys.maxsize if shown is None else shown
    left = []
    for patch in patches:
        length = len(patch.head) + len(patch.body)
        if length > room or (shown is not None and is_record(patch.path)):
            left.append(patch)
            continue
        room -= length
        _print_patch(patch)
    if left:
        console().print("and, shown by `--full`:")
        _entries((_patch_entry(patch) for patch in left), _SHOWN, "  ")


def _print_patch(patch: FilePatch) -> None:
    out = console()
    if not out.is_terminal:
        sys.stdout.write(patch.text)
        return
    from rich.syntax import Syntax

    text = patch.text.translate(CODE_CONTROLS)
    out.print(Syntax(text.removesuffix("\n"), "diff", background_color="default", word_wrap=True))


def _patch_entry(patch: FilePatch) -> tuple[Sign, str, str]:
    was = f" (was {patch.was})" if patch.was else ""
    return _SIGNS[patch.kind], patch.path + was, f"+{patch.added} -{patch.removed}"


def print_data(data: Sequence[DataChange], *, full: bool) -> None:
    """Print the part about data alone, likewise."""
    _print_data(data, None if full or not console().is_terminal else _SHOWN)


def _print_data(data: Sequence[DataChange], shown: int | None) -> None:
    _title("data", counted(data, kind_of) if data else "the same")
    for change in _first(data, shown):
        _entry(_SIGNS[kind_of(change)], change.path, output_details(change), "  ")
        if not is_file(change):
            entries = ((_SIGNS[file.kind], file_name(file), file_details(file)) for file in change.files)
            _entries(entries, shown, "      ")
        if change.note is not None:
            console().print(f"      note: {_plain(change.note)}", soft_wrap=True)
    _and_more(data, shown, "  ")


def _print_changes(title: str, changes: Iterable[Change], shown: int | None) -> None:
    changes = list(changes)
    _title(title, counted(changes, kind_of) if changes else "the same")
    _entries(((_SIGNS[kind_of(change)], change.name, _values(change)) for change in changes), shown, "  ")


def _print_seed(report: Report) -> None:
    old, new = report.old.seed, report.new.seed
    _title("seed", f"the same ({new})" if old == new else f"{old} → {new}")


def _print_metrics(report: Report, shown: int | None) -> None:
    metrics = report.found.metrics
    if not metrics:
        return
    _title("metrics")
    rows = list(metrics)
    if shown is not None and len(rows) > shown:
        rows = [metric for metric in metrics if metric.change != 0]
    headers = ["metric", "old", "new", "change", "%"]
    table(headers, [_metric_row(metric) for metric in _first(rows, shown)], right=[1, 2, 3, 4])
    _and_more(rows, shown, "")
    if (same := len(metrics) - len(rows)) > 0:
        console().print(f"and {same} that are the same")


def _metric_row(metric: MetricChange) -> list[str]:
    relative = "" if not metric.relative else f"{100 * metric.relative:+.2f}"
    return [_plain(metric.name), number(metric.old), number(metric.new), signed(metric.change), relative]


def _values(change: Change) -> str:
    return pair(*(text if text is None else text or "''" for text in (change.old, change.new))) or ""


def _entries(entries: Iterable[tuple[Sign, str, str]], shown: int | None, indent: str) -> None:
    entries = list(entries)
    for sign, name, rest in _first(entries, shown):
        _entry(sign, name, rest, indent, whole=shown is None)
    _and_more(entries, shown, indent)


def _entry(sign: Sign, name: str, rest: str, indent: str, *, whole: bool = True) -> None:
    from rich.text import Text

    rest = _plain(rest)
    if not whole and len(rest) > _SHOWN_CHARACTERS:
        rest = f"{rest[:_SHOWN_CHARACTERS]}… ({len(rest):,} characters; `--full` shows them)"
    colon = ": " if rest else ""
    console().print(Text.assemble(indent, (sign, _COLOURS[sign]), f" {_plain(name)}{colon}{rest}"), soft_wrap=True)


def _first(entries: Sequence[T], shown: int | None) -> Sequence[T]:
    return entries if shown is None else entries[:shown]


def _and_more(entries: Sequence[object], shown: int | None, indent: str) -> None:
    if shown is not None and len(entries) > shown:
        console().print(f"{indent}and {len(entries) - shown:,} more; `--full` shows all")


def _title(title: str, rest: str = "") -> None:
    from rich.text import Text

    console().print(Text.assemble("\n", (title, "bold"), f"  {_plain(rest)}" if rest else ""), soft_wrap=True)


def _plain(text: str) -> str:
    """What a terminal would obey is shown instead, and each entry stays on its line."""
    return text.translate(CONTROLS)
