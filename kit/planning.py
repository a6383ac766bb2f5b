"""From what a user asks for to all that a run needs: config, data and snapshot."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from kit._files import write_atomic
from kit.errors import KitError, UserError, from_os_error
from kit.models import Launch, Origin, Request, RunSpec, from_json, masked, to_json
from kit.project import Project
from kit.redact import mask
from kit.resources import Resources, parse_resources
from kit.settings import executor_settings
from kit.snapshot import Environment, Snapshot
from kit.states import RunStatus, check_transition

if TYPE_CHECKING:
    from kit import config

__all__ = [
    "Draft",
    "compose",
    "draft",
    "launch_of",
    "new_id",
    "plan",
    "plan_claimed",
    "schedule_environment",
    "write_plan",
    "writing",
]

_ID_BYTES = 5
_LARGEST_SEED = 2**63 - 1
"""What a database's integer holds."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A run as far as its config goes: checked, and nothing done for it yet."""

    run_id: str
    request: Request
    composed: config.Composed
    seed: int
    note: str | None
    timeout: float | None
    executor: str | None = None
    resources: Resources = field(default_factory=Resources)


def new_id() -> str:
    """An id for a run, that none has."""
    return secrets.token_hex(_ID_BYTES)


def draft(project: Project, request: Request, *, run_id: str | None = None) -> Draft:
    """Compose the config and check what is in it for kit.

    Args:
        run_id: That of a run that was claimed; None takes a new one.

    Raises:
        UserError: If the overrides or the config cannot be used.
    """
    run_id = run_id or new_id()
    composed = compose(project, request, run_id=run_id)
    executor, resources = _executor(project, composed.config, request)
    return Draft(
        run_id=run_id,
        request=request,
        composed=composed,
        seed=_seed(project, composed.config),
        note=_note(composed.config, request),
        timeout=_timeout(composed.config, request),
        executor=executor,
        resources=resources,
    )


def plan(
    project: Project,
    wanted: Request | Draft,
    *,
    run_id: str | None = None,
    progress: bool = False,
    environment: Environment | None = None,
) -> RunSpec:
    """Turn a request into a run spec: compose the config, make or fetch the data, take the snapshot.

    Args:
        run_id: That of a run that was claimed; None takes a new one.
        progress: Whether what DVC and its stages print goes to stderr.
        environment: What the run is to run in; None for the environment of this process.

    Raises:
        UserError: If the overrides, the config or the repository cannot be used.
        ServiceError: If data is missing and cannot be had.
        HostError: If the project's folder cannot be written.
    """
    from kit import snapshots, vcs

    drafted = draft(project, wanted, run_id=run_id) if isinstance(wanted, Request) else wanted
    request = drafted.request
    with writing():
        _ = project.store  # one that cannot be used says so before anything is left behind
    tracking_uri = project.tracking_uri
    vcs.check(project.source)
    versions = snapshots.prepare_data(project, repro=request.repro, progress=progress)
    with _or_no_snapshot(project, drafted.run_id):
        with writing():  # who is killed from here on leaves a folder that tells whose the snapshot is
            project.paths.run(drafted.run_id).root.mkdir(mode=0o700, exist_ok=True)
        snapshot = snapshots.take(
            project,
            drafted.run_id,
            seed=drafted.seed,
            versions=versions,
            command=_command(request.origin),
            packages=environment,
        )
        return _spec(project, drafted, snapshot, tracking_uri)


def _spec(project: Project, drafted: Draft, snapshot: Snapshot, tracking_uri: str) -> RunSpec:
    request, composed = drafted.request, drafted.composed
    return RunSpec(
        run_id=drafted.run_id,
        name=request.name or str(composed.config.get("name") or composed.experiment),
        project=project.name,
        experiment=composed.experiment,
        task=composed.task,
        overrides=composed.overrides,
        config=composed.config,
        project_root=str(project.root),
        tracking_uri=tracking_uri,
        limits=replace(request.limits, timeout=drafted.timeout),
        origin=request.origin,
        tags=_tags(composed.config, request.tags),
        note=drafted.note,
        secrets=tuple(sorted(composed.secrets)),
        snapshot=snapshot,
        worktree=None if project.worktree is None else str(project.worktree),
        profile=request.profile,
        logging=composed.logging,
        executor=drafted.executor,
        resources=drafted.resources,
    )


def plan_claimed(project: Project, run_id: str) -> RunSpec:
    """Plan a run that `launch` started, from inside of it, and note the plan in its folder and in the store.

    Raises:
        UserError: If the overrides, the config or the repository cannot be used.
        ServiceError: If a stage fails, or data is missing and cannot be had.
        HostError: If the project's folder cannot be written.
        IllegalTransition: If the run was given up meanwhile.
    """
    from kit import attempts, config

    run = project.paths.run(run_id)
    request = from_json(run.request.read_bytes(), Request)
    run.request.unlink()  # it may hold secrets; from here on only this process has them
    check_transition(project.store.get(run_id).status, RunStatus.RUNNING)  # before any data is touched
    os.environ.update(schedule_environment(request.origin))
    spec = plan(project, request, run_id=run_id, progress=True)
    with _or_no_snapshot(project, run_id):
        if request.resumes:
            with writing():
                spec = attempts.carry_on(project, spec)
        public = masked(spec)
        write_plan(project, spec)
        project.store.planned(public, config.flatten(public.config))
    return spec


def write_plan(project: Project, spec: RunSpec, *, pdb: bool = False) -> Launch:
    """Put the plan into the run's folder, the spec with its secrets: only the run's own process can mask them."""
    from kit import config

    run, launch = project.paths.run(spec.run_id), launch_of(spec, pdb=pdb)
    with writing():
        run.artifacts.mkdir()
        write_atomic(run.config, config.to_yaml(masked(spec).config))
        run.launch.write_bytes(to_json(launch))
        write_atomic(run.spec, to_json(spec), mode=0o600)
    return launch


def launch_of(spec: RunSpec, *, resumed: int = 0, pdb: bool = False) -> Launch:
    """All that a supervisor has to know of a run that is planned.

    Args:
        resumed: How many times it was resumed.
        pdb: Whether someone waits at a terminal to look into it, should it crash.
    """
    return Launch(
        spec.run_id,
        spec.project_root,
        spec.limits,
        worktree=spec.worktree,
        python=spec.snapshot.environment.executable,
        resumed=resumed,
        pdb=pdb,
    )


def compose(project: Project, request: Request, *, run_id: str = "dry-run") -> config.Composed:
    """The configuration that a run would have.

    Raises:
        UserError: If the overrides or the config cannot be used.
    """
    from kit import config

    settings = project.settings
    with config.composed_ahead(config.Source(project.source, settings.config_dir, settings.config_name)):
        return config.compose(
            project.source,
            settings.config_dir,
            settings.config_name,
            request.overrides,
            run_dir=project.paths.run(run_id).root,
            job_num=request.job,
            sweep_dir=_sweep_dir(project, request.origin),
        )


def _sweep_dir(project: Project, origin: Origin) -> Path | None:
    return project.paths.sweep(origin.parent) if origin.kind == "sweep" and origin.parent else None


def _seed(project: Project, values: Mapping[str, object]) -> int:
    seed = values.get("seed", project.settings.seed)
    if seed is None:
        return secrets.randbelow(2**32)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _LARGEST_SEED:
        raise UserError(
            f"seed: expected a whole number from 0 to {_LARGEST_SEED}, got {seed!r}", fix="Use `seed=7`, say."
        )
    return seed


def _note(values: Mapping[str, object], request: Request) -> str | None:
    note = values.get("note") if request.note is None else request.note
    if note is not None and not isinstance(note, str):
        raise UserError(f"note: expected a text, got {note!r}", fix='Quote it: `note="..."`.')
    return note


def _timeout(values: Mapping[str, object], request: Request) -> float | None:
    timeout = values.get("timeout") if request.limits.timeout is None else request.limits.timeout
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise UserError(
            f"timeout: expected a positive number of seconds, got {timeout!r}", fix="Use `timeout=60`, say."
        )
    return float(timeout)


def _executor(project: Project, values: Mapping[str, object], request: Request) -> tuple[str | None, Resources]:
    """Where the run is executed, and what it needs there. What is made from a copy of the project stays with it."""
    name = values.get("executor") if request.executor is None else request.executor
    here = Resources(ranks=_ranks(values))
    if not isinstance(name, str) or project.worktree is not None:  # a task may have such a key of its own
        return None, here
    if (settings := executor_settings(project.settings, name)) is None:
        return None, here
    return name, parse_resources(values.get("resources"), where="resources").over(settings.resources)


def _ranks(values: Mapping[str, object]) -> int | None:
    """All that matters here of what a run needs: on this machine nobody else is asked for the rest."""
    resources = values.get("resources")
    if not isinstance(resources, Mapping) or "ranks" not in resources:  # a task may have such a key of its own
        return None
    return parse_resources(resources, where="resources").ranks


def _tags(values: Mapping[str, object], asked: Mapping[str, str]) -> dict[str, str]:
    configured = values.get("tags")
    own = {str(key): str(value) for key, value in configured.items()} if isinstance(configured, Mapping) else {}
    return {key: mask(value) for key, value in (own | dict(asked)).items()}


def schedule_environment(origin: Origin) -> dict[str, str]:
    """What stages, configs and the task find in their environment."""
    if origin.kind != "schedule" or origin.parent is None or origin.scheduled_at is None:
        return {}
    return {
        "KIT_SCHEDULE": origin.parent,
        "KIT_SCHEDULED_AT": origin.scheduled_at.astimezone(UTC).isoformat(),
        "KIT_ATTEMPT": str(origin.index),
    }


def _command(origin: Origin) -> tuple[str, ...] | None:
    """What would be typed to have the run of a schedule; None for what was typed."""
    told = schedule_environment(origin)
    return ("kit", "run", "--schedule", told["KIT_SCHEDULE"], "--at", told["KIT_SCHEDULED_AT"]) if told else None


@contextlib.contextmanager
def _or_no_snapshot(project: Project, run_id: str) -> Iterator[None]:
    """Whatever stops what is done here, no snapshot is left that no run has."""
    from kit import vcs

    try:
        yield
    except BaseException:
        with contextlib.suppress(KitError, OSError):
            project.paths.run(run_id).spec.unlink(missing_ok=True)
            vcs.delete_snapshot(project.root, run_id)
            project.paths.run(run_id).root.rmdir()  # unless it holds what the run was claimed with
        raise


@contextlib.contextmanager
def writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os_error(error) from error
