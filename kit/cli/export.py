"""`kit schedule export`: schedules as the objects of systems that have a clock of their own."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kit import _clock
from kit.cli.render import console
from kit.errors import ExitCode, KitError, UserError

if TYPE_CHECKING:
    from kit.exports import Export, Place
    from kit.exports.base import Exporter
    from kit.project import Project
    from kit.schedule import Schedule
    from kit.schedules import Loaded

__all__ = ["export", "register"]


def register(family: typer.Typer) -> None:
    """Add the command to those of `kit schedule`."""
    family.command("export")(export)


def export(  # noqa: PLR0913 - typer wants one parameter for each option
    system: Annotated[
        Literal["airflow", "kubernetes", "systemd", "cron", "github", "gitlab"],
        typer.Argument(metavar="SYSTEM", help="airflow, kubernetes, systemd, cron, github or gitlab."),
    ],
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="This schedule. Default: all that are enabled.")
    ] = None,
    *,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="PATH", help="A file, or a folder and `/`. Default: standard output."),
    ] = None,
    workdir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the project lies there. Default: as here; in a pod /NAME.")
    ] = None,
    command: Annotated[
        str | None, typer.Option("--command", metavar="COMMAND", help="How kit is called there, as `uv run kit`.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="The container image: for kubernetes, gitlab.")] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="For cron: the zone of its machine's clock. Default: this one's.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also what that system would run at another time when clocks are changed.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that was changed by hand.")] = False,
) -> int:
    """Write schedules as objects of another system, which then calls `kit run --schedule NAME --at INSTANT`.

    What that system does differently is said, and stands in the file. What it would do wrong is not exported.
    """
    from kit import exports
    from kit.project import open_project
    from kit.schedules import Schedules

    project = open_project(Path.cwd())
    loaded = Schedules(project).load()
    to = exports.exporter(system)
    place = _place(project, to, workdir=workdir, command=command, image=image, timezone=timezone)
    found = exports.export(system, loaded.schedules, _chosen(loaded, name), place, anyway=anyway)
    if name is not None and found.refused:
        raise found.refused[name]
    again = shlex.join(["kit", "schedule", "export", system, *([] if name is None else [name])])
    _put(found, again, output, to, force=force)
    problems = {**found.refused, **(loaded.broken if name is None else {})}
    disabled = [one.name for one in loaded.schedules.values() if not one.enabled and name is None]
    _mention(found, problems.values(), disabled)
    return ExitCode.USER if problems else ExitCode.OK


def _chosen(loaded: Loaded, name: str | None) -> list[str]:
    if name is None:
        return [one.name for one in loaded.schedules.values() if one.enabled]
    schedule: Schedule = loaded.find(name)
    if not schedule.enabled:
        raise UserError(f"schedule {name} is not enabled", fix="Take `enabled: false` out of its file.")
    return [name]


def _place(
    project: Project, to: Exporter, *, workdir: str | None, command: str | None, image: str | None, timezone: str | None
) -> Place:
    from kit import _zones
    from kit.exports import Place

    try:
        words = tuple(shlex.split(command)) if command else to.command
    except ValueError as error:
        raise UserError(f"{command!r} is no command", where="--command", fix="Close its quotes.") from error
    if to.needs_image and image is None:
        raise UserError("no container image", where="command line", fix="Name the project's: `--image IMAGE`.")
    in_pod = f"/{project.name}" if to.command == ("kit",) else str(project.root)
    return Place(
        project=project.name,
        root=workdir or in_pod,
        command=words or (sys.executable, "-P", "-m", "kit"),
        now=_clock.now(),
        image=image,
        zone=_zones.zone(timezone).key if timezone else _machine_zone(),
    )


def _machine_zone() -> str | None:
    """What this machine's clock goes by, as far as it has a name."""
    from kit import _zones

    link = os.path.realpath("/etc/localtime")
    for name in (os.environ.get("TZ", "").lstrip(":"), link.partition("/zoneinfo/")[2]):
        if name:
            try:
                return _zones.zone(name).key
            except UserError:
                continue
    return None


def _put(found: Export, again: str, output: str | None, to: Exporter, *, force: bool) -> None:
    from kit.exports.writing import stamped, write_files

    files = {name: stamped(text, again) for name, text in found.files.items()}
    if not files:
        return
    if output is None:
        _print(files)
        return
    out = console()
    place = Path(output)
    as_folder = to.is_folder or place.is_dir() or output.endswith(os.sep)
    paths = {place / name if as_folder else place: text for name, text in files.items()}
    for path, changed in write_files(paths, force=force).items():
        out.print(f"{'wrote' if changed else 'as it was:'} {path}", soft_wrap=True, highlight=False)


def _print(files: Mapping[str, str]) -> None:
    """Several one after the other, each below its name."""
    for name, text in files.items():
        sys.stdout.write((f"# {name}\n" if len(files) > 1 else "") + text + ("\n" if len(files) > 1 else ""))


def _mention(found: Export, problems: Collection[KitError], disabled: Sequence[str]) -> None:
    """What one should know, beside the output."""
    err = console(stderr=True)
    for note, names in found.notes.items():
        err.print(f"note: {', '.join(names)}: {note}", soft_wrap=True, highlight=False)
    for error in problems:
        err.print(f"error: {error}", soft_wrap=True, highlight=False, style="red")
    if disabled:
        err.print(f"note: not enabled, so left out: {', '.join(disabled)}", soft_wrap=True, highlight=False)
    if not found.files and not problems:
        err.print("note: nothing to export")
