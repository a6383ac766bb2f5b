"""Start one run, and what can be done with it while and after it runs."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from kit import _clock, config, recovery, snapshots, vcs
from kit._files import write_atomic
from kit._near import did_you_mean, nearest
from kit._process import is_alive, this_process
from kit._seeding import hash_seed
from kit.errors import KitError, UserError, from_os_error
from kit.executors.base import Handle
from kit.executors.local import LocalExecutor
from kit.models import Launch, Request, RunRecord, RunSpec, from_json, masked, to_json
from kit.outcomes import Result
from kit.project import Project
from kit.redact import mask
from kit.states import RunStatus
from kit.stores.base import RunQuery

__all__ = [
    "Draft",
    "Request",
    "cancel",
    "compose",
    "discard",
    "draft",
    "ended",
    "find",
    "listing",
    "logs",
    "plan",
    "rejected",
    "short",
    "start",
]

_ID_BYTES = 5
_LARGEST_SEED = 2**63 - 1
"""What a database's integer holds."""
_LAST = re.compile(r"last(?:~(\d{1,6}))?")


@dataclass(frozen=True, slots=True)
class Draft:
    """A run as far as its config goes: checked, and nothing done for it yet."""

    run_id: str
    request: Request
    composed: config.Composed
    seed: int
    note: str | None
    timeout: float | None


def draft(project: Project, request: Request) -> Draft:
    """Compose the config and check what is in it for kit.

    Raises:
        UserError: If the overrides or the config cannot be used.
    """
    run_id = secrets.token_hex(_ID_BYTES)
    composed = compose(project, request, run_id=run_id)
    return Draft(
        run_id=run_id,
        request=request,
        composed=composed,
        seed=_seed(project, composed.config),
        note=_note(composed.config, request),
        timeout=_timeout(composed.config, request),
    )


def plan(project: Project, wanted: Request | Draft, *, progress: bool = False) -> RunSpec:
    """Turn a request into a run spec: compose the config, fetch the data, take the snapshot.

    Raises:
        UserError: If the overrides, the config or the repository cannot be used.
        ServiceError: If data is missing and cannot be had.
        HostError: If the project's folder cannot be written.
    """
    drafted = draft(project, wanted) if isinstance(wanted, Request) else wanted
    request, composed = drafted.request, drafted.composed
    with _writing():
        _ = project.store  # one that cannot be used says so before anything is left behind
    tracking_uri = project.tracking_uri
    vcs.check(project.root)
    versions = snapshots.prepare_data(project, progress=progress)
    with _or_nothing(project, drafted.run_id):
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
            snapshot=snapshots.take(project, drafted.run_id, seed=drafted.seed, versions=versions),
        )


def compose(project: Project, request: Request, *, run_id: str = "dry-run") -> config.Composed:
    """The configuration that a run would have.

    Raises:
        UserError: If the overrides or the config cannot be used.
    """
    return config.compose(
        project.root,
        project.settings.config_dir,
        project.settings.config_name,
        request.overrides,
        run_dir=project.paths.run(run_id).root,
        job_num=request.job,
    )


def start(project: Project, spec: RunSpec, *, interactive: bool = False) -> Handle:
    """Record the run and hand it to its executor.

    Raises:
        HostError: If its folder cannot be written, or it cannot be started here; nothing is left behind.
    """
    with _or_nothing(project, spec.run_id):
        public = masked(spec)
        run = project.paths.run(spec.run_id)
        with _writing():
            run.root.mkdir(mode=0o700)
            run.artifacts.mkdir()
            write_atomic(run.config, config.to_yaml(public.config))
            write_atomic(run.spec, to_json(spec), mode=0o600)
            launch = Launch(spec.run_id, str(project.root), spec.limits, hash_seed(spec.snapshot.seed))
            run.launch.write_bytes(to_json(launch))
        record = RunRecord.queued(public, at=_clock.now(), params=config.flatten(public.config))
        project.store.create(public, replace(record, starter=this_process()))
        project.store.transition(spec.run_id, RunStatus.STARTING, at=_clock.now())
        return LocalExecutor(project.paths, project.store).submit(launch, interactive=interactive)


def ended(project: Project, run_id: str) -> RunRecord:
    """The run after nothing of it is left to do. Should its supervisor have failed to say so, it is lost.

    Raises:
        UserError: If the run was discarded.
    """
    record = project.store.get(run_id)
    if record.status.is_terminal:
        return record
    return recovery.lose(project, record, _last_words(project, run_id))


def _last_words(project: Project, run_id: str) -> str:
    with contextlib.suppress(OSError):
        lines = project.paths.run(run_id).supervisor_log.read_text(errors="replace").split("\n")
        if said := [line.strip() for line in lines if line.strip()]:
            return f"its supervisor failed: {mask(said[-1])}"
    return "its supervisor was killed"


def rejected(project: Project, run_id: str) -> Result | None:
    """Why a run never began, if what it was given could not be used; None for every other run."""
    record = project.store.get(run_id)
    if record.status is not RunStatus.FAILED or record.started_at is not None:
        return None
    with contextlib.suppress(FileNotFoundError):
        result = from_json(project.paths.run(run_id).result.read_bytes(), Result)
        if result.rejected:
            return result
    return None


def discard(project: Project, run_id: str) -> None:
    """Remove every trace of a run that never began."""
    shutil.rmtree(project.paths.run(run_id).root, ignore_errors=True)  # first: it makes room on a full disk
    vcs.delete_snapshot(project.root, run_id)
    project.store.delete(run_id)


def find(project: Project, name: str) -> RunRecord:
    """The run that `name` means: an id, a beginning that only one id has, `last`, or `last~2` for two before it.

    Raises:
        UserError: If it means none, or several.
    """
    recovery.recover(project)
    if (match := _LAST.fullmatch(name)) is not None:
        back = int(match[1] or 0)
        newest = project.store.runs(RunQuery(limit=back + 1))
        if len(newest) <= back:
            missing = "there are no runs yet" if not newest else f"there are only {len(newest)} runs"
            raise UserError(missing, fix="Start one with `kit run`.")
        return newest[back]
    ids = project.store.ids(name, limit=4) if name else []
    if len(ids) > 1 and name not in ids:
        raise UserError(f"{name!r} could be any of {', '.join(ids[:3])}", fix="Use more of the id.")
    return project.store.get(name if name in ids or not ids else ids[0])


def short(project: Project, run_id: str) -> str:
    """The shortest beginning, of four characters at least, that names this run and no other."""
    lengths = range(4, len(run_id))
    return next((run_id[:n] for n in lengths if len(project.store.ids(run_id[:n], limit=2)) == 1), run_id)


def listing(project: Project, query: RunQuery) -> list[RunRecord]:
    """The runs that fit, settled as far as they can be.

    Raises:
        UserError: If they are to be sorted by a metric that none of them has.
    """
    recovery.recover(project)
    found = project.store.runs(query)
    if query.sort is not None and found and not any(query.sort in record.metrics for record in found):
        known = sorted({key for record in found for key in record.metrics})
        hint = did_you_mean(nearest(query.sort, known)) or f"They have {', '.join(known[:10]) or 'no metrics at all'}."
        raise UserError(f"none of these runs has a metric {query.sort!r}", fix=hint)
    return found


def logs(project: Project, run_id: str, *, follow: bool = False) -> Iterator[bytes]:
    """What the run printed."""
    return LocalExecutor(project.paths, project.store).logs(run_id, follow=follow)


def cancel(project: Project, run_id: str) -> None:
    """Ask a run to stop; its supervisor sees to the rest.

    Raises:
        UserError: If it has ended already.
    """
    record = project.store.get(run_id)
    if record.status.is_terminal or record.supervisor is None or not is_alive(record.supervisor):
        raise UserError(f"run {run_id} is not running: {record.status}", fix=f"See it with `kit show {run_id}`.")
    os.kill(record.supervisor.pid, signal.SIGTERM)


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


def _tags(values: Mapping[str, object], asked: Mapping[str, str]) -> dict[str, str]:
    configured = values.get("tags")
    own = {str(key): str(value) for key, value in configured.items()} if isinstance(configured, Mapping) else {}
    return {key: mask(value) for key, value in (own | dict(asked)).items()}


@contextlib.contextmanager
def _or_nothing(project: Project, run_id: str) -> Iterator[None]:
    """Whatever stops what is done here, Ctrl-C too, no trace of the run is left."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(KitError, OSError):
            discard(project, run_id)
        raise


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os_error(error) from error
