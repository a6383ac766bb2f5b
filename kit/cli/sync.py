"""`kit sync`: send the tracker what it does not have yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.render import console, print_json, table
from kit.errors import ExitCode

if TYPE_CHECKING:
    from kit.tracking import Sent

__all__ = ["register", "sync"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("sync")(sync)


def sync(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Send the tracker what it lacks of ended runs and sweeps. Leaves with 4 if something is left."""
    from kit import recovery, sweeps, tracking
    from kit.project import open_project

    project = open_project(Path.cwd())
    recovery.recover(project)
    told = [*tracking.sync(project), *sweeps.tell_rest(project)]
    left = [sent for sent in told if sent.why is not None]
    if as_json:
        print_json({"sent": [_json(sent) for sent in told if sent.why is None], "left": list(map(_json, left))})
    elif told:
        _show(told, len(left))
    else:
        console().print("nothing to send: the tracker has everything")
    return ExitCode.SERVICE if left else ExitCode.OK


def _show(told: list[Sent], left: int) -> None:
    rows = [(sent.id, sent.name, "sent" if sent.why is None else "left", _why(sent)) for sent in told]
    table(["run", "name", "state", "why"], rows, whole=[0])
    if console().is_terminal:
        console().print(f"\n{len(told) - left} sent, {left} left")


def _why(sent: Sent) -> str:
    return "" if sent.why is None else " ".join(str(sent.why).split())


def _json(sent: Sent) -> dict[str, Any]:
    told: dict[str, Any] = {"id": sent.id, "name": sent.name}
    if sent.why is not None:
        told |= {"why": sent.why.what, "where": sent.why.where, "fix": sent.why.fix}
    return told
