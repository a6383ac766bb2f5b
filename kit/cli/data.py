"""`kit data`: the data of the project, its versions and its contracts."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit import _clock
from kit.cli._arguments import AsJson
from kit.cli.render import ago, console, next_steps, print_json, table
from kit.errors import ExitCode

if TYPE_CHECKING:
    from kit.contracts import Verdict
    from kit.datasets import Added, Contents, Standing, Usage, Version
    from kit.project import Project

__all__ = ["register"]

_SHOWN = 6
"""Runs, or columns, before the rest is counted."""
_DIGITS = 8

OutputPath = Annotated[str, typer.Argument(metavar="PATH", help="A file or folder that DVC keeps.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    family = typer.Typer(
        help="Data: what there is, how it came about, what changed, and whether it keeps its contracts.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (status, add, diff, log, check, infer):
        family.command(command.__name__)(command)
    app.add_typer(family, name="data")


def status(
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the remote what it has.")] = False,
    as_json: AsJson = False,
) -> None:
    """What data there is, who uses it, and what is to be done.

    Each output with its version, size and rows: whether it changed, is missing, is not pushed or is stale.
    """
    from kit import datasets
    from kit.project import open_project

    found = datasets.status(open_project(Path.cwd()), remote=not offline)
    if as_json:
        outputs = [_standing_json(each) for each in found.outputs]
        print_json({"well": all(each.is_well for each in found.outputs), "outputs": outputs, "notes": found.notes})
        return
    if not found.outputs:
        console().print("DVC keeps no data here; `kit data add PATH` has it keep some")
        return
    rows = [
        [
            each.version.path,
            (each.version.used or "")[:_DIGITS],
            ", ".join(_words(each)),
            *_amounts(each.contents),
            _used_by(each.usage),
        ]
        for each in found.outputs
    ]
    table(["output", "version", "state", "size", "rows", "used by"], rows, right=[3, 4], whole=[0, 1])
    for each in found.outputs:
        for reason in each.stale:
            console().print(f"{each.version.path} is stale: {reason}", soft_wrap=True)
    notes = [
        *found.notes,
        *(f"{each.version.path}: {each.contents.note}" for each in found.outputs if each.contents.note),
    ]
    for note in notes:
        console(stderr=True).print(f"note: {note}", soft_wrap=True)
    if steps := _steps(found.outputs):
        next_steps(*steps)


def _words(standing: Standing) -> list[str]:
    """How it stands, in as few words as there is to say."""
    words = {"matches": "as recorded", "unrecorded": "not recorded" if standing.version.found else "not made"}
    said = [words.get(standing.version.state, standing.version.state)]
    if standing.cached is False:
        said.append("not in the cache")
    if standing.pushed is False:
        said.append("not pushed")
    if standing.stale:
        said.append("stale")
    return said


def _amounts(found: Contents) -> tuple[str, str]:
    from kit._disk_usage import amount

    return "" if found.size is None else amount(found.size), "" if found.rows is None else f"{found.rows:,}"


def _used_by(usage: Usage) -> str:
    from kit.datasets import LOOKED_AT

    runs = len(usage.runs)
    parts = [f"{runs:,}{'+' if runs >= LOOKED_AT else ''} run{'s' if runs > 1 else ''}"] if runs else []
    return ", ".join([*parts, *usage.schedules, *(f"stage {stage}" for stage in usage.stages)])


def _steps(outputs: tuple[Standing, ...]) -> list[list[str]]:
    """What mends it, as few commands as there are kinds of faults."""
    by_hand = [each.version.path for each in outputs if each.version.state == "modified" and each.version.stage is None]
    made = sorted({each.version.stage for each in outputs if each.version.stage and _is_to_make(each)})
    missing = [each.version.path for each in outputs if each.version.state == "missing"]
    steps = [
        ["kit", "data", "add", *by_hand] if by_hand else [],
        ["dvc", "repro", *made] if made else [],
        ["dvc", "pull", *missing] if missing else [],
        ["dvc", "push"] if any(each.pushed is False for each in outputs) else [],
    ]
    return [step for step in steps if step]


def _is_to_make(standing: Standing) -> bool:
    return bool(standing.stale) or standing.version.state in {"modified", "unrecorded"}


def _standing_json(each: Standing) -> dict[str, Any]:
    version = each.version
    return {
        "path": version.path,
        "version": version.used,
        "recorded": version.md5,
        "state": version.state,
        "source": version.source,
        "stage": version.stage,
        **_contents_json(each.contents),
        "cached": each.cached,
        "pushed": each.pushed,
        "stale": list(each.stale),
        "runs": [run.run_id for run in each.usage.runs],
        "schedules": list(each.usage.schedules),
        "stages": list(each.usage.stages),
    }


def _contents_json(found: Contents) -> dict[str, Any]:
    return {
        "size": found.size,
        "files": found.files,
        "rows": found.rows,
        "columns": dict(found.columns),
        "note": found.note,
    }


def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Have DVC keep files and folders, and say what is new."""
    from kit import datasets
    from kit.project import open_project

    project = open_project(Path.cwd())
    found = datasets.add(project, paths, progress=not as_json and sys.stderr.isatty())
    if as_json:
        print_json([_added_json(each) for each in found])
        return
    for each in found:
        console().print(_added(each), soft_wrap=True)
    files = sorted({name for each in found if not each.is_same for name in _for_git(project, each)})
    if files:
        next_steps(["git", "add", *files])


def _added(each: Added) -> str:
    size, _ = _amounts(each.contents)
    rows = None if each.contents.rows is None else _count(each.contents.rows, "row")
    if each.is_same:
        return f"{each.version.path}  {each.version.label}  the same as before"
    change = ""
    if each.old is not None and each.old.rows is not None and each.contents.rows is not None:
        change = f" ({each.contents.rows - each.old.rows:+,})"
    files = None if each.contents.files is None else _count(each.contents.files, "file")
    parts = [size, files, f"{rows}{change}" if rows else None, *each.schema[:_SHOWN]]
    was = "" if each.before is None or each.before.md5 is None else f"{each.before.md5[:_DIGITS]} → "
    return f"{each.version.path}  {was}{each.version.label}  {', '.join(part for part in parts if part)}"


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'s' if number != 1 else ''}"


def _for_git(project: Project, each: Added) -> list[str]:
    """What git has to know of now, as one types it here."""
    beside = Path(each.version.source).parent / ".gitignore"
    names = [each.version.source, *([beside.as_posix()] if (project.root / beside).exists() else [])]
    return [os.path.relpath(project.root / name) for name in names]


def _added_json(each: Added) -> dict[str, Any]:
    return {
        "path": each.version.path,
        "version": each.version.md5,
        "before": None if each.before is None else each.before.md5,
        "source": each.version.source,
        **_contents_json(each.contents),
        "schema_changes": list(each.schema),
    }


def diff(
    old: Annotated[str | None, typer.Argument(metavar="A", help="A run or a git revision; HEAD by default.")] = None,
    new: Annotated[str | None, typer.Argument(metavar="B", help="Another; the working tree by default.")] = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="Shorten nothing; a pipe always gets all of it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the data of commits, runs or the working tree.

    Files, rows, columns and types of every output that differs. By default: what changed since the last commit.
    """
    from kit import datasets
    from kit.cli._diff_text import print_data
    from kit.cli.diff import data_json
    from kit.project import open_project

    found = datasets.compare(open_project(Path.cwd()), old, new)
    if as_json:
        changes = [
            {
                "path": change.path,
                "old": None if change.old is None else change.old.used,
                "new": None if change.new is None else change.new.used,
                **data_json(change),
            }
            for change in found.changes
        ]
        print_json({"old": found.old, "new": found.new, "changes": changes})
        return
    console().print(f"old  {found.old}\nnew  {found.new}", soft_wrap=True)
    print_data(found.changes, full=full)


def log(
    path: OutputPath,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Every version of an output, and the runs that used it."""
    from kit import datasets
    from kit.project import open_project

    project = open_project(Path.cwd())
    found = datasets.history(project, _inside(project, path), limit=limit)
    if as_json:
        print_json([_version_json(each) for each in found])
        return
    now = _clock.now()
    rows = [
        [
            (each.data.used or "")[:_DIGITS],
            (each.commit or "")[:_DIGITS],
            "" if each.at is None else ago(each.at, now),
            *_amounts(each.contents),
            "" if not each.more_rows else f"{each.more_rows:+,}",
            _run_names(each),
            each.subject,
        ]
        for each in found
    ]
    headers = ["version", "commit", "when", "size", "rows", "change", "runs", "subject"]
    table(headers, rows, right=[3, 4, 5], whole=[0, 1])
    for each in found:
        if each.schema:
            more = f" and {len(each.schema) - _SHOWN} more" if len(each.schema) > _SHOWN else ""
            said = ", ".join(each.schema[:_SHOWN])
            console().print(f"{(each.data.used or '')[:_DIGITS]} columns: {said}{more}", soft_wrap=True)
    for note in dict.fromkeys(each.contents.note for each in found if each.contents.note):
        console(stderr=True).print(f"note: {note}", soft_wrap=True)


def _inside(project: Project, path: str) -> str:
    """The path from the project, of one that is typed here."""
    return Path(os.path.relpath(Path(path).absolute(), project.root)).as_posix()


def _run_names(version: Version) -> str:
    names = [run.run_id[:4] for run in version.runs[:2]]
    left = len(version.runs) - len(names)
    return " ".join(names) + (f" and {left:,} more" if left else "")


def _version_json(each: Version) -> dict[str, Any]:
    return {
        "version": each.data.used,
        "commit": each.commit,
        "at": None if each.at is None else each.at.isoformat(),
        "subject": each.subject,
        **_contents_json(each.contents),
        "more_rows": each.more_rows,
        "schema_changes": list(each.schema),
        "runs": [run.run_id for run in each.runs],
    }


def check(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A file of conf/data; all by default.")] = None,
    *,
    again: Annotated[bool, typer.Option("--again", help="Also what is known to hold.")] = False,
    as_json: AsJson = False,
) -> int:
    """Hold data against its contracts. Leaves with 4 if one is broken.

    The contracts are those that the files of conf/data name. What is known to hold is not looked at again.
    """
    from kit import contracts, datasets
    from kit.project import open_project

    found = datasets.check(open_project(Path.cwd()), name, again=again)
    broken = any(not verdict.holds for _, verdict in found)
    if as_json:
        print_json([{"config": option, **contracts.verdict_json(verdict)} for option, verdict in found])
    elif not found:
        console().print("no config of data names a contract; `kit data infer PATH` writes a first one")
    for option, verdict in found if not as_json else ():
        _print_verdict(option, verdict)
    return ExitCode.SERVICE if broken else ExitCode.OK


def _print_verdict(option: str, verdict: Verdict) -> None:
    from rich.text import Text

    from kit.contracts import told

    word = ("holds", "green") if verdict.holds else ("broken", "bold red")
    known = ", known from before" if verdict.remembered else ""
    what = f"  {verdict.contract.path}  {verdict.contract.schema}  {_count(verdict.rows, 'row')}{known}"
    console().print(Text.assemble(word, "  ", (option, "bold"), what), soft_wrap=True)
    for line in told(verdict.findings):
        console().print(f"  {line}", soft_wrap=True)


def infer(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A table, or a folder of tables.")],
    *,
    name: Annotated[str | None, typer.Option("--name", help="What the schema is called.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new Python file.")] = None,
) -> None:
    """Write a first contract from the data itself.

    Types, what may be missing, ranges and categories; on standard output, if no file is named.
    """
    from kit import datasets
    from kit.project import open_project

    project = open_project(Path.cwd())
    called = name or _constant(path)
    text = datasets.write_first(project, _inside(project, path), name=called, target=output)
    if output is None:
        sys.stdout.write(text)
        return
    console().print(f"written: {output}", soft_wrap=True)
    module = _module(project, output)
    console().print(f"read and mend it, then name it in conf/data: `contract: {module}:{called}`", soft_wrap=True)


def _constant(path: str) -> str:
    name = re.sub(r"\W+", "_", Path(path).stem).strip("_").upper()
    return name if name.isidentifier() else f"DATA_{name}".rstrip("_")


def _module(project: Project, file: Path) -> str:
    """The name to import it by, if it lies where a project's modules do."""
    place = Path(os.path.abspath(file))  # noqa: PTH100 - through links as they are named, and without `..`
    for top in (project.root / "src", project.root):
        if place.is_relative_to(top):
            return ".".join(place.relative_to(top).with_suffix("").parts)
    return file.stem
