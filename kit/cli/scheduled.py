"""`kit scheduler`, `kit run --schedule` and `kit run --cron`: schedules that run."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kit import _clock
from kit.cli.render import console, next_steps, number, print_json, table
from kit.errors import ExitCode, KitError, Terminated
from kit.states import FireStatus

if TYPE_CHECKING:
    from kit.executors.base import Handle
    from kit.fires import Fire
    from kit.models import RunRecord
    from kit.project import Project
    from kit.schedule import Schedule
    from kit.scheduler import Turn
    from kit.schedules import Schedules

__all__ = ["register", "run_cron", "run_fire"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("scheduler")(scheduler)


def scheduler(
    *,
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and leave: for cron.")] = False,
    install: Annotated[
        Literal["systemd"] | None, typer.Option(help="Write a user unit that keeps the scheduler running.")
    ] = None,
) -> int:
    """Run the project's schedules, until it is stopped; runs go on without it."""
    from kit import serving
    from kit.project import open_project
    from kit.scheduler import Scheduler
    from kit.schedules import Schedules

    project = open_project(Path.cwd())
    if install is not None:
        return _install(project)
    if not once:
        project = replace(project, patience=serving.PATIENCE)
    diary = _Diary()
    with contextlib.closing(Scheduler(project, Schedules(project))) as taking_turns:
        if once:
            turn = serving.once(project, taking_turns)
            if turn is None:
                console(stderr=True).print("note: a scheduler is running; it does what is due")
            else:
                diary.turn(turn)
            return ExitCode.OK
        started = f"scheduler of {project.name} started; Ctrl-C stops it, runs go on"
        serving.serve(
            project,
            taking_turns,
            on_start=lambda: diary.say(started),
            on_turn=diary.turn,
            on_error=diary.error,
            on_stop=taking_turns.close,
        )
    diary.say("scheduler stopped")
    return ExitCode.OK


def _install(project: Project) -> int:
    from kit import systemd

    installed = systemd.install(project)
    out = console()
    out.print(f"{'wrote' if installed.changed else 'as it was:'} {installed.path}", soft_wrap=True)
    out.print(f"secrets that schedules need go into {installed.environment_file}, as NAME=VALUE", soft_wrap=True)
    for command in installed.next_commands:
        out.print(f"next: {command}", soft_wrap=True, style="bold")
    return ExitCode.OK


class _Diary:
    """What the scheduler does, a line each, as it happens."""

    def __init__(self) -> None:
        self._said: str | None = None
        self._problems: dict[str, str] = {}

    def say(self, text: str, style: str = "") -> None:
        console().print(f"{_clock.now():%Y-%m-%d %H:%M:%S}Z  {text}", style=style, soft_wrap=True, highlight=False)
        sys.stdout.flush()

    def error(self, error: KitError) -> None:
        """Once, however often it is tried again."""
        if (text := str(error)) != self._said:
            self._said = text
            self.say(f"cannot go on, and tries again: {text}", "red")

    def turn(self, turn: Turn) -> None:
        from kit.cli._instants import show_instant

        self._said = None
        moves = turn.moves
        problems = {name: str(error) for name, error in turn.problems.items()}
        for name, text in problems.items():
            if self._problems.get(name) != text:
                self.say(f"{name}  does not work: {text}", "red")
        self._problems = problems
        for gap in moves.gaps:
            self.say(
                f"{gap.schedule}  {gap.status}: {gap.count} from {show_instant(gap.first)}: {gap.reason}", "yellow"
            )
        for fire in moves.fires.values():
            if fire.status.is_terminal and (fire.key in moves.ended or fire.status is not FireStatus.SUCCEEDED):
                reason = f": {fire.reason}" if fire.reason else ""
                self.say(f"{_name(fire)}  {fire.status}{reason}", _style(fire.status))
            elif fire.status is FireStatus.RETRYING:
                self.say(f"{_name(fire)}  failed; attempt {fire.attempt} at {show_instant(fire.due_at)}", "yellow")
        for fire in moves.start:
            if (error := turn.failed.get(fire.run_id or "")) is None:
                self.say(f"{_name(fire)}  started: run {fire.run_id}")
            else:
                self.say(f"{_name(fire)}  could not be started: {error}", "red")


def _name(fire: Fire) -> str:
    from kit.cli._instants import show_instant
    from kit.scheduler import ADHOC

    instant = show_instant(fire.scheduled_at)
    return instant if fire.schedule.startswith(ADHOC) else f"{fire.schedule}  {instant}"


def _style(status: FireStatus) -> str:
    return {FireStatus.SUCCEEDED: "green", FireStatus.FAILED: "red"}.get(status, "yellow")


def run_fire(project: Project, name: str, at: str | None, *, as_json: bool) -> int:
    """Run one fire of a schedule in the foreground: `kit run --schedule NAME [--at INSTANT]`."""
    from kit import firing, serving
    from kit.cli._fires import local_and_utc
    from kit.fires import FireOrigin
    from kit.schedules import Schedules

    schedules = Schedules(project)
    schedule = schedules.find(name)
    now = _clock.now()
    instant = _instant(schedule, at, now)
    serving.notice_stopped(project, now)
    claimed = firing.claim(project, schedule, [instant], now, origin=FireOrigin.REQUEST)
    if claimed.known and claimed.known[0].status.is_terminal:
        console(stderr=True).print(f"note: the fire of {local_and_utc(instant)} is over already", soft_wrap=True)
        return _report(project, claimed.known[0], as_json=as_json)
    return _drive(project, schedules, (schedule.name, instant), as_json=as_json)


def _instant(schedule: Schedule, at: str | None, now: datetime) -> datetime:
    from kit import firing
    from kit.cli._instants import parse_instant

    if at is None or at == "now":
        return now
    return firing.due_instant(schedule, now) if at == "due" else parse_instant(at, schedule)


def _drive(project: Project, schedules: Schedules, key: tuple[str, datetime], *, as_json: bool) -> int:
    from kit import foreground, runs
    from kit.cli._fires import local_and_utc
    from kit.cli._watch import LogTail, watch

    output = sys.stderr if as_json else sys.stdout
    err = console(stderr=True)
    shown: dict[str, LogTail] = {}

    def attempt(fire: Fire, handle: Handle) -> None:
        paths = project.paths.run(handle.run_id)
        shown[handle.run_id] = LogTail(paths.log)
        watch(
            handle,
            f"{fire.schedule}  {local_and_utc(fire.scheduled_at)}",
            paths,
            output=output,
            log=shown[handle.run_id],
            gives_up=True,
        )

    def other(fire: Fire) -> None:
        run_id = fire.run_id or ""
        executor = project.store.get(run_id).executor
        where = "under way already" if executor is None else f"with {executor}"
        err.print(f"note: run {run_id} is {where}; following it", soft_wrap=True)
        known = shown[run_id].size if run_id in shown else 0  # what was printed while it was planned here
        try:
            for piece in runs.logs(project, run_id, follow=True):
                output.write(piece[known:].decode(errors="replace"))
                output.flush()
                known = max(0, known - len(piece))
        except KeyboardInterrupt:
            err.print(f"note: run {run_id} goes on; `kit cancel {run_id}` stops it", soft_wrap=True)
            raise

    def waits(fire: Fire) -> None:
        what = (
            "for its turn" if fire.status is FireStatus.PENDING else f"until {local_and_utc(fire.due_at)} to try again"
        )
        err.print(f"note: the fire of {local_and_utc(fire.scheduled_at)} waits {what}", soft_wrap=True)

    try:
        fire = foreground.drive(project, schedules, key, foreground.Shown(attempt, other, waits))
    except Terminated:
        err.print("stopped by SIGTERM; the fire goes on when it is run again", soft_wrap=True)
        return ExitCode.TERMINATED  # as of a process that SIGTERM has ended: nothing is decided
    return _report(project, fire, as_json=as_json, new=True)


def _report(project: Project, fire: Fire, *, as_json: bool, new: bool = False) -> int:
    from kit.cli._fires import local_and_utc

    record = None if fire.run_id is None else project.store.get(fire.run_id)
    code = _exit_code(fire, record)
    if as_json:
        print_json(
            {
                "schedule": fire.schedule,
                "scheduled_at": fire.scheduled_at.isoformat(),
                "status": fire.status.value,
                "reason": fire.reason,
                "attempt": fire.attempt,
                "run_id": fire.run_id,
                "exit_code": code,
            }
        )
        return code
    out = console()
    tries = f", {fire.attempt} attempts" if fire.attempt > 1 else ""
    name = f"{fire.schedule}  {local_and_utc(fire.scheduled_at)}"
    out.print(f"\n{name}  {fire.status}{tries}", style=_style(fire.status), soft_wrap=True)
    if fire.reason:
        out.print(f"  {fire.reason}", soft_wrap=True)
    if record is not None:
        if new and record.metrics:
            out.print()
            table(["metric", "value"], [(key, number(value)) for key, value in record.metrics.items()], right=[1])
            out.print()
        next_steps(["kit", "show", record.run_id], ["kit", "schedule", "history", fire.schedule])
    return code


def _exit_code(fire: Fire, record: RunRecord | None) -> int:
    """That of the last attempt, unless it has none and yet something went wrong."""
    if fire.status in {FireStatus.SUCCEEDED, FireStatus.SKIPPED}:
        return ExitCode.OK
    if record is not None and record.exit_code:
        return int(record.exit_code)
    return ExitCode.CANCELLED if fire.status is FireStatus.CANCELLED else ExitCode.RUN


def run_cron(project: Project, overrides: Sequence[str], cron: str, tz: str) -> int:
    """Run an experiment by the clock until it is stopped: `kit run --cron "0 2 * * *" --tz Europe/Berlin`."""
    from kit import firing, runs, serving
    from kit.cli._instants import show_instant
    from kit.policies import CatchUp, CatchUpMode
    from kit.schedule import Schedule
    from kit.scheduler import ADHOC, Fixed, Scheduler
    from kit.triggers import Cron, next_after

    trigger = Cron(cron, tz)
    runs.draft(project, runs.Request(overrides=tuple(overrides)))  # a mistake is known now, not at 02:00
    mark = hashlib.sha256(repr((cron, tz, tuple(overrides))).encode()).hexdigest()[:8]
    schedule = Schedule(ADHOC + mark, trigger, overrides=tuple(overrides), catch_up=CatchUp(CatchUpMode.NONE))
    now = _clock.now()
    firing.begin(project, schedule, now)
    diary = _Diary()
    first = next_after(trigger, now)
    begun = f"runs at {cron} {tz}; next {show_instant(first) if first else 'never'}; Ctrl-C stops it"
    with contextlib.closing(Scheduler(project, Fixed(schedule), only=schedule.name, attached=True)) as taking_turns:
        serving.serve(
            project,
            taking_turns,
            scope=schedule.name,
            on_start=lambda: diary.say(begun),
            on_turn=diary.turn,
            on_error=diary.error,
        )
        if taking_turns.handles:
            diary.say("stopping what runs; Ctrl-C once more kills it")
        diary.turn(taking_turns.end_attached())
    return ExitCode.OK
