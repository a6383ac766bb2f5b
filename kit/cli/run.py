"""`kit run`: run an experiment."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kit import _clock, checkpoints, config, runs, sweeps
from kit.cli._arguments import tags
from kit.cli._watch import LogTail, watch
from kit.cli.render import (
    STYLES,
    console,
    duration,
    heading,
    key_values,
    next_steps,
    number,
    print_json,
    record_json,
    table,
)
from kit.errors import ExitCode, UserError
from kit.executors.base import Handle
from kit.models import CodeVersion, Limits, RunRecord, RunSpec
from kit.paths import RunPaths
from kit.profiling import FLAMEGRAPH
from kit.project import Project, open_project
from kit.redact import mask, mask_config
from kit.states import RunStatus

__all__ = ["register", "run"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("run")(run)


def run(  # noqa: PLR0913 - typer wants one parameter for each option
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[OVERRIDE]...", help="Hydra overrides: experiment=NAME model.depth=5")
    ] = None,
    *,
    multirun: Annotated[bool, typer.Option("--multirun", "-m", help="Sweep: run every combination.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the config and where each value is from; with -m, the trials.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="What to call the run. Default: its experiment.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Tag it; repeatable.")] = None,
    note: Annotated[str | None, typer.Option(help="A sentence for whoever reads it later.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Stop it after this many seconds.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Trials of a sweep at a time.")] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="NAME", help="Run one fire of this schedule; an outside clock may do so.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="Which fire: an instant, or `due` for the last one due; once each."),
    ] = None,
    cron: Annotated[str | None, typer.Option(metavar="CRON", help="Run by this clock until stopped.")] = None,
    tz: Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="The clock's zone. Default: UTC.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this run, or `last`, from its last checkpoint.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Keep a flame graph of what the task does; needs py-spy.")
    ] = False,
    pdb: Annotated[bool, typer.Option("--pdb", help="Open the debugger where it crashes, should it do so.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; all else goes to stderr.")] = False,
) -> int:
    """Run an experiment: now, with -m once for every combination of a sweep, or as a schedule says."""
    project = open_project(Path.cwd())
    given: dict[str, object] = {"--resume": resume, "--schedule": schedule, "--cron": cron}
    given |= {"-m": multirun or None, "--dry-run": dry_run or None, "--profile": profile or None}
    _refuse_together(given, {"--at": (at, "--schedule"), "--tz": (tz, "--cron")})
    if pdb:
        _check_terminal(given)
    if resume is not None:
        fix = "It goes on as it was begun; leave it out, or start another run."
        _refuse_ignored("--resume", fix, overrides=overrides, name=name, tag=tag, note=note, timeout=timeout, jobs=jobs)
        return _resume(project, resume, as_json=as_json)
    if schedule is not None:
        fix = "Write it into the schedule's file, or leave it out."
        _refuse_ignored(
            "--schedule", fix, overrides=overrides, name=name, tag=tag, note=note, timeout=timeout, jobs=jobs
        )
        from kit.cli import scheduled

        return scheduled.run_fire(project, schedule, at, as_json=as_json)
    if cron is not None:
        fix = "Leave it out, or write a schedule's file: conf/schedule/NAME.yaml."
        _refuse_ignored("--cron", fix, name=name, tag=tag, note=note, timeout=timeout, jobs=jobs, json=as_json or None)
        from kit.cli import scheduled

        return scheduled.run_cron(project, overrides or (), cron, tz or "UTC")
    request = runs.Request(
        overrides=tuple(overrides or ()),
        name=name,
        tags=tags(tag or ()),
        note=note,
        limits=Limits(timeout=timeout),
        profile=profile,
    )
    if jobs is not None and not multirun:
        raise UserError("--jobs is for the trials of a sweep", where="command line", fix="Add `-m`, or leave it out.")
    if dry_run:
        return (_dry_sweep if multirun else _dry_run)(project, request, as_json=as_json)
    if multirun:
        return _sweep(project, request, jobs=jobs, as_json=as_json)
    return _run(project, request, as_json=as_json, pdb=pdb)


def _check_terminal(given: Mapping[str, object]) -> None:
    """Whether a debugger could be opened for what is asked."""
    for option, value in given.items():
        if value is not None:
            raise UserError(f"--pdb and {option} exclude each other", where="command line", fix="Use one of them.")
    if not sys.stdin.isatty():
        fix = "Leave out `--pdb`; `kit debug last` opens the crash later."
        raise UserError("--pdb needs a terminal to be typed at, and standard input is none", fix=fix)


def _refuse_together(given: Mapping[str, object], needs: Mapping[str, tuple[object, str]]) -> None:
    """Options that exclude each other, and options that mean nothing without another."""
    for option, (value, other) in needs.items():
        if value is not None and given[other] is None:
            raise UserError(f"{option} goes with {other}", where="command line", fix=f"Add `{other}`, or leave it out.")
    chosen = [option for option in ("--resume", "--schedule", "--cron") if given[option] is not None]
    others = [option for option, value in given.items() if value is not None and option not in chosen[:1]]
    if chosen and others:
        raise UserError(f"{chosen[0]} and {others[0]} exclude each other", where="command line", fix="Use one of them.")


def _refuse_ignored(option: str, fix: str, **values: object) -> None:
    for name, value in values.items():
        if value is not None and value != []:
            what = "overrides" if name == "overrides" else f"--{name}"
            raise UserError(f"{option} does not take {what}", where="command line", fix=fix)


def _run(project: Project, request: runs.Request, *, as_json: bool, pdb: bool) -> int:
    spec = runs.plan(project, request, progress=True)
    handle = runs.start(project, spec, interactive=True, pdb=pdb)
    _mention(spec.snapshot.code)
    paths = project.paths.run(spec.run_id)
    watch(handle, spec.name, paths, output=sys.stderr if as_json else sys.stdout, lends=pdb)
    runs.expect_accepted(project, spec.run_id)
    return _finish(project, runs.ended(project, spec.run_id), spec, as_json=as_json)


def _resume(project: Project, name: str, *, as_json: bool) -> int:
    from kit.resume import resume

    record = runs.find(project, name)
    paths = project.paths.run(record.run_id)
    log = LogTail(paths.log)
    log.skip()
    begun: list[RunSpec] = []

    def show(handle: Handle, spec: RunSpec) -> None:
        begun.append(spec)
        watch(handle, spec.name, paths, output=sys.stderr if as_json else sys.stdout, log=log)

    def tell(text: str) -> None:
        console(stderr=True).print(f"note: {text}", soft_wrap=True)

    ended = resume(project, record, watch=show, tell=tell)
    return _finish(project, ended, begun[0], as_json=as_json)


def _finish(project: Project, record: RunRecord, spec: RunSpec, *, as_json: bool) -> int:
    if as_json:
        print_json(record_json(record))
    else:
        _show_result(project, record, spec)
    return ExitCode.RUN if record.exit_code is None else record.exit_code


def _show_result(project: Project, record: RunRecord, spec: RunSpec) -> None:
    out, name = console(), runs.short(project, record.run_id)
    out.print()
    heading(record, duration(record.duration(_clock.now())))
    if record.reason is not None:
        out.print(f"  {record.reason}", style=STYLES[record.status], soft_wrap=True)
    if record.metrics:
        out.print()
        table(["metric", "value"], [(key, number(value)) for key, value in record.metrics.items()], right=[1])
    out.print()
    key_values(_made_from(spec) | _profile(project.paths.run(record.run_id)))
    out.print()
    steps = [["kit", "show", name]]
    if record.status is RunStatus.SUCCEEDED:
        steps.append(["kit", "runs"])
    else:
        crashed = project.paths.run(record.run_id).crash.is_dir()
        steps.append(["kit", "debug" if crashed else "logs", name])
        if checkpoints.latest(project.paths.run(record.run_id)) is not None:
            steps.append(["kit", "run", "--resume", name])
    next_steps(*steps)


def _made_from(spec: RunSpec) -> dict[str, object]:
    code = spec.snapshot.code
    data = [f"{version.path} {version.label}" for version in spec.snapshot.data]
    return {
        "code": code.commit[:10] + (" (with uncommitted work)" if code.dirty else ""),
        "data": ", ".join(data),
        "seed": spec.snapshot.seed,
    }


def _profile(run: RunPaths) -> dict[str, object]:
    picture = run.profile / FLAMEGRAPH
    return {"profile": os.path.relpath(picture)} if picture.exists() else {}


def _mention(code: CodeVersion) -> None:
    """What a user may want to know about the snapshot, one line each."""
    out = console(stderr=True)
    if code.branch is None:
        out.print(
            "note: HEAD is detached; the run is recorded, but commits made here belong to no branch "
            "(`git switch -c NAME` makes one)",
            soft_wrap=True,
        )
    for omitted in code.omitted:
        out.print(f"note: not in the snapshot: {omitted.path} ({omitted.reason})", soft_wrap=True)


def _dry_run(project: Project, request: runs.Request, *, as_json: bool) -> int:
    composed = runs.compose(project, request)
    values = config.flatten(mask_config(composed.config, composed.secrets))
    if as_json:
        print_json({key: {"value": value, "origin": composed.origins.get(key)} for key, value in values.items()})
    else:
        rows = [(key, value, composed.origins.get(key, "")) for key, value in values.items()]
        table(["key", "value", "from"], rows)
    return ExitCode.OK


def _dry_sweep(project: Project, request: runs.Request, *, as_json: bool) -> int:
    trials = [[mask(text) for text in overrides] for overrides in sweeps.trials(project, request)]
    if as_json:
        print_json([{"trial": index, "overrides": overrides} for index, overrides in enumerate(trials)])
    else:
        table(["trial", "overrides"], [(index, shlex.join(overrides)) for index, overrides in enumerate(trials)])
    return ExitCode.OK


def _sweep(project: Project, request: runs.Request, *, jobs: int | None, as_json: bool) -> int:
    shown = 0

    def on_end(record: RunRecord) -> None:
        nonlocal shown
        shown += 1
        values = record.reason or "  ".join(f"{key} {number(value)}" for key, value in list(record.metrics.items())[:4])
        line = f"{shown:>3}  {record.run_id}  {record.status:<9}  {' '.join(record.overrides)}  {values}"
        console(stderr=as_json).print(line, soft_wrap=True)

    swept = sweeps.sweep(project, request, jobs=jobs, on_end=on_end)
    if as_json:
        print_json({"sweep": swept.sweep_id, "runs": [record_json(record) for record in swept.records]})
        return swept.exit_code
    failed = sum(record.status is not RunStatus.SUCCEEDED for record in swept.records)
    console().print(f"\n{len(swept.records)} runs, {failed} of them not successful")
    metric = next(iter(swept.records[-1].metrics), "METRIC") if swept.records else "METRIC"
    next_steps(["kit", "runs", "--sweep", swept.sweep_id, "--sort", metric], ["kit", "show", "RUN"])
    return swept.exit_code
