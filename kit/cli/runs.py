"""`kit runs`, `kit show`, `kit logs`, `kit cancel`: runs that were started."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kit import _clock
from kit.cli._arguments import AsJson, RunName, tags
from kit.cli.render import (
    STYLES,
    ago,
    console,
    duration,
    heading,
    key_values,
    number,
    print_json,
    record_json,
    table,
)
from kit.errors import UserError
from kit.states import RunStatus

if TYPE_CHECKING:
    from kit.models import RunRecord, RunSpec
    from kit.stores.base import Comparison, Operator

__all__ = ["cancel", "listing", "logs", "register", "show"]

_WHERE = re.compile(r"\s*([\w./: -]+?)\s*(<=|>=|!=|=|<|>)\s*(.+?)\s*")
_SHOWN_METRICS = 4


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("runs")(listing)
    app.command("show")(show)
    app.command("logs")(logs)
    app.command("cancel")(cancel)


def listing(  # noqa: PLR0913 - typer wants one parameter for each option
    *,
    experiment: Annotated[str | None, typer.Option("--experiment", "-e", help="Of this experiment.")] = None,
    status: Annotated[list[RunStatus] | None, typer.Option(help="In this state; repeatable.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="With this tag; repeatable.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="'KEY>VALUE'", help="By metric or parameter: 'auc>0.7', model=hgb.")
    ] = None,
    sweep: Annotated[str | None, typer.Option(help="Of this sweep.")] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Highest value first. Default: newest first.")
    ] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="Lowest or oldest first.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs."""
    from kit import runs
    from kit.project import open_project
    from kit.stores.base import RunQuery

    project = open_project(Path.cwd())
    query = RunQuery(
        experiment=experiment,
        statuses=frozenset(status or ()),
        tags=tags(tag or ()),
        parent=sweep,
        where=tuple(_comparison(text) for text in where or ()),
        sort=sort,
        descending=not ascending,
        limit=limit,
    )
    found = runs.listing(project, query)
    if as_json:
        print_json([record_json(record) for record in found])
    elif found:
        _list(found, sort, overrides=sweep is not None)
    else:
        console().print("no runs" if query == RunQuery(limit=limit) else "no runs fit")


def _list(found: list[RunRecord], sort: str | None, *, overrides: bool) -> None:
    from rich.text import Text

    now = _clock.now()
    rows = [
        [
            record.run_id,
            record.name,
            Text(record.status, STYLES[record.status]),
            ago(record.created_at, now),
            duration(record.duration(now)),
        ]
        for record in found
    ]
    headers = ["run", "name", "status", "when", "took"]
    if overrides:  # what the runs of a sweep differ in
        headers[1] = "overrides"
        for row, record in zip(rows, found, strict=True):
            row[1] = " ".join(record.overrides)
    logged = dict.fromkeys(key for record in found for key in record.metrics)
    wanted = sorted(logged, key=lambda key: key != sort)[:_SHOWN_METRICS]
    taken = sum(max(len(str(cell)) for cell in column) + 2 for column in zip(headers, *rows, strict=True))
    shown = _that_fit(wanted, console().width - taken)
    for row, record in zip(rows, found, strict=True):
        row.extend(number(record.metrics.get(key)) for key in shown)
    table([*headers, *shown], rows, right=range(4, 5 + len(shown)), whole=range(5))


def _that_fit(keys: list[str], width: int) -> list[str]:
    """As many of the metrics as have room, but the first in any case: it is the one that was asked for."""
    shown: list[str] = []
    for key in keys:
        width -= max(len(key), 9) + 2
        if width < 0 and shown:
            break
        shown.append(key)
    return shown


def show(name: RunName, *, as_json: AsJson = False) -> None:
    """Show one run: how it ended, what it was made from, its metrics and its config."""
    from kit import runs
    from kit.models import to_json
    from kit.project import open_project

    project = open_project(Path.cwd())
    record = runs.find(project, name)
    spec = project.store.spec(record.run_id)
    if as_json:
        print_json(record_json(record) | {"spec": None if spec is None else json.loads(to_json(spec))})
        return
    heading(record)
    times = runs.resumed(project, record.run_id)
    _section("run", _about(record, spec) | {"resumed": f"{times} time{'s' if times > 1 else ''}" if times else None})
    if spec is not None:
        _section("made from", _made_from(spec))
    _section("metrics", {key: number(value) for key, value in record.metrics.items()})
    _section("parameters", dict(record.params))
    key_values({"\nfolder": project.paths.run(record.run_id).root.relative_to(project.root)})


def _section(title: str, pairs: dict[str, object] | dict[str, str]) -> None:
    if any(value not in (None, "") for value in pairs.values()):
        _title(title)
        key_values({f"  {name}": value for name, value in pairs.items()})


def _title(title: str, rest: str = "", *, above: str = "\n") -> None:
    from rich.text import Text

    console().print(Text.assemble(above, (title, "bold"), rest))


def _about(record: RunRecord, spec: RunSpec | None) -> dict[str, object]:
    origin = record.origin
    return {
        "reason": record.reason,
        "exit code": record.exit_code,
        "experiment": record.experiment,
        "task": record.task,
        "created": f"{record.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "took": duration(record.duration(_clock.now())),
        "command": None if spec is None else shlex.join(spec.snapshot.command),
        "repeats" if origin.kind == "reproduce" else "part of": origin.parent,
        "due at": None if origin.scheduled_at is None else f"{origin.scheduled_at:%Y-%m-%d %H:%M:%S} UTC",
        "executor": None if record.executor is None else f"{record.executor}, job {record.job or 'not known yet'}",
        "attempt": origin.index if origin.kind == "schedule" else None,
        "tags": ", ".join(f"{key}={value}" for key, value in record.tags.items()),
        "note": record.note,
        "mlflow": record.mlflow_run_id,
        "tracked": None if record.tracked or not record.status.is_terminal else "no, MLflow does not know all of it",
    }


def _made_from(spec: RunSpec) -> dict[str, object]:
    code, environment, host = spec.snapshot.code, spec.snapshot.environment, spec.snapshot.host
    data = {f"data {data.path}": f"{data.used or 'nothing there'} {data.state}" for data in spec.snapshot.data}
    lock = f", {environment.lock_file} {environment.lock_sha256[:10]}" if environment.lock_sha256 else ", no lock file"
    return {
        "code": code.commit + (f" (uncommitted work on {code.base[:10]})" if code.dirty else ""),
        "branch": code.branch or "detached HEAD",
        "left out": ", ".join(f"{omitted.path} ({omitted.reason})" for omitted in code.omitted),
        **data,
        "environment": f"Python {environment.python}, {len(environment.packages)} packages{lock}",
        "host": f"{host.name}, {host.cpu}, {host.cores} cores, {host.memory / 2**30:.0f} GiB",
        "gpus": "; ".join(host.gpus),
        "seed": spec.snapshot.seed,
    }


def logs(
    name: RunName, *, follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the run ends.")] = False
) -> None:
    """Show what a run printed."""
    from kit import runs
    from kit.project import open_project

    project = open_project(Path.cwd())
    record = runs.find(project, name)
    if follow and record.status is RunStatus.QUEUED:
        console(stderr=True).print(f"note: run {record.run_id} waits to be started; `kit status` may say what for")
    for piece in runs.logs(project, record.run_id, follow=follow):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def cancel(name: RunName) -> None:
    """Stop a run: politely, then after its grace by force."""
    from kit import runs
    from kit.project import open_project

    project = open_project(Path.cwd())
    record = runs.find(project, name)
    asked = runs.cancel(project, record.run_id)
    done = f"run {record.run_id} is cancelled" if asked.status.is_terminal else f"asked run {record.run_id} to stop"
    console().print(f"{done}; see `kit show {runs.short(project, record.run_id)}`")


def _comparison(text: str) -> Comparison:
    from kit.stores.base import Comparison

    match = _WHERE.fullmatch(text)
    if match is None:
        raise UserError(f"--where {text!r} is no comparison", fix="Write it like 'auc>0.7' or 'model.depth=5'.")
    operator: Operator = match[2]  # type: ignore[assignment]
    comparison = Comparison(match[1], operator, match[3])
    if comparison.number is None and operator not in {"=", "!="}:
        raise UserError(f"--where {text!r}: {match[3]!r} is no number", fix="Write it like 'auc>0.7'.")
    return comparison
