"""The difference of two runs as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import _clock
from kit._patch import FilePatch, Line
from kit.cli import _diff_charts as charts
from kit.cli._diff_words import (
    CODE_CONTROLS,
    CONTROLS,
    Report,
    amount,
    counted,
    file_details,
    file_name,
    is_file,
    is_record,
    kind_of,
    output_details,
    short_package,
    signed,
)
from kit.cli.render import duration, number
from kit.compare import Change, MetricChange
from kit.compare_data import DataChange
from kit.models import RunRecord
from kit.project import Project
from kit.trackers.spool import points_of

__all__ = ["page"]

_LINES = 20_000
"""Of code on the page: more is slow to open, and nobody reads it."""
_LINES_OF_FILE = 2_000
_ENTRIES = 1_000
"""Of one list."""
_CHARTS = 60
_CLOSED = 300
"""A file with more lines is to be opened by its reader."""


@dataclass(frozen=True, slots=True)
class _File:
    """One file of the code; `cut` is how many of its lines are not on the page."""

    patch: FilePatch
    lines: tuple[Line, ...]
    cut: int
    opened: bool


@dataclass(frozen=True, slots=True)
class _Bar:
    """Of a metric's change, as a share of the longest: negative to the left. `beyond` if it is longer than that."""

    left: float
    width: float
    beyond: bool


def page(project: Project, report: Report) -> str:
    """The whole page."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": lambda text: str(text).translate(CONTROLS),
        "code": lambda text: str(text).translate(CODE_CONTROLS),
        "number": number,
        "signed": signed,
        "amount": amount,
    }
    written = environment.get_template("diff.html").render(_view(project, report))
    return written.encode("utf-8", "replace").decode()


def _view(project: Project, report: Report) -> dict[str, Any]:
    found = report.found
    now = _clock.now()
    series = [_series(project, record) for record in (report.old, report.new)]
    names = list(dict.fromkeys((*series[0], *series[1])))
    drawn = [charts.chart(name, *(each.get(name, ()) for each in series)) for name in names]
    lists = {
        "config": list(found.values),
        "environment": list(map(short_package, found.environment)),
        "host": list(found.host),
    }
    return {
        "project": project.name,
        "made": now,
        "runs": [("old", report.old, _about(report.old)), ("new", report.new, _about(report.new))],
        "found": found,
        "files": _files(found.files),
        "data": [(kind_of(change), change, output_details(change), _data_files(change)) for change in report.data],
        "data_summary": counted(report.data, kind_of) or "the same",
        "lists": {title: (changes[:_ENTRIES], len(changes), _summary(changes)) for title, changes in lists.items()},
        "omitted": found.omitted,
        "kind_of": kind_of,
        "metrics": [(metric, _relative(metric), _bar(metric, found.metrics)) for metric in found.metrics],
        "metrics_summary": _metrics_summary(found.metrics),
        "charts": [each for each in drawn if each is not None][:_CHARTS],
        "charts_cut": max(len([each for each in drawn if each is not None]) - _CHARTS, 0),
        "chart": charts,
    }


def _about(record: RunRecord) -> dict[str, str]:
    pairs = {
        "experiment": record.experiment,
        "created": f"{record.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "took": duration(record.duration(_clock.now())),
        "commit": (record.commit or "")[:10] + (" (uncommitted work)" if record.dirty else ""),
        "seed": "" if record.seed is None else str(record.seed),
        "note": record.note or "",
        "reason": record.reason or "",
    }
    return {name: text for name, text in pairs.items() if text}


def _files(patches: Sequence[FilePatch]) -> list[_File]:
    left = _LINES
    found = []
    for patch in patches:
        room = min(left, _LINES_OF_FILE)
        lines = tuple(patch.lines())
        left -= min(len(lines), room)
        opened = len(lines) <= _CLOSED and not is_record(patch.path)
        found.append(_File(patch, lines[:room], max(len(lines) - room, 0), opened))
    return found


def _data_files(change: DataChange) -> tuple[list[tuple[str, str, str]], int]:
    """Kind, name and details of each file, and how many more there are; none of an output that is a file itself."""
    if is_file(change):
        return [], 0
    shown: list[tuple[str, str, str]] = [
        (file.kind, file_name(file), file_details(file)) for file in change.files[:_ENTRIES]
    ]
    return shown, len(change.files) - len(shown)


def _summary(changes: Sequence[Change]) -> str:
    return counted(changes, kind_of) or "the same"


def _metrics_summary(metrics: Sequence[MetricChange]) -> str:
    changed = sum(metric.change != 0 for metric in metrics)
    return f"{changed} of {len(metrics)} changed" if changed else "the same" if metrics else "none"


def _relative(metric: MetricChange) -> str:
    return "" if not metric.relative else f"{100 * metric.relative:+.2f} %"


def _bar(metric: MetricChange, metrics: Sequence[MetricChange]) -> _Bar | None:
    """From the middle of 100 to the side that the metric went to; the longest is the largest change, or 100 %."""
    if not metric.relative:
        return None
    longest = min(max(abs(other.relative or 0) for other in metrics), 1.0)
    share = abs(metric.relative) / longest
    width = max(min(share, 1.0) * 50, 1)
    return _Bar(round(50 if metric.relative > 0 else 50 - width, 1), round(width, 1), share > 1)


def _series(project: Project, record: RunRecord) -> dict[str, charts.Points]:
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for point in points_of(project.paths.run(record.run_id).spool):
        found[point.key].append((point.step, point.value))
    return dict(found)
