"""`kit add`: what was not chosen at first, and starting points."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kit.cli._arguments import AsJson
from kit.errors import UserError

__all__ = ["add", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("add")(add)


def add(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A layer: contracts, docker, docs, github, gitlab, gpu or notebooks; "
            "or experiment, model or schedule, with a NAME.",
        ),
    ],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What the new one is called.")] = None,
    *,
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="EXPERIMENT",
            help="The experiment to begin from, or to run. Default: that of `kit run`.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Add a layer of the template, on a branch; or an experiment, a model or a schedule, with its test.

    A layer is merged into what you have made of the project: leaves with 1 if there are conflicts.
    """
    from kit.starting_points import KINDS

    if what in KINDS:
        if name is None:
            raise UserError(f"the {what} has no name", where="command line", fix=f"Give it one: `kit add {what} NAME`.")
        return _starting_point(what, name, like, as_json=as_json)
    if name is not None or like is not None:
        from kit._near import did_you_mean, nearest

        fix = did_you_mean(nearest(what, KINDS)) or f"Only {', '.join(KINDS)} have."
        raise UserError(f"{what!r} has no name to be given", where="command line", fix=fix)
    from kit.cli._update import show
    from kit.paths import find_project
    from kit.scaffold.layers import add_layer

    return show(add_layer(find_project(Path.cwd()).root, what), as_json=as_json)


def _starting_point(kind: str, name: str, like: str | None, *, as_json: bool) -> int:
    from rich.text import Text

    from kit.cli.render import console, print_json
    from kit.project import open_project
    from kit.starting_points import add as write

    made = write(open_project(Path.cwd()), kind, name, experiment=like)
    if as_json:
        print_json({"files": made.files, "next": made.next})
        return 0
    console().print(Text(f"Wrote {' and '.join(made.files)}. Next:"), soft_wrap=True)
    for step in made.next:
        console().print(Text(f"  {' '.join(step)}", "cyan"), soft_wrap=True)
    return 0
