"""`kit status`: is production well?"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit import _clock
from kit.cli.render import console, print_json, table
from kit.errors import ExitCode, UserError

if TYPE_CHECKING:
    from kit.status import Check, Status

__all__ = ["register", "status"]

_STYLES = {"ok": "green", "warning": "yellow", "bad": "bold red"}
_SHOWN = 4
"""So many problems fit on one screen beside everything else."""
_LONGEST = 300


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("status")(status)


def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="Print metrics for Prometheus.")] = False,
) -> int:
    """Is production well? Leaves with 1 if somebody has to do something."""
    from kit.cli._prometheus import exposition
    from kit.project import open_project
    from kit.status import check

    if as_json and prometheus:
        raise UserError("--json and --prometheus are two formats", where="command line", fix="Leave one out.")
    found = check(open_project(Path.cwd()), _clock.now())
    if as_json:
        print_json(_json(found))
    elif prometheus:
        sys.stdout.write(exposition(found))
    else:
        _show(found)
    return ExitCode.OK if found.is_well else ExitCode.RUN


def _json(found: Status) -> dict[str, Any]:
    from kit.cli._fires import health_json

    return {
        "project": found.project,
        "at": found.at.isoformat(),
        "well": found.is_well,
        "checks": [
            {"name": one.name, "state": one.state.value, "what": one.what, "fix": one.fix, "values": dict(one.values)}
            for one in found.checks
        ],
        "schedules": [health_json(schedule) for schedule in found.schedules],
        "runs": {kind.value: number for kind, number in found.runs.items()},
    }


def _show(found: Status) -> None:
    from kit.cli._instants import show_instant
    from kit.status import State

    out = console()
    if not out.is_terminal:
        rows = [(one.state.value, one.name, one.what, one.fix or "") for one in found.checks]
        table(["state", "check", "what", "fix"], rows)
        return
    from rich.text import Text

    title = Text.assemble((found.project, "bold"), "  ", _verdict(found), f"  {show_instant(found.at)}")
    out.print(title, soft_wrap=True)
    out.print()
    problems = [one for state in (State.BAD, State.WARNING) for one in found.checks if one.state is state]
    _grid(problems[:_SHOWN])
    if len(problems) > _SHOWN:
        out.print(f"... and {len(problems) - _SHOWN} more: `kit schedule list`; all of it: `kit status | cat`")
    if problems:
        out.print()
    _grid(one for one in found.checks if one.state is State.OK)


def _verdict(found: Status) -> tuple[str, str]:
    from kit.status import State

    bad, warnings = found.count(State.BAD), found.count(State.WARNING)
    told = f"{bad} {'problem' if bad == 1 else 'problems'}" if bad else ""
    more = f"{warnings} {'warning' if warnings == 1 else 'warnings'}" if warnings else ""
    said = ", ".join(filter(None, (told, more)))
    if bad:
        return f"is not well: {said}", _STYLES[State.BAD]
    return ("is well" + (f"; {said}" if said else "")), _STYLES[State.OK]


def _grid(checks: Iterable[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in checks:
        what = one.what if len(one.what) <= _LONGEST else f"{one.what[: _LONGEST - 3]}..."
        text = Text.assemble(what, ("" if one.fix is None else f"\n{one.fix}", "dim"))
        grid.add_row(Text(one.state.value, _STYLES[one.state]), Text(one.name), text)
    console().print(grid)
