"""`kit debug`: open a crash, or look into a run that hangs."""

from __future__ import annotations

import json
import linecache
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from kit.cli.render import STYLES, console, heading, next_steps, print_json
from kit.errors import ExitCode, UserError
from kit.states import RunStatus

if TYPE_CHECKING:
    from kit.capsule import Capsule
    from kit.models import RunRecord
    from kit.project import Project
    from kit.stacks import ProcessStacks, Thread

__all__ = ["debug", "register"]

_HINT = "w: where, u/d: up and down, l: code, locals, p NAME, a: arguments, exceptions, h: help, q: leave"

_SHOWN_OF_OTHERS = 2
"""Calls of a thread that runs none of the project's code."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("debug")(debug)


def debug(
    name: Annotated[
        str,
        typer.Argument(metavar="RUN|PATH", help="A run's id, its beginning, `last`; or a crash.json, or its folder."),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[OVERRIDE]...", help="With --rerun: what is to be otherwise.")
    ] = None,
    *,
    print_: Annotated[bool, typer.Option("--print", help="Print the crash instead of opening it.")] = False,
    live: Annotated[bool, typer.Option("--live", help="What a run that goes on does at this moment.")] = False,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Run it again from its snapshot, and stop in pdb where it crashes.")
    ] = False,
    from_checkpoint: Annotated[
        bool, typer.Option("--from-checkpoint", help="The same, but from its last checkpoint on.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Open the crash of a run with pdb, as it was; on a pipe, print it."""
    from kit import capsule, runs
    from kit import debug as service
    from kit.project import open_project

    again = rerun or from_checkpoint
    _check_options({"--live": live, "--rerun": again, "--print": print_}, overrides, as_json=as_json)
    if _is_path(name):
        if live or again:
            option = "--live" if live else "--rerun"
            raise UserError(f"{option} is for a run, not for a file", where="command line", fix="Name the run.")
        _open(capsule.read(Path(name)), as_text=print_, as_json=as_json)
        return ExitCode.OK
    project = open_project(Path.cwd())
    record = runs.find(project, name)
    if again:
        return _again(project, record, overrides or (), from_checkpoint=from_checkpoint)
    if live:
        found = service.live(project, record)
        if as_json:
            print_json([asdict(process) for process in found])
        else:
            _show_stacks(found, project.root)
    else:
        _open(service.crash_of(project, record), as_text=print_, as_json=as_json)
    return ExitCode.OK


def _check_options(given: Mapping[str, bool], overrides: list[str] | None, *, as_json: bool) -> None:
    chosen = [option for option, is_given in given.items() if is_given]
    if len(chosen) > 1:
        fix = "Use one of them."
        raise UserError(f"{chosen[0]} and {chosen[1]} exclude each other", where="command line", fix=fix)
    if not given["--rerun"]:
        if overrides:
            raise UserError("overrides go with --rerun", where="command line", fix="Add `--rerun`, or leave them out.")
        return
    if as_json:
        raise UserError("--rerun does not take --json", where="command line", fix="Leave it out.")
    if not sys.stdin.isatty():
        fix = "Use `kit debug RUN` for what the crash left, or `kit reproduce RUN` to repeat the run."
        raise UserError("--rerun needs a terminal to be typed at, and standard input is none", fix=fix)


def _again(project: Project, record: RunRecord, overrides: Sequence[str], *, from_checkpoint: bool) -> int:
    from kit import debug as service
    from kit import runs
    from kit.cli._watch import watcher

    watch = watcher(project, lends=True)
    done = service.again(project, record, watch=watch, overrides=overrides, from_checkpoint=from_checkpoint)
    out, new = console(), done.record
    out.print()
    heading(new)
    if new.reason is not None:
        out.print(f"  {new.reason}", style=STYLES[new.status], soft_wrap=True)
    if new.status is RunStatus.SUCCEEDED:
        out.print("  this time it did not crash")
    for note in done.notes:
        out.print(f"  note: {note}", soft_wrap=True)
    old = runs.short(project, record.run_id)
    out.print()
    next_steps(["kit", "diff", old, runs.short(project, new.run_id)], ["kit", "debug", old])
    return ExitCode.RUN if new.exit_code is None else new.exit_code


def _is_path(name: str) -> bool:
    """A run's name has no slash and no ending."""
    from kit import capsule

    path = Path(name)
    if os.sep in name or path.suffix in {".json", ".txt"}:
        return True
    return any((path / place).is_file() for place in (capsule.DUMP, f"crash/{capsule.DUMP}"))


def _open(crash: Capsule, *, as_text: bool, as_json: bool) -> None:
    from kit import capsule

    if as_json:
        print_json(json.loads(msgspec.json.encode(crash)))
        return
    if as_text or not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.stdout.write(capsule.as_text(crash))
        return
    from rich.text import Text

    last = crash.raised[-1]
    out = console()
    out.print(Text.assemble((crash.name, "bold"), f"  {crash.run_id}  ", ("failed", "red"), f"  {crash.at:%F %T} UTC"))
    for note in capsule.notes_on(crash):
        out.print(f"  {note}", soft_wrap=True)
    out.print(Text.assemble("\n", (last.type, "bold red"), f": {last.message}" if last.message else ""), soft_wrap=True)
    out.print(f"{_HINT}\n", style="dim")
    capsule.post_mortem(crash)


def _show_stacks(found: list[ProcessStacks], root: Path) -> None:
    from rich.text import Text

    out = console()
    out.print("of each thread, what it does now comes first", style="dim")
    for process in found:
        command = process.command if len(process.command) <= 100 else f"{process.command[:99]}…"
        out.print(Text.assemble("\n", (f"process {process.pid}", "bold"), f"  {command}"), soft_wrap=True)
        if process.note is not None:
            out.print(f"  {process.note}", style="dim", soft_wrap=True)
        for thread in process.threads:
            _show_thread(thread, root)


def _show_thread(thread: Thread, root: Path) -> None:
    from kit.redact import mask_code

    out = console()
    state = ("computes" if thread.active else "waits") + (", holds the interpreter's lock" if thread.holds_gil else "")
    out.print(f"  {thread.name}: {state}", soft_wrap=True)
    own = [_is_own(call.file, root) for call in thread.calls]
    shown = len(own) if any(own) or thread.name == "MainThread" else _SHOWN_OF_OTHERS
    for call, mine in list(zip(thread.calls, own, strict=True))[:shown]:
        file = os.path.relpath(call.file, root) if mine else call.file
        out.print(f"    {file}:{call.line} in {call.function}", style="bold" if mine else "", soft_wrap=True)
        if mine and (code := mask_code(linecache.getline(call.file, call.line).strip())):
            out.print(f"      {code}", soft_wrap=True)
    if len(own) > shown:
        out.print(f"    … {len(own) - shown} more", style="dim")


def _is_own(file: str, root: Path) -> bool:
    return file.startswith(f"{root}{os.sep}") and "site-packages" not in file
