"""`kit diff`: what differs between two runs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli._arguments import AsJson, RunName
from kit.cli.render import console, json_number, print_json
from kit.errors import UserError, from_os_error

if TYPE_CHECKING:
    from kit.cli._diff_words import Report
    from kit.compare_data import Content, DataChange, FileChange
    from kit.models import RunRecord
    from kit.project import Project

__all__ = ["data_json", "diff", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("diff")(diff)


def diff(
    old: RunName,
    new: RunName,
    *,
    full: Annotated[bool, typer.Option("--full", help="Shorten nothing; a pipe always gets all of it.")] = False,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write one page that needs nothing else; - for standard output.")
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Pull data that is not in DVC's cache here.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two runs: code, data, config, environment, seed, host and metrics."""
    from kit import compare_data, runs
    from kit.cli._diff_text import print_report
    from kit.cli._diff_words import Report
    from kit.compare import compare
    from kit.project import open_project

    if as_json and html is not None:
        raise UserError("--json and --html are two forms of the same", fix="Ask for one of them.")
    project = open_project(Path.cwd())
    first, second = runs.find(project, old), runs.find(project, new)
    if fetch:
        compare_data.fetch(project, first, second)
    report = Report(first, second, compare(project, first, second), compare_data.compare_data(project, first, second))
    if as_json:
        print_json(_as_json(report))
    elif html is not None:
        _write_page(project, report, html)
    else:
        print_report(report, full=full)


def _write_page(project: Project, report: Report, target: str) -> None:
    from kit._files import write_atomic
    from kit.cli._diff_page import page

    text = page(project, report)
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        write_atomic(Path(target), text)
    except OSError as error:
        raise from_os_error(error) from error
    console().print(f"written: {target}", soft_wrap=True)


def _as_json(report: Report) -> dict[str, Any]:
    found = report.found
    return {
        "old": _run_json(report.old),
        "new": _run_json(report.new),
        "code": found.code,
        "files": [
            {
                "path": patch.path,
                "kind": patch.kind,
                "was": patch.was,
                "added": patch.added,
                "removed": patch.removed,
                "binary": patch.binary,
                "hidden": patch.hidden,
            }
            for patch in found.files
        ],
        "omitted": [asdict(change) for change in found.omitted],
        "data": [asdict(change) | data_json(details) for change, details in zip(found.data, report.data, strict=True)],
        "config": [asdict(change) for change in found.values],
        "environment": [asdict(change) for change in found.environment],
        "seed": {"old": report.old.seed, "new": report.new.seed},
        "host": [asdict(change) for change in found.host],
        "metrics": [
            {
                "name": metric.name,
                "old": json_number(metric.old),
                "new": json_number(metric.new),
                "change": json_number(metric.change),
                "relative": json_number(metric.relative),
            }
            for metric in found.metrics
        ],
        "note": found.note,
    }


def _run_json(record: RunRecord) -> dict[str, Any]:
    kept = ("run_id", "name", "experiment", "task", "status", "created_at", "commit", "dirty", "seed")
    plain = {name: getattr(record, name) for name in kept}
    return plain | {"status": record.status.value, "created_at": record.created_at.isoformat()}


def data_json(details: DataChange) -> dict[str, Any]:
    """What is known of one output that differs, but for its name and versions."""
    from kit.compare_data import files_of, size_of

    old, new = details.old, details.new
    return {
        "old_size": None if old is None else size_of(old),
        "new_size": None if new is None else size_of(new),
        "old_files": None if old is None else files_of(old),
        "new_files": None if new is None else files_of(new),
        "rows": details.rows,
        "files": [_file_json(file) for file in details.files],
        "note": details.note,
    }


def _file_json(change: FileChange) -> dict[str, Any]:
    return {
        "path": change.path,
        "kind": change.kind,
        "was": change.was,
        **_content_json("old", change.old),
        **_content_json("new", change.new),
        "rows": change.rows,
        "added_columns": change.added_columns,
        "removed_columns": change.removed_columns,
        "retyped_columns": [{"name": name, "old": old, "new": new} for name, old, new in change.retyped_columns],
        "note": change.note,
    }


def _content_json(side: str, content: Content | None) -> dict[str, Any]:
    from kit.compare_data import Content

    found = content or Content(None)
    return {
        f"{side}_md5": found.md5,
        f"{side}_size": found.size,
        f"{side}_rows": None if found.shape is None else found.shape.rows,
    }
