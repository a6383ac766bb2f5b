"""`kit schedule next`, `kit schedule validate`: what is to come of schedules, and whether it would work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kit import _clock
from kit.cli import export
from kit.cli.render import console, print_json, table
from kit.errors import ExitCode, KitError

if TYPE_CHECKING:
    from kit.schedule import Schedule
    from kit.schedules import Loaded
    from kit.upcoming import Upcoming

__all__ = ["next_", "register", "validate"]

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(family: typer.Typer) -> None:
    """Add the commands to those of `kit schedule`."""
    family.command("next")(next_)
    family.command("validate")(validate)
    export.register(family)


def next_(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this schedule. Default: of all.")] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.")] = 10,
    as_json: _AsJson = False,
) -> None:
    """Show when schedules are due next: by the clock of the trigger's time zone, and in UTC.

    A trigger without a time zone is shown by this machine's clock.
    """
    from kit.project import open_project
    from kit.schedules import Schedules
    from kit.upcoming import upcoming, waits_for

    loaded = Schedules(open_project(Path.cwd())).load()
    now = _clock.now()
    chosen = [loaded.find(name)] if name else [one for one in loaded.schedules.values() if one.enabled]
    due = upcoming(chosen, now, limit=limit)
    waiting = {one.name: words for one in chosen if (words := waits_for(one)) is not None}
    if as_json:
        print_json([_due_json(one) for one in due] + [{"schedule": one, "waits_for": waiting[one]} for one in waiting])
        return
    _print_next(due, [*waiting.items()][:limit], names=name is None)
    _mention(loaded, None if name is None else chosen[0], nothing=not due and not waiting)


def _due_json(one: Upcoming) -> dict[str, object]:
    return {
        "schedule": one.schedule,
        "at": one.at.isoformat(),
        "local": _local(one).isoformat(),
        "timezone": one.timezone,
        "note": one.note,
    }


def _local(one: Upcoming) -> datetime:
    from kit import _zones

    return one.at.astimezone(None if one.timezone is None else _zones.zone(one.timezone))


def _print_next(due: Sequence[Upcoming], waiting: Sequence[tuple[str, str]], *, names: bool) -> None:
    """A row each; a column that says nothing is left out on a terminal."""
    terminal = console().is_terminal
    show = _shown if terminal else datetime.isoformat
    rows = [(one.schedule, show(_local(one)), show(one.at), one.note or "") for one in due]
    headers = ["schedule", "local", "UTC", "note"]
    shown = [0, 1, 2, 3]
    if terminal:
        shown = [index for index in shown if any(row[index] for row in rows) and (names or index)]
    else:
        rows += [(name, "", "", f"waits for {words}") for name, words in waiting]
    if rows:
        table([headers[i] for i in shown], [[row[i] for i in shown] for row in rows], whole=range(len(shown) - 1))
    if terminal:
        for name, words in waiting:
            console().print(f"{name} waits for {words}")


def _shown(instant: datetime) -> str:
    """To the minute, if that is all there is to say; UTC goes without saying."""
    rest = ":%S.%f" if instant.microsecond else ":%S" if instant.second else ""
    zone = "" if instant.tzinfo is UTC else " %Z"
    return f"{instant:%a %Y-%m-%d %H:%M{rest}{zone}}"


def _mention(loaded: Loaded, schedule: Schedule | None, *, nothing: bool) -> None:
    """What else one should know, beside the output."""
    err = console(stderr=True)
    if schedule is not None:
        if nothing:
            err.print(f"note: {schedule.name} is not due any more")
        if not schedule.enabled:
            err.print(f"note: {schedule.name} is not enabled: nothing of this happens by itself")
        return
    if nothing:
        err.print("note: nothing is to come")
    if loaded.broken:
        what = f"{len(loaded.broken)} schedule is" if len(loaded.broken) == 1 else f"{len(loaded.broken)} schedules are"
        err.print(f"note: {what} broken; see `kit schedule validate`")


def validate(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Schedules. Default: all.")] = None,
    *,
    as_json: _AsJson = False,
) -> int:
    """Check schedules: what their files say, and their experiments, stages, data and slots. Nothing is run."""
    from kit.project import open_project
    from kit.schedule_checks import problems
    from kit.schedules import Schedules

    project = open_project(Path.cwd())
    schedules = Schedules(project)
    loaded = schedules.load()
    chosen = list(dict.fromkeys(names or [*loaded.schedules, *loaded.broken]))
    for name in chosen:
        if name not in loaded.broken:
            loaded.find(name)
    found = problems(project, loaded, _clock.now(), where=schedules.file, names=chosen)
    if as_json:
        print_json(
            [
                {"schedule": name, "what": error.what, "where": error.where, "fix": error.fix}
                for name, errors in found.items()
                for error in errors
            ]
        )
    else:
        _print_problems(found)
        _say_how_many(len(chosen), len(found))
    return ExitCode.USER if found else ExitCode.OK


def _print_problems(found: Mapping[str, Sequence[KitError]]) -> None:
    out = console()
    if not out.is_terminal:
        if found:
            rows = [(name, *map(_cell, (e.where, e.what, e.fix))) for name, errors in found.items() for e in errors]
            table(["schedule", "where", "problem", "fix"], rows)
        return
    from rich.padding import Padding
    from rich.text import Text

    for name, errors in found.items():
        out.print(Text(name, "bold red"))
        for error in errors:
            out.print(Padding(Text.assemble(_cell(error.what), (f" ({error.where})", "dim")), (0, 0, 0, 2)))
            if error.fix is not None:
                out.print(Padding(Text(_cell(error.fix)), (0, 0, 0, 4)))
        out.print()


def _cell(text: str | None) -> str:
    return " ".join((text or "").split())


def _say_how_many(all_: int, wrong: int) -> None:
    """Beside the table on a pipe."""
    out = console(stderr=not console().is_terminal)
    if not all_:
        out.print("no schedules; write one as conf/schedule/NAME.yaml")
    elif not wrong:
        out.print("1 schedule, fine" if all_ == 1 else f"{all_} schedules, all fine")
    else:
        out.print(f"{all_ - wrong} of {all_} {'schedule' if all_ == 1 else 'schedules'} fine")
