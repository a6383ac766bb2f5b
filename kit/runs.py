"""Start one run, and what can be done with it while and after it runs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace

from kit import _clock, recovery
from kit._near import did_you_mean, nearest
from kit._process import boot_id, is_alive, this_process
from kit.errors import HostError, KitError, UserError
from kit.executors._token import take, taken_by
from kit.executors.base import Executor, Handle
from kit.executors.local import LocalExecutor
from kit.executors.registry import executor_named
from kit.models import Launch, Request, RunRecord, RunSpec, from_json, masked, to_json
from kit.outcomes import Result, Stop, judge
from kit.planning import Draft, compose, draft, new_id, plan, write_plan, writing
from kit.project import Project
from kit.redact import mask
from kit.states import RunStatus
from kit.stores.base import RunQuery

__all__ = [
    "Draft",
    "Request",
    "Watch",
    "cancel",
    "compose",
    "discard",
    "draft",
    "ended",
    "executor_of",
    "expect_accepted",
    "find",
    "launch",
    "listing",
    "logs",
    "new_id",
    "plan",
    "rejected",
    "resumed",
    "see_through",
    "short",
    "start",
]

Watch = Callable[[Handle, RunSpec], None]
"""Shows a run until it has ended."""

_POLL = 0.1
_LAST = re.compile(r"last(?:~(\d{1,6}))?")


def start(project: Project, spec: RunSpec, *, interactive: bool = False, pdb: bool = False) -> Handle:
    """Record the run and hand it to its executor.

    Args:
        interactive: Give the run this process's standard input.
        pdb: Whether that is a terminal, which this process lends to a debugger should the run crash.

    Raises:
        HostError: If its folder cannot be written, or it cannot be started here; nothing is left behind.
    """
    from kit import config

    with _or_nothing(project, spec.run_id):
        with writing():
            project.paths.run(spec.run_id).root.mkdir(mode=0o700, exist_ok=True)
        planned = write_plan(project, spec, pdb=pdb)
        public = masked(spec)
        record = RunRecord.queued(public, at=_clock.now(), params=config.flatten(public.config))
        # On a cluster it is nobody's until a node has it.
        status = RunStatus.STARTING if spec.executor is None else RunStatus.QUEUED
        project.store.create(public, replace(record, status=status, starter=this_process()))
        return executor_of(project, spec.executor).submit(planned, interactive=interactive)


def see_through(project: Project, spec: RunSpec) -> None:
    """Start a run and wait for its end. Whatever stops the waiting, Ctrl-C too, cancels it.

    Raises:
        HostError: As by `start`.
    """
    handle = start(project, spec)
    try:
        while not handle.wait(_POLL):  # in pieces: between them a signal is heard at once
            pass
    except BaseException:
        handle.cancel()
        handle.wait()
        ended(project, spec.run_id)
        raise


def executor_of(project: Project, name: str | None) -> Executor:
    """The executor of that name; None for this machine."""
    return executor_named(name, project.paths, project.store, project.settings)


def launch(
    project: Project, run_id: str, request: Request, *, attached: bool = False, interactive: bool = False
) -> Handle:
    """Start a run that was claimed: whose row is there, in status STARTING. It plans itself, in its own process.

    Args:
        request: What it is asked for with; its limits hold from now on.
        attached: Whether it ends when this process dies.
        interactive: Give the run this process's standard input.

    Raises:
        HostError: If its folder cannot be written, or it cannot be started here; its row stays as it is.
    """
    run = project.paths.run(run_id)
    begun = Launch(run_id, str(project.root), request.limits)
    with writing():  # nothing is synced: after a power cut there is nobody who would read it
        run.root.mkdir(mode=0o700, exist_ok=True)
        with open(run.request, "wb", opener=_private) as file:
            file.write(to_json(request))
        run.launch.write_bytes(to_json(begun))
    return LocalExecutor(project.paths, project.store).submit(begun, interactive=interactive, attached=attached)


def ended(project: Project, run_id: str) -> RunRecord:
    """The run after nothing of it is left to do. Should its supervisor have failed to say so, it is lost.

    One that was given up meanwhile, and resumed under another supervisor, is not this process's to judge.

    Raises:
        UserError: If the run was discarded.
    """
    record = project.store.get(run_id)
    if record.executor is not None:
        recovery.recover(project)  # the engine has said that it is over
        return project.store.get(run_id)
    if record.status.is_terminal or _is_with_another(project, run_id):
        return record
    return recovery.lose(project, record, _last_words(project, run_id))


def _is_with_another(project: Project, run_id: str) -> bool:
    owner = taken_by(project.paths.run(run_id))
    return owner is not None and (owner.boot != boot_id() or is_alive(owner))


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


def resumed(project: Project, run_id: str) -> int:
    """How many times the run was resumed, as far as its folder is there to tell."""
    with contextlib.suppress(FileNotFoundError):
        return from_json(project.paths.run(run_id).launch.read_bytes(), Launch).resumed
    return 0


def expect_accepted(project: Project, run_id: str) -> None:
    """Go on with a run that has ended, unless it never began: then no trace of it is left.

    Raises:
        UserError: If what it was given could not be used.
    """
    if (result := rejected(project, run_id)) is not None:
        discard(project, run_id)
        raise UserError(result.reason or "the run was rejected", where=result.where, fix=result.fix)


def discard(project: Project, run_id: str) -> None:
    """Remove every trace of a run that never began."""
    from kit import vcs

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
    return executor_of(project, project.store.get(run_id).executor).logs(run_id, follow=follow)


def cancel(project: Project, run_id: str) -> RunRecord:
    """Ask a run to stop; its supervisor sees to the rest. One that has none yet is cancelled when this returns.

    Raises:
        UserError: If it has ended already.
    """
    record, run = project.store.get(run_id), project.paths.run(run_id)
    if record.status.is_terminal:
        raise UserError(f"run {run_id} is not running: {record.status}", fix=f"See it with `kit show {run_id}`.")
    if record.executor is not None:
        return _cancel_elsewhere(project, record)
    if record.supervisor is None and take(run):
        return recovery.end(project, record, judge(0, None, Stop.CANCELLED))
    executor_of(project, None).cancel(record)
    return record


def _cancel_elsewhere(project: Project, record: RunRecord) -> RunRecord:
    executor = executor_of(project, record.executor)
    if record.supervisor is None:
        # First: a copy that begins after all finds that it is over.
        ended = recovery.end(project, record, judge(0, None, Stop.CANCELLED))
        with contextlib.suppress(HostError):
            executor.cancel(record)
        return ended
    executor.cancel(record)
    return record


@contextlib.contextmanager
def _or_nothing(project: Project, run_id: str) -> Iterator[None]:
    """Whatever stops what is done here, Ctrl-C too, no trace of the run is left."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(KitError, OSError):
            discard(project, run_id)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
