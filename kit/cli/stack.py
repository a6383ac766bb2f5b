"""`kit stack`: what a team shares, on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kit.cli._arguments import AsJson
from kit.cli.render import console, key_values, print_json, table
from kit.errors import ExitCode

__all__ = ["register"]

_Dir = Annotated[Path, typer.Option("--dir", metavar="D", help="The folder of the stack.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    commands = typer.Typer(no_args_is_help=True, help="What a team shares: PostgreSQL, S3, MLflow and the scheduler.")
    commands.command("up")(up)
    commands.command("status")(show)
    commands.command("down")(down)
    app.add_typer(commands, name="stack")


def up(
    *,
    folder: _Dir,
    host: Annotated[str, typer.Option(help="What others call this machine.")] = "localhost",
    listen: Annotated[str, typer.Option(help="The address to open ports on; 0.0.0.0 for all.")] = "127.0.0.1",
    systemd: Annotated[bool, typer.Option("--systemd", help="Units of systemd, instead of Docker.")] = False,
    project: Annotated[Path | None, typer.Option(help="The project whose scheduler runs there, too.")] = None,
    as_json: AsJson = False,
) -> int:
    """Write a compose file, or units, and secrets that are not there yet; with Docker present, start it."""
    from kit.project import open_project
    from kit.stack import Stack
    from kit.stack import up as service

    root = None if project is None else open_project(project).root
    written = service(Stack(folder, host, listen, systemd, root))
    if as_json:
        print_json(
            {
                "folder": str(written.folder),
                "files": list(written.files),
                "drawn": list(written.drawn),
                "started": written.started,
                "next": list(written.next_commands),
                "variables": dict(written.client),
            }
        )
        return ExitCode.OK
    out = console()
    out.print(f"written to {written.folder}: {', '.join(written.files)}", soft_wrap=True)
    drawn = f"drawn: {', '.join(written.drawn)}" if written.drawn else "none is new"
    out.print(f"secrets in {written.folder}/.env (0600); {drawn}", soft_wrap=True)
    out.print("\nwho uses it sets")
    key_values({f"  {name}": value for name, value in written.client.items()})
    out.print("\nstarted; next:" if written.started else "\nnext:")
    for command in written.next_commands:
        out.print(f"  {command}", soft_wrap=True)
    return ExitCode.OK


def show(*, folder: _Dir, as_json: AsJson = False) -> int:
    """Say which parts can be reached from here. Leaves with 4 if one cannot."""
    from kit.stack import status

    found = status(folder)
    if as_json:
        print_json(dict(found))
    else:
        table(["part", "state"], [(name, "answers" if there else "does not answer") for name, there in found.items()])
    return ExitCode.OK if all(found.values()) else ExitCode.SERVICE


def down(*, folder: _Dir, as_json: AsJson = False) -> int:
    """Stop it; data and secrets stay."""
    from kit.stack import down as service

    stopped, commands = service(folder)
    if as_json:
        print_json({"stopped": stopped, "next": list(commands)})
    elif stopped:
        console().print("stopped; data and secrets are kept")
    else:
        for command in commands:
            console().print(f"type: {command}", soft_wrap=True)
    return ExitCode.OK
