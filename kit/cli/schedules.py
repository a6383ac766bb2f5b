"""`kit schedule list`, `show`, `pause`, `resume`, `run`, `backfill`, `history`: schedules that are at work."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kit import _clock
from kit._durations import format_duration
from kit.cli.render import ago, console, key_values, next_steps, print_json, table
from kit.errors import UserError

if TYPE_CHECKING:
    from kit.fires import SchedulerRecord
    from kit.health import ScheduleHealth
    from kit.project import Project
    from kit.schedule import Schedule

__all__ = ["register"]

_Name = Annotated[str, typer.Argument(metavar="NAME", help="A schedule: conf/schedule/NAME.yaml.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_WIDE = 100
"""Columns of a terminal that has room for more than the most necessary."""
_TO_THE_MINUTE = len("2026-03-01 02:00")
_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    from kit.cli import upcoming

    family = typer.Typer(
        help="Schedules: what they do and did, and what is to be done with them.", no_args_is_help=True
    )
    app.add_typer(family, name="schedule")
    family.command("list")(listing)
    for command in (show, pause, resume, run, backfill, history):
        family.command(command.__name__)(command)
    upcoming.register(family)


def listing(*, as_json: _AsJson = False) -> None:
    """List the schedules: when each is due next, what it did last, and how it does."""
    from kit import health
    from kit.cli._fires import health_json
    from kit.project import open_project
    from kit.schedules import Schedules

    project = open_project(Path.cwd())
    now = _clock.now()
    found = health.look(project, Schedules(project).load(), now)
    if as_json:
        print_json([health_json(one) for one in found])
    elif found:
        _list(found, now)
    else:
        console().print("no schedules; write one as conf/schedule/NAME.yaml")


def _list(found: Sequence[ScheduleHealth], now: datetime) -> None:
    from rich.text import Text

    from kit.cli._fires import HEALTH_STYLES, local, trigger_words

    wide = not console().is_terminal or console().width >= _WIDE
    rows = []
    for one in found:
        health_text = Text(one.health.value, HEALTH_STYLES[one.health])
        streak = [str(one.streak), health_text] if wide else [_short_health(one)]
        trigger = "" if one.schedule is None else trigger_words(one.schedule.trigger)
        coming = "" if one.next_at is None else local(one.next_at)[: None if wide else _TO_THE_MINUTE]
        rows.append([one.name, trigger, coming, _last(one, now), *streak])
    headers = ["schedule", "trigger", "next", "last", *(["streak", "health"] if wide else ["health"])]
    table(headers, rows, whole=[0, 2, 3, 4, 5])
    if console().is_terminal:
        _say_why(found)


def _say_why(found: Sequence[ScheduleHealth]) -> None:
    """What is not as it should be, below the table."""
    from rich.padding import Padding
    from rich.text import Text

    from kit.cli._fires import HEALTH_STYLES
    from kit.health import Health

    told = [one for one in found if one.why is not None and one.health is not Health.DISABLED]
    for index, one in enumerate(told):
        if index == 0:
            console().print()
        health_text = (one.health.value, HEALTH_STYLES[one.health])
        console().print(Text.assemble((one.name, "bold"), "  ", health_text, f"  {one.why}"))
        if one.fix is not None:
            console().print(Padding(Text(one.fix, "dim"), (0, 0, 0, 2), expand=False))


def _short_health(one: ScheduleHealth) -> object:
    """The streak says that it is well, or fails; anything else has a word of its own."""
    from rich.text import Text

    from kit.cli._fires import HEALTH_STYLES
    from kit.health import Health

    is_streak = one.health in {Health.OK, Health.FAILING}
    return Text(str(one.streak) if is_streak else one.health.value, HEALTH_STYLES[one.health])


def _last(one: ScheduleHealth, now: datetime) -> str:
    return "" if one.last is None else f"{one.last.status} {ago(one.last.ended_at or one.last.created_at, now)}"


def show(name: _Name, *, as_json: _AsJson = False) -> None:
    """Show one schedule: what it says, how it does, its next instants and its last fires."""
    from kit import firing, health
    from kit.cli._fires import event_json, health_json, local_and_utc, schedule_json
    from kit.project import open_project
    from kit.schedules import Schedules
    from kit.triggers import iter_due, note

    project = open_project(Path.cwd())
    source = Schedules(project)
    schedule = source.find(name)
    now = _clock.now()
    one = health.look_at(project, schedule, now)
    coming = () if one.next_at is None else tuple(islice(iter_due(schedule.trigger, now), 3))
    events = firing.history(project, schedule.name, limit=10)
    if as_json:
        shown = {"file": source.file(schedule.name), "definition": schedule_json(schedule)} | health_json(one)
        dates = [instant.isoformat() for instant in coming]
        print_json(shown | {"next": dates, "history": [event_json(event) for event in events]})
        return
    _show(source.file(schedule.name), schedule, one)
    if coming:
        _title("next")
        for instant in coming:
            said = note(schedule.trigger, instant)
            console().print(f"  {local_and_utc(instant)}{f'  {said}' if said else ''}", soft_wrap=True)
    if events:
        from kit.cli._history import print_history

        _title("last")
        print_history(events, now, names=False)


def _show(file: str, schedule: Schedule, one: ScheduleHealth) -> None:
    from rich.text import Text

    from kit.cli._fires import HEALTH_STYLES
    from kit.schedule import masked

    heading = Text.assemble((schedule.name, "bold"), "  ", (one.health.value, HEALTH_STYLES[one.health]))
    heading.append(f"  {one.streak}" if one.streak.count else "")
    console().print(heading)
    key_values({"  why": one.why, "  fix": one.fix})
    _title("definition")
    key_values({f"  {key}": value for key, value in _definition(file, masked(schedule)).items()})


def _definition(file: str, schedule: Schedule) -> dict[str, object]:
    from kit.cli._fires import trigger_words

    retry, catch_up, alert = schedule.retry, schedule.catch_up, schedule.alert
    pauses = f", {format_duration(retry.delay)} apart at first, then {retry.factor:g} times as long each"
    return {
        "file": file,
        "trigger": trigger_words(schedule.trigger),
        "runs": shlex.join(schedule.command),
        "repro": ", ".join(schedule.repro),
        "attempts": f"{retry.attempts}{pauses if retry.attempts > 1 else ''}",
        "timeout": None if schedule.timeout is None else format_duration(schedule.timeout),
        "overlap": schedule.overlap.value,
        "catch up": f"{catch_up.mode}, {format_duration(catch_up.window)} back",
        "slots": ", ".join(f"{number} of {pool}" for pool, number in schedule.slots.items()),
        "priority": schedule.priority or None,
        "alert": f"{', '.join(alert.to)} on {', '.join(alert.when)}" if alert.to else None,
    }


def pause(
    name: _Name, *, why: Annotated[str | None, typer.Option(help="A sentence for whoever finds it paused.")] = None
) -> None:
    """Begin nothing of a schedule until it is resumed; what runs goes on."""
    from kit import firing
    from kit.project import open_project
    from kit.schedules import Schedules

    project = open_project(Path.cwd())
    schedule = Schedules(project).find(name)
    firing.pause(project, schedule, _clock.now(), why=why)
    console().print(f"{schedule.name} is paused: what is due meanwhile is skipped, what runs goes on", soft_wrap=True)
    next_steps(["kit", "schedule", "resume", schedule.name])


def resume(name: _Name) -> None:
    """Go on with a paused schedule; what was due meanwhile stays skipped."""
    from kit import firing, health
    from kit.cli._fires import local_and_utc
    from kit.project import open_project
    from kit.schedules import Schedules

    project = open_project(Path.cwd())
    schedule = Schedules(project).find(name)
    now = _clock.now()
    firing.resume(project, schedule, now)
    coming = health.look_at(project, schedule, now).next_at
    console().print(
        f"{schedule.name} goes on" + ("" if coming is None else f"; next: {local_and_utc(coming)}"), soft_wrap=True
    )


def run(name: _Name) -> None:
    """Have a schedule run now, by the scheduler and as its file says, whatever its trigger."""
    from kit import firing, serving
    from kit.cli._fires import local_and_utc
    from kit.fires import FireOrigin
    from kit.project import open_project
    from kit.schedules import Schedules

    project = open_project(Path.cwd())
    schedule = Schedules(project).find(name)
    now = _clock.now()
    instant = now.replace(microsecond=0)
    there = serving.running(project, now)
    claimed = firing.claim(project, schedule, [instant], now, origin=FireOrigin.REQUEST)
    if claimed.known:
        fire = claimed.known[0]
        console().print(f"{schedule.name} has its fire of {local_and_utc(instant)}: {fire.status}, run {fire.run_id}")
        return
    console().print(f"asked for {schedule.name} at {local_and_utc(instant)}: run {claimed.fires[0].run_id}")
    _say_who(there, 1, ["kit", "run", "--schedule", schedule.name, "--at", instant.isoformat()])


def _say_who(there: Sequence[SchedulerRecord], number: int, by_hand: Sequence[str] | None = None) -> None:
    """Who is going to start what was asked for: so many fires, or one that can also be run by hand."""
    them, they_wait = ("it", "it waits") if number == 1 else ("them", "they wait")
    if there:
        who = f"pid {there[0].process.pid} on {there[0].host}"
        console().print(f"the scheduler ({who}) starts {them} in turn", soft_wrap=True)
        return
    console().print(f"no scheduler is running, so {they_wait}", style="yellow")
    next_steps(["kit", "scheduler"], *([] if by_hand is None else [by_hand]))


def backfill(
    name: _Name,
    *,
    start: Annotated[
        str, typer.Option("--from", metavar="INSTANT", help="From here on: 2026-01-01, 2026-01-01T02:00.")
    ],
    end: Annotated[
        str, typer.Option("--to", metavar="INSTANT", help="Up to here; this instant itself is not included.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be asked for.")] = False,
) -> None:
    """Run a schedule for instants of the past at which it did not run. Those that ran stay as they are."""
    from kit import firing, serving
    from kit.cli._fires import local_and_utc
    from kit.cli._instants import parse_instant
    from kit.project import open_project
    from kit.schedules import Schedules

    project = open_project(Path.cwd())
    schedule = Schedules(project).find(name)
    first, last = parse_instant(start, schedule), parse_instant(end, schedule)
    if first >= last:
        raise UserError("--from is not before --to", where="command line", fix="Give an earlier one to --from.")
    now = _clock.now()
    if dry_run:
        instants, known = firing.due_for_backfill(project, schedule, first, last, now)
    else:
        there = serving.running(project, now)
        claimed = firing.backfill(project, schedule, first, last, now)
        instants, known = tuple(fire.scheduled_at for fire in claimed.fires), claimed.known
    what = "would ask for" if dry_run else "asked for"
    console().print(f"{what} {_fires(len(instants))} of {schedule.name}" + (":" if instants else ""), soft_wrap=True)
    _print_some(local_and_utc(instant) for instant in instants)
    if known:
        console().print(f"{_fires(len(known))} ran, or {'is' if len(known) == 1 else 'are'} under way:")
        _print_some(f"{local_and_utc(fire.scheduled_at)}  {fire.status}  {fire.run_id or ''}" for fire in known)
    if instants and not dry_run:
        _say_who(there, len(instants))


def _fires(number: int) -> str:
    return f"{number} {'fire' if number == 1 else 'fires'}"


def _print_some(lines: Iterable[str]) -> None:
    """All of them on a pipe; as many as one wants to read on a terminal."""
    found = list(lines)
    shown = found[:_SHOWN] if console().is_terminal else found
    for line in shown:
        console().print(f"  {line}", soft_wrap=True)
    if len(shown) < len(found):
        console().print(f"  ... and {len(found) - len(shown)} more")


def history(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this schedule. Default: of all.")] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.")] = 20,
    as_json: _AsJson = False,
) -> None:
    """Show what became of every instant at which something was due, the latest first."""
    from kit import firing
    from kit.cli._fires import event_json
    from kit.cli._history import print_history
    from kit.project import open_project

    project = open_project(Path.cwd())
    events = firing.history(project, None if name is None else _known(project, name), limit=limit)
    if as_json:
        print_json([event_json(event) for event in events])
    elif events:
        print_history(events, _clock.now(), names=name is None)
    else:
        console().print("nothing was due yet")


def _known(project: Project, name: str) -> str:
    """The name, if there is such a schedule, or was one."""
    from kit.schedules import Schedules

    if name not in project.store.fires.states():
        return Schedules(project).load().find(name).name
    return name


def _title(title: str) -> None:
    console().print()
    console().print(title, style="bold")
