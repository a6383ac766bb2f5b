"""`kit forkserver`: the process that runs are forked from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kit.cli.render import console, key_values, print_json, table
from kit.errors import ExitCode

__all__ = ["register"]

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_NONE = "no forkserver runs; the next `kit run` starts one"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    commands = typer.Typer(no_args_is_help=True, help="The process that runs are forked from, with all imported.")
    commands.command("status")(show)
    commands.command("stop")(stop)
    app.add_typer(commands, name="forkserver")


def show(*, as_json: _AsJson = False) -> int:
    """Show whether one runs for this project and environment, and what it has imported."""
    from kit import _clock
    from kit.cli.render import duration
    from kit.forkserver._control import status
    from kit.project import open_project

    found = status(open_project(Path.cwd()).root)
    if as_json:
        print_json(None if found is None else asdict(found) | {"since": found.since.isoformat()})
    elif found is None:
        console().print(_NONE)
    else:
        key_values(
            {
                "process": found.pid,
                "running for": duration((_clock.now() - found.since).total_seconds()),
                "modules": f"{found.modules:,} imported",
                "memory": f"{found.peak_bytes / 2**20:.0f} MiB",
                "forked": f"{found.forked} processes, of which {found.commands} commands go on",
            }
        )
        if found.skipped:
            console().print("\nnot imported before the fork:")
            table(["module", "why"], list(found.skipped.items()))
    return ExitCode.OK


def stop(*, as_json: _AsJson = False) -> int:
    """Stop it; runs that came out of it go on."""
    from kit.forkserver._control import stop as service
    from kit.project import open_project

    found = service(open_project(Path.cwd()).root)
    if as_json:
        print_json({"stopped": None if found is None else found.pid})
    else:
        console().print(_NONE if found is None else f"stopped: process {found.pid}")
    return ExitCode.OK
