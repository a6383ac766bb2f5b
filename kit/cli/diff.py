"""`kit diff`: what differs between two runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from kit import compare, runs
from kit.cli._arguments import AsJson, RunName
from kit.cli.render import console, json_number, number, print_json, table
from kit.project import open_project

__all__ = ["diff", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("diff")(diff)


def diff(
    old: RunName,
    new: RunName,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two runs: code, data, config, environment, host and metrics."""
    project = open_project(Path.cwd())
    first, second = runs.find(project, old), runs.find(project, new)
    found = compare.compare(project, first, second)
    if as_json:
        print_json(_diff_json(found))
        return
    _print_code(found)
    if found.omitted:
        _print_changes("files too large or too secret to be kept", found.omitted)
    for title in ("data", "config", "environment", "host"):
        _print_changes(title, getattr(found, title))
    if found.metrics:
        _title("metrics")
        rows = [(m.name, number(m.old), number(m.new), _signed(m.change)) for m in found.metrics]
        table(["metric", first.run_id[:6], second.run_id[:6], "change"], rows, right=[1, 2, 3])


def _print_code(found: compare.Difference) -> None:
    code = found.code
    if not code:
        said = found.note or ("the same but for untracked files" if found.omitted else "the same")
        _title("code", f"  {said}", above="")
        return
    from rich.syntax import Syntax

    out = console()
    _title("code", above="")
    if out.is_terminal:
        out.print(Syntax(code, "diff", background_color="default", word_wrap=True))
    else:
        sys.stdout.write(code)


def _print_changes(title: str, changes: Iterable[compare.Change]) -> None:
    changes = list(changes)
    _title(title, "" if changes else "  the same")
    for change in changes:
        line = f"  {change.name}: {change.old or '(none)'} → {change.new or '(none)'}"
        console().print(line, soft_wrap=True)


def _title(title: str, rest: str = "", *, above: str = "\n") -> None:
    from rich.text import Text

    console().print(Text.assemble(above, (title, "bold"), rest))


def _signed(value: float | None) -> str:
    return "" if value is None else "=" if value == 0 else f"{value:+.6g}"


def _diff_json(found: compare.Difference) -> dict[str, Any]:
    plain = asdict(found)
    plain["metrics"] = [
        {"name": m.name, "old": json_number(m.old), "new": json_number(m.new), "change": json_number(m.change)}
        for m in found.metrics
    ]
    return plain
