"""Go on with a run that was stopped: the same run, from its last whole checkpoint.

Whoever is killed here at any moment leaves a run that has ended, or that the next command finds and settles, and that
can be resumed once more.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import filelock

from kit import _clock, checkpoints, data, planning, recovery, runs, vcs, venvs, worktrees
from kit._files import write_atomic
from kit._process import is_alive, this_process
from kit._variables import variables
from kit.checkpoints import Checkpoint
from kit.errors import HostError, KitError, UserError
from kit.executors._token import take, taken_by
from kit.executors.base import Handle
from kit.executors.local import LocalExecutor
from kit.models import Request, RunRecord, RunSpec, masked, to_json
from kit.outcomes import NEVER_STARTED
from kit.planning import launch_of, writing
from kit.project import Project
from kit.recorded import as_recorded, holds_secret
from kit.redact import MASK
from kit.settings import executor_settings
from kit.states import IllegalTransition, RunStatus, check_resumption
from kit.trackers.spool import mend

__all__ = ["resubmit", "resume"]

_PATIENCE = 30.0
"""Seconds that telling the tracker of how the run ended may still take."""


def resume(
    project: Project,
    record: RunRecord,
    *,
    watch: runs.Watch,
    tell: Callable[[str], None],
    interactive: bool = True,
) -> RunRecord:
    """Go on with a run from its last whole checkpoint: with its config, seed, code and data, in its own folder.

    If the project's code or data are others by now, the run goes on in a copy of the project as it was.

    Args:
        watch: Called once, with the run under way.
        tell: Called with each thing that a user should know before.
        interactive: Give the run this process's standard input.

    Returns:
        The run as it has ended this time.

    Raises:
        UserError: If the run is under way or has succeeded, left no checkpoint, had a secret on its command line, or
            its snapshot is not there any more.
        ServiceError: If data of the run can neither be found nor pulled.
        HostError: If the disk refuses, or the run cannot be started here.
    """
    spec, checkpoint = _resumable(project, record)
    tell(f"run {record.run_id} goes on from its checkpoint of step {checkpoint.step}")
    with _place(project, spec, tell) as place:
        environment, notes = venvs.choose(place, spec.snapshot.environment, here=True)
        for note in notes:
            tell(note)
        with variables(planning.schedule_environment(spec.origin)):
            worktree = None if place.worktree is None else str(place.worktree)
            config = _with_secrets(place, spec)
            again = replace(spec, config=config, project_root=str(project.root), worktree=worktree)
            handle = _start(project, again, python=environment.executable, interactive=interactive)
        watch(handle, again)
    return runs.ended(project, record.run_id)


def resubmit(
    project: Project, record: RunRecord, executor: str, *, tell: Callable[[str], None]
) -> tuple[Handle, RunSpec]:
    """Have an engine go on with a run, as `resume` does here; it has the run when this returns.

    Args:
        executor: Its name in `[tool.kit.executors]`.
        tell: Called with each thing that a user should know before.

    Returns:
        The run under way, and what it is made from.

    Raises:
        UserError: As by `resume`; or if there is no such executor, or it gets nothing of what the run left.
        ServiceError: As by `resume`.
        HostError: If the disk refuses, or the engine does; the run has ended once more.
    """
    settings = executor_settings(project.settings, executor)
    if settings is not None and settings.delivery == "upload":
        fix = f"Go on with it here: `kit run --resume {record.run_id} --on local`."
        raise UserError(f"{executor} has no folder of the project, where the run's checkpoints are", fix=fix)
    spec, checkpoint = _resumable(project, record)
    tell(f"run {record.run_id} goes on from its checkpoint of step {checkpoint.step}, on {executor}")
    with _place(project, spec, tell) if holds_secret(spec.config) else contextlib.nullcontext(project) as place:
        config = _with_secrets(place, spec)
    again = replace(spec, config=config, project_root=str(project.root), worktree=None, executor=executor)
    engine, run = runs.executor_of(project, executor), project.paths.run(spec.run_id)
    _claim(project, spec.run_id)
    with _or_given_up(project, spec):
        # Copies are counted over the whole life of a run; which of them are of this time it is told.
        token = project.store.get(spec.run_id).token
        launch = replace(launch_of(again, resumed=runs.resumed(project, spec.run_id) + 1), token=token)
        with writing():
            write_atomic(run.launch, to_json(launch))
            write_atomic(run.spec, to_json(again), mode=0o600)
        project.store.hand_over(spec.run_id, executor, at=_clock.now(), starter=this_process())
        return engine.submit(launch), again


def _resumable(project: Project, record: RunRecord) -> tuple[RunSpec, Checkpoint]:
    run_id = record.run_id
    _refuse_status(record)
    spec, checkpoint = project.store.spec(run_id), checkpoints.latest(project.paths.run(run_id))
    if spec is None:
        raise UserError(f"run {run_id} was never planned: there is nothing to go on with", fix="Start one: `kit run`.")
    command = shlex.join(["kit", "run", *spec.overrides])
    if checkpoint is None:
        raise UserError(
            f"run {run_id} left no checkpoint to go on from",
            fix=f"Start anew: `{command}`. A task makes checkpoints with `run.checkpoint`.",
        )
    if any(MASK in override for override in spec.overrides):
        raise UserError(
            f"run {run_id} was given a secret on its command line, which is not kept",
            fix=f"Start anew: `{command}`. One from the environment, `${{oc.env:NAME}}`, can be had again.",
        )
    if record.origin.kind == "schedule" and record.origin.scheduled_at is not None:
        fire = project.store.fires.fire((record.origin.parent or "", record.origin.scheduled_at))
        if fire is not None and not fire.status.is_terminal:
            raise UserError(
                f"run {run_id} belongs to schedule {fire.schedule!r}, which is not done with it",
                fix=f"See what it will do: `kit schedule show {fire.schedule}`.",
            )
    return spec, checkpoint


def _refuse_status(record: RunRecord) -> None:
    run_id = record.run_id
    if record.status is RunStatus.SUCCEEDED:
        fix = f"Start another with `kit run`, or repeat it with `kit reproduce {run_id}`."
        raise UserError(f"run {run_id} has succeeded: nothing of it is left to do", fix=fix)
    if not record.status.is_terminal:
        fix = f"Follow it with `kit logs --follow {run_id}`, or stop it with `kit cancel {run_id}` first."
        raise UserError(f"run {run_id} is {record.status}", fix=fix)
    if record.supervisor is not None and is_alive(record.supervisor):
        raise UserError(f"run {run_id} is just ending", fix="Wait a moment, then ask again.")


@contextlib.contextmanager
def _place(project: Project, spec: RunSpec, tell: Callable[[str], None]) -> Iterator[Project]:
    """Where the run goes on: here, if all is as it was, else in a copy of how it was."""
    changed = "the copy that it was made from is gone" if spec.worktree is not None else _change(project, spec)
    if changed is None:
        yield project
        return
    tell(f"{changed}; it goes on with what it began with, from its snapshot")
    with worktrees.restored(project, spec, planning.new_id()) as copy:
        yield copy


def _change(project: Project, spec: RunSpec) -> str | None:
    if not vcs.is_unchanged(project.root, spec.snapshot.code, max_bytes=project.settings.snapshot_max_bytes):
        return "the project's code is not what it was when the run began"
    present = {version.path: version.used for version in data.versions(project.root, cache=project.paths.data_hashes)}
    others = [version.path for version in spec.snapshot.data if present.get(version.path) != version.used]
    return f"{others[0]} is not what it was when the run began" if others else None


def _with_secrets(place: Project, spec: RunSpec) -> dict[str, Any]:
    """The config as it was recorded, with the secrets that it has when it is composed now."""
    if not holds_secret(spec.config):
        return spec.config  # whether or not it can still be composed
    job = spec.origin.index if spec.origin.kind == "sweep" else None
    composed = planning.compose(place, Request(overrides=spec.overrides, job=job), run_id=spec.run_id)
    return as_recorded(spec.config, composed)[0]


def _start(project: Project, spec: RunSpec, *, python: str, interactive: bool) -> Handle:
    run = project.paths.run(spec.run_id)
    launch = replace(launch_of(spec, resumed=runs.resumed(project, spec.run_id) + 1), python=python)
    _claim(project, spec.run_id)
    with _or_given_up(project, spec):
        with writing():
            write_atomic(run.launch, to_json(launch))
            write_atomic(run.spec, to_json(spec), mode=0o600)
        return LocalExecutor(project.paths, project.store).submit(launch, interactive=interactive)


def _claim(project: Project, run_id: str) -> None:
    """Have the run begin once more, for one supervisor that is to come. Of two who ask, one is refused."""
    run = project.paths.run(run_id)
    try:
        # Who tells the tracker how it ended has said so, or finds that it has not.
        with filelock.FileLock(run.settling, timeout=_PATIENCE), writing():
            check_resumption(project.store.get(run_id).status)
            run.result.unlink(missing_ok=True)
            run.taken.unlink(missing_ok=True)
            run.cancelled.unlink(missing_ok=True)
            mend(run)
            project.store.resume(run_id, at=_clock.now(), starter=this_process())
    except filelock.Timeout as error:
        fix = "Check that MLflow answers, then ask again."
        raise HostError(f"how run {run_id} ended is still being told to MLflow", fix=fix) from error
    except IllegalTransition as error:
        _refuse_status(project.store.get(run_id))
        raise UserError(str(error), fix=f"See it with `kit show {run_id}`.") from error


@contextlib.contextmanager
def _or_given_up(project: Project, spec: RunSpec) -> Iterator[None]:
    """Whatever stops what is done here, Ctrl-C too, the run has ended once more."""
    run = project.paths.run(spec.run_id)
    try:
        yield
    except BaseException:
        with contextlib.suppress(KitError, OSError):
            write_atomic(run.spec, to_json(masked(spec)))
            if taken_by(run) is None and take(run):
                recovery.lose(project, project.store.get(spec.run_id), NEVER_STARTED)
        raise
