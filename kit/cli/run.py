"""`kit run`: run an experiment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kit import _clock
from kit.cli._arguments import tags
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
from kit.forkserver._client import OFF
from kit.states import OnError, RunStatus

if TYPE_CHECKING:
    from kit import runs
    from kit.executors.base import Handle
    from kit.models import RunRecord, RunSpec
    from kit.paths import RunPaths
    from kit.project import Project
    from kit.snapshot import CodeVersion


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
    on_error: Annotated[
        OnError | None, typer.Option(help="What a failed trial means for the others of a sweep. Default: continue.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many trials a sweep has at most.")] = None,
    time_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="After this, as 10m, no other trial of a sweep starts.")
    ] = None,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="What makes a trial of a sweep the best.")] = None,
    maximize: Annotated[
        bool | None, typer.Option("--maximize/--minimize", help="Whether more of it is better, or less.")
    ] = None,
    slot: Annotated[
        list[str] | None, typer.Option("--slot", metavar="NAME[=N]", help="Slots that each trial of a sweep takes.")
    ] = None,
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
        str | None,
        typer.Option(metavar="RUN", help="Go on with this run, or `last`, from its last checkpoint; with -m, a sweep."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Keep a flame graph of what the task does; needs py-spy.")
    ] = False,
    pdb: Annotated[bool, typer.Option("--pdb", help="Open the debugger where it crashes, should it do so.")] = False,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="EXECUTOR", help="Where it runs: local, slurm, ray, or of [tool.kit.executors]."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show what a run elsewhere prints until it ends; leaving changes nothing.")
    ] = False,
    cold: Annotated[bool, typer.Option("--cold", help="Start new interpreters instead of forking one.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say why an interpreter is started, should it be.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; all else goes to stderr.")] = False,
) -> int:
    """Run an experiment: now, with -m once for every combination of a sweep, or as a schedule says."""
    from kit import runs
    from kit.cli import _sweep
    from kit.forkserver._child import is_forked
    from kit.models import Limits
    from kit.project import open_project

    project = open_project(Path.cwd())
    if cold:
        os.environ[OFF] = "off"  # for this process and those that it starts
    if verbose and is_forked():
        console(stderr=True).print(f"forked from process {os.getppid()}")
    of_sweep = _sweep.Asked(jobs, on_error, trials, time_budget, metric, maximize, slot or ())
    given: dict[str, object] = {"--resume": None if multirun else resume, "--schedule": schedule, "--cron": cron}
    given |= {"-m": multirun or None, "--dry-run": dry_run or None, "--profile": profile or None}
    given |= {"--on": None if resume is not None else on}
    _refuse_together(given, {"--at": (at, "--schedule"), "--tz": (tz, "--cron")})
    if pdb:
        _check_terminal(given)
    if not multirun:
        _sweep.refuse_without_m(of_sweep)
    if resume is not None:
        fix = "It goes on as it was begun; leave it out, or start another run."
        _refuse_ignored("--resume", fix, overrides=overrides, name=name, tag=tag, note=note, timeout=timeout)
        _refuse_ignored("--resume", fix, **{"dry-run": dry_run or None, "profile": profile or None})
        _refuse_ignored("--resume", fix, on=on if multirun else None)
        go_on = partial(_sweep.resume, asked=of_sweep) if multirun else partial(_resume, on=on, follow=follow)
        return go_on(project, resume, as_json=as_json)
    if schedule is not None:
        fix = "Write it into the schedule's file, or leave it out."
        _refuse_ignored("--schedule", fix, overrides=overrides, name=name, tag=tag, note=note, timeout=timeout)
        from kit.cli import scheduled

        return scheduled.run_fire(project, schedule, at, as_json=as_json)
    if cron is not None:
        fix = "Leave it out, or write a schedule's file: conf/schedule/NAME.yaml."
        _refuse_ignored("--cron", fix, name=name, tag=tag, note=note, timeout=timeout, json=as_json or None)
        from kit.cli import scheduled

        return scheduled.run_cron(project, overrides or (), cron, tz or "UTC")
    request = runs.Request(
        overrides=tuple(overrides or ()),
        name=name,
        tags=tags(tag or ()),
        note=note,
        limits=Limits(timeout=timeout),
        profile=profile,
        executor=on,
    )
    if multirun:
        return _sweep.sweep(project, request, of_sweep, dry_run=dry_run, as_json=as_json)
    if dry_run:
        return _dry_run(project, request, as_json=as_json)
    return _run(project, request, as_json=as_json, pdb=pdb, follow=follow)


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


def _run(project: Project, request: runs.Request, *, as_json: bool, pdb: bool, follow: bool) -> int:
    from kit import runs
    from kit.cli._watch import watch

    spec = runs.plan(project, request, progress=True)
    if spec.executor is not None:
        return _run_elsewhere(project, spec, as_json=as_json, follow=follow)
    handle = runs.start(project, spec, interactive=True, pdb=pdb)
    _mention(spec.snapshot.code)
    paths = project.paths.run(spec.run_id)
    watch(handle, spec.name, paths, output=sys.stderr if as_json else sys.stdout, lends=pdb)
    runs.expect_accepted(project, spec.run_id)
    return _finish(project, runs.ended(project, spec.run_id), spec, as_json=as_json)


def _run_elsewhere(project: Project, spec: RunSpec, *, as_json: bool, follow: bool) -> int:
    """Hand it to an engine, which has it from then on: whatever becomes of this command changes nothing."""
    from kit import runs

    handle = runs.start(project, spec)
    _mention(spec.snapshot.code)
    return _leave(project, handle, spec, as_json=as_json, follow=follow)


def _leave(project: Project, handle: Handle, spec: RunSpec, *, as_json: bool, follow: bool) -> int:
    """Say who has it, or show it until it ends."""
    from kit import runs

    record, name = project.store.get(spec.run_id), runs.short(project, spec.run_id)
    if not follow:
        if as_json:
            print_json(record_json(record))
        else:
            console().print(f"run {spec.run_id} is with {record.executor}, as job {record.job}")
            next_steps(["kit", "logs", "--follow", name], ["kit", "cancel", name])
        return ExitCode.OK
    output = sys.stderr if as_json else sys.stdout
    try:
        for piece in runs.logs(project, spec.run_id, follow=True):
            output.buffer.write(piece)
            output.buffer.flush()
        handle.wait()
    except KeyboardInterrupt:
        told = f"run {spec.run_id} goes on: `kit logs --follow {name}` shows it, `kit cancel {name}` stops it"
        console(stderr=True).print(told, soft_wrap=True)
        return ExitCode.CANCELLED
    runs.expect_accepted(project, spec.run_id)
    return _finish(project, runs.ended(project, spec.run_id), spec, as_json=as_json)


def _resume(project: Project, name: str, *, on: str | None, as_json: bool, follow: bool) -> int:
    from kit import runs
    from kit.cli._watch import LogTail, watch
    from kit.resume import resubmit, resume
    from kit.settings import LOCAL

    def tell(text: str) -> None:
        console(stderr=True).print(f"note: {text}", soft_wrap=True)

    record = runs.find(project, name)
    if (executor := on or record.executor or LOCAL) != LOCAL:
        handle, spec = resubmit(project, record, executor, tell=tell)
        return _leave(project, handle, spec, as_json=as_json, follow=follow)
    paths = project.paths.run(record.run_id)
    log = LogTail(paths.log)
    log.skip()
    begun: list[RunSpec] = []

    def show(handle: Handle, spec: RunSpec) -> None:
        begun.append(spec)
        watch(handle, spec.name, paths, output=sys.stderr if as_json else sys.stdout, log=log)

    ended = resume(project, record, watch=show, tell=tell)
    return _finish(project, ended, begun[0], as_json=as_json)


def _finish(project: Project, record: RunRecord, spec: RunSpec, *, as_json: bool) -> int:
    if as_json:
        print_json(record_json(record))
    else:
        _show_result(project, record, spec)
    return ExitCode.RUN if record.exit_code is None else record.exit_code


def _show_result(project: Project, record: RunRecord, spec: RunSpec) -> None:
    from kit import checkpoints, runs

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
    from kit.profiling import FLAMEGRAPH

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
    from kit import config, runs
    from kit.redact import mask_config

    composed = runs.compose(project, request)
    values = config.flatten(mask_config(composed.config, composed.secrets))
    if as_json:
        print_json({key: {"value": value, "origin": composed.origins.get(key)} for key, value in values.items()})
    else:
        rows = [(key, value, composed.origins.get(key, "")) for key, value in values.items()]
        table(["key", "value", "from"], rows)
    return ExitCode.OK
