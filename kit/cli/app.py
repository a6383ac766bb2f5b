"""The application: every command family, registered as far as a command line needs it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

__all__ = ["FAMILIES", "app_for"]

FAMILIES = {
    "new": ("new",),
    "run": ("run",),
    "runs": ("runs", "show", "logs", "cancel"),
    "diff": ("diff",),
    "reproduce": ("reproduce",),
    "explain": ("explain", "bisect"),
    "debug": ("debug",),
    "check": ("check",),
    "scheduled": ("scheduler",),
    "schedules": ("schedule",),
    "status": ("status",),
    "gc": ("gc",),
}
"""The modules and the commands of each, in the order of the help. What one needs, no other waits for."""


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The application with the command that `arguments` begin with; with all of them if that is none."""
    app = typer.Typer(
        help="Machine-learning projects whose runs can be trusted, found, explained and repeated.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_kit)
    wanted = [family for family, commands in FAMILIES.items() if arguments and arguments[0] in commands]
    for family in wanted or FAMILIES:
        import_module(f"kit.cli.{family}").register(app)
    return app


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kit {version('mlekit')}")
        raise typer.Exit


def _kit(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options of `kit` itself."""
