"""`kit init`: adopt an existing repository."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.render import console, key_values, next_steps, print_json
from kit.errors import ExitCode, UserError

if TYPE_CHECKING:
    from kit.adopt import Change, Entry, Proposal

__all__ = ["init", "register"]

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("init")(init)


def init(
    *,
    entry: Annotated[
        str | None,
        typer.Option(metavar="FILE[:FUNCTION]", help="Where the work begins. Default: the likeliest file."),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Only show what would be written.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write it and start the first run, unasked.")] = False,
    no_run: Annotated[bool, typer.Option("--no-run", help="Do not start a first run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found and proposed as JSON; no run.")] = False,
) -> int:
    """Make an existing repository a project: its options become a config, its work a task.

    The code is read, never imported or changed. What would be written is shown as a diff first.
    """
    from kit.adopt import apply, propose

    root = Path.cwd()
    if diff and yes:
        raise UserError("--diff and --yes exclude each other", where="command line", fix="Use one of them.")
    proposal = propose(root, entry)
    if as_json:
        if yes:
            apply(root, proposal)
        print_json(_as_json(proposal, written=yes))
        return ExitCode.OK
    _show(proposal)
    if diff:
        return ExitCode.OK
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            hint = "nothing was written: `kit init --yes` writes it, `kit init --diff` only shows it"
            console(stderr=True).print(hint, soft_wrap=True)
            return ExitCode.USER
        if not typer.confirm(f"Write {_files(len(proposal.changes))}?", default=False):
            console().print("Nothing was written.")
            return ExitCode.OK
    apply(root, proposal)
    console().print(f"Wrote {_files(len(proposal.changes))}.", soft_wrap=True)
    return _first_run(proposal, asks=not yes, wanted=not no_run)


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _show(proposal: Proposal) -> None:
    key_values(_found(proposal))
    console().print()
    for change in proposal.changes:
        _show_diff(change)
    for note in proposal.notes:
        console().print(f"note: {note}", soft_wrap=not console().is_terminal)
    if proposal.notes:
        console().print()


def _found(proposal: Proposal) -> dict[str, object]:
    found, entry = proposal.survey, proposal.entry
    package = found.layout if found.package is None else f"{found.package} ({found.layout})"
    manager = None if found.manager is None else f"{found.manager} ({found.manager_file})"
    return {
        "package": package,
        "entry point": f"{entry.label} ({_options(entry)})",
        "task": proposal.task,
        "called by": _called(entry),
        "config": "" if entry.conf is None else f"{entry.conf.folder}/{entry.conf.name}.yaml, used as it is",
        "dependencies": manager or "nothing says which",
        "data": ", ".join(found.data),
        "tests": found.tests or "none",
        "DVC": "in use" if found.dvc else "",
        "MLflow": ", ".join(found.mlflow[:3]) + (", ..." if len(found.mlflow) > 3 else ""),
    }


def _options(entry: Entry) -> str:
    if entry.conf is not None:
        return entry.kind
    count = len(entry.options)
    return f"{entry.kind}, {count} option{'' if count == 1 else 's'}"


def _called(entry: Entry) -> str:
    ways = {
        "function": "its own function, with the options as arguments",
        "namespace": "its own function, with an argparse.Namespace",
        "config": "its own function, with the config",
        "arguments": "its own function, with a command line",
        "argv": "its own function, with sys.argv",
        "script": "running the file, with sys.argv",
    }
    return ways[entry.call] + (f": {entry.why}" if entry.why else "")


def _show_diff(change: Change) -> None:
    from rich.text import Text

    out = console()
    for line in change.diff().splitlines():
        style = "bold" if line.startswith(("---", "+++")) else _STYLES.get(line[:1], "")
        out.print(Text(line, style=style), soft_wrap=True)
    out.print()


def _first_run(proposal: Proposal, *, asks: bool, wanted: bool) -> int:
    command = [*proposal.run, *(f"{name}=..." for name in proposal.missing)]
    if proposal.missing:
        said = f"A first run needs {', '.join(proposal.missing)}, which has no default."
        console().print(said, soft_wrap=True)
        wanted = False
    elif wanted and asks:
        wanted = typer.confirm(f"Start a first run now, `{shlex.join(command)}`? It may take long.", default=False)
    if not wanted:
        next_steps(command, ["git", "status"])
        return ExitCode.OK
    from kit.cli.run import run

    console().print(f"$ {shlex.join(command)}", soft_wrap=True)
    return run(command[2:])


def _as_json(proposal: Proposal, *, written: bool) -> dict[str, Any]:
    found, entry = proposal.survey, proposal.entry
    return {
        "package": found.package,
        "layout": found.layout,
        "dependencies": found.manager,
        "data": found.data,
        "tests": found.tests,
        "dvc": found.dvc,
        "mlflow": found.mlflow,
        "entry": {
            "path": entry.path,
            "function": entry.function,
            "kind": entry.kind,
            "call": entry.call,
            "why": entry.why or None,
            "options": [option.name for option in entry.options],
            "unread": entry.unread,
        },
        "task": proposal.task,
        "files": {change.path: change.diff() for change in proposal.changes},
        "notes": proposal.notes,
        "run": [*proposal.run],
        "missing": proposal.missing,
        "written": written,
    }
