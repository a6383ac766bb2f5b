"""`kit gc`: free what nobody needs any more."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit import _clock
from kit._durations import parse_duration
from kit.cli.render import console, next_steps, print_json, table
from kit.errors import ExitCode, UserError

if TYPE_CHECKING:
    from kit.garbage import Garbage, Scope
    from kit.project import Project

__all__ = ["gc", "register"]

_SHOWN = 20
"""What fits on a screen; the rest is counted."""
_LONGEST = timedelta(days=36500)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("gc")(gc)


def gc(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Free it without asking.")] = False,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="What rebuilt environments, sweeps and --runs go by. Default: 30d."),
    ] = None,
    old_runs: Annotated[
        bool, typer.Option("--runs", help="Also folders of runs that ended so long ago: logs, artifacts, checkpoints.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="With --runs: also their snapshots, and their lines in `kit runs`.")
    ] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Also folders and snapshots of runs that kit's store does not know.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; asks nothing.")] = False,
) -> int:
    """Show what kit keeps that nobody needs any more, and free it."""
    from kit import garbage
    from kit.project import open_project

    project = open_project(Path.cwd())
    scope = _scope(older_than, old_runs=old_runs, forget=forget, orphans=orphans)
    found = garbage.find(project, scope, _clock.now())
    if as_json:
        gone = list(garbage.free(project, scope, found, _clock.now())) if yes else []
        print_json(_json(found, gone, freed=yes))
        return ExitCode.OK
    if not found:
        console().print("nothing to free")
        return ExitCode.OK
    _show(found)
    if yes or _agrees():
        _free(project, scope, found)
    elif not sys.stdin.isatty():
        next_steps(["kit", "gc", *_given(older_than, old_runs=old_runs, forget=forget, orphans=orphans), "--yes"])
    return ExitCode.OK


def _scope(older_than: str | None, *, old_runs: bool, forget: bool, orphans: bool) -> Scope:
    from kit.garbage import Scope

    if old_runs and older_than is None:
        raise UserError("--runs needs to know how old", where="command line", fix="Add `--older-than 90d`, say.")
    if forget and not old_runs:
        raise UserError("--forget goes with --runs", where="command line", fix="Add `--runs`, or leave it out.")
    if older_than is None:
        return Scope(orphans=orphans)
    try:
        age = timedelta(seconds=min(parse_duration(older_than), _LONGEST.total_seconds()))
    except ValueError as error:
        raise UserError(str(error), where="--older-than", fix="Write it as `90d`, `2 w` or `12 h`.") from error
    return Scope(unused=age, runs=age if old_runs else None, forget=forget, orphans=orphans)


def _given(older_than: str | None, *, old_runs: bool, forget: bool, orphans: bool) -> Iterable[str]:
    flags = {"--runs": old_runs, "--forget": forget, "--orphans": orphans}
    return [*(name for name, on in flags.items() if on), *(["--older-than", older_than] if older_than else [])]


def _show(found: Sequence[Garbage]) -> None:
    from kit._disk_usage import amount

    whole = not console().is_terminal
    shown = found if whole else sorted(found, key=lambda each: each.bytes, reverse=True)[:_SHOWN]
    rows = [(each.kind.value, each.name, amount(each.bytes), each.why) for each in shown]
    table(["what", "name", "frees", "why"], rows, right=[2], whole=[1])
    if whole:
        return
    if len(found) > len(shown):
        console().print(f"... and {len(found) - len(shown)} more: `kit gc --json`")
    console().print(f"\n{_counted(found)}")


def _agrees() -> bool:
    """Whether somebody is there who says so."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return typer.confirm("Free it?", default=False)


def _free(project: Project, scope: Scope, found: Sequence[Garbage]) -> None:
    from kit import garbage

    gone = list(garbage.free(project, scope, found, _clock.now()))
    console().print(f"freed: {_counted(gone)}" if gone else "nothing is left to free")
    if len(gone) < len(found):
        console().print(f"{len(found) - len(gone)} left alone: in use again, or gone by now")
    if any(each.refs for each in gone):
        console().print("git frees what only those snapshots held when it collects garbage itself", soft_wrap=True)


def _counted(found: Sequence[Garbage]) -> str:
    from kit._disk_usage import amount

    return f"{amount(sum(each.bytes for each in found))}, {len(found)} {'thing' if len(found) == 1 else 'things'}"


def _json(found: Sequence[Garbage], gone: Sequence[Garbage], *, freed: bool) -> dict[str, Any]:
    removed = {(each.kind, each.name) for each in gone}
    return {
        "bytes": sum(each.bytes for each in (gone if freed else found)),
        "freed": freed,
        "found": [
            {
                "kind": each.kind.name.lower(),
                "name": each.name,
                "why": each.why,
                "bytes": each.bytes,
                "paths": [str(path) for path in each.paths],
                "refs": [ref.name for ref in each.refs],
                "removed": (each.kind, each.name) in removed,
            }
            for each in found
        ],
    }
