"""`kit update`: the newer template, merged into the project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kit.cli._arguments import AsJson
from kit.errors import UserError

__all__ = ["register", "update"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("update")(update)


def update(
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say if there is anything: leaves with 1 then.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Only show what would change.")] = False,
    to: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="A version of the template. Default: its newest."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Answer a question anew; repeatable.")
    ] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing; take the defaults.")] = False,
    as_json: AsJson = False,
) -> int:
    """Bring the newer template into the project, as a commit on a branch.

    Files that you changed are merged, those that you removed stay away. Leaves with 1 if there are conflicts.
    """
    from kit.cli._asking import asker
    from kit.cli._update import show
    from kit.cli.render import console
    from kit.paths import find_project
    from kit.scaffold.answers import parse_pairs
    from kit.scaffold.update import update as bring

    if check and diff:
        raise UserError("`--check` and `--diff` are two questions", fix="Leave one of them out.")
    only = "check" if check else "diff" if diff else None
    asks = sys.stdin.isatty() and not (no_input or as_json or only)
    done = bring(
        find_project(Path.cwd()).root,
        given=parse_pairs(set_ or []),
        to=to,
        only=only,
        ask=asker(console()) if asks else None,
    )
    if diff and not as_json:
        typer.echo(done.patch, nl=False)
        return 0
    if check and not as_json and done.behind:
        console().print(f"Behind: the project has {done.before[:12]}, the template is at {done.after[:12]}.")
        return 1
    code = show(done, as_json=as_json)
    return int(done.behind) if check else code
