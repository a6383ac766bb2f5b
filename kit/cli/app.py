"""The application: every command family, registered."""

from __future__ import annotations

from typing import Annotated

import typer

from kit.cli import new, run, runs, scheduled, schedules, status

__all__ = ["app"]

app = typer.Typer(
    help="Machine-learning projects whose runs can be trusted, found, explained and repeated.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kit {version('mlekit')}")
        raise typer.Exit


@app.callback()
def _kit(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options of `kit` itself."""


for family in (new, run, runs, scheduled, schedules, status):
    family.register(app)
