"""Projects with garbage, for the tests of what finds it and of what frees it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from kit import _clock
from kit._git_fetch import watch_ref
from kit._process import ProcessId, this_process
from kit.garbage import Scope
from kit.models import Launch, Origin, to_json
from kit.project import Project
from kit.states import RunStatus
from tests.conftest import git, write
from tests.factories import record, spec

__all__ = ["DAYS", "HOURS", "add_run", "environment", "everything", "sweep", "worktree"]

HOURS = timedelta(hours=1)
DAYS = timedelta(days=1)
MANUAL = Origin()


def worktree(project: Project, name: str, owner: ProcessId | None) -> Path:
    folder = project.paths.worktree(name)
    folder.parent.mkdir(exist_ok=True)
    git(project.root, "worktree", "add", "--quiet", "--detach", str(folder))
    if owner is not None:
        folder.with_name(f"{name}.json").write_bytes(to_json(owner))
    return folder


def add_run(
    project: Project,
    run_id: str,
    *,
    ended: timedelta | None = timedelta(),
    tracked: bool = True,
    origin: Origin = MANUAL,
    **launch: Any,
) -> None:
    """A run with its folder and snapshot, that ended so long ago, or is under way."""
    now = _clock.now()
    begun = spec(run_id, project_root=str(project.root), origin=origin)
    project.store.create(begun, replace(record(run_id, at=now - (ended or timedelta())), origin=origin))
    project.paths.run(run_id).root.mkdir()
    project.paths.run(run_id).launch.write_bytes(to_json(Launch(run_id, str(project.root), **launch)))
    git(project.root, "update-ref", f"refs/kit/runs/{run_id}", "HEAD")
    project.store.transition(run_id, RunStatus.STARTING, at=now)
    project.store.attach(run_id, supervisor=this_process())
    project.store.transition(run_id, RunStatus.RUNNING, at=now)
    if ended is not None:
        project.store.transition(run_id, RunStatus.SUCCEEDED, at=now - ended, exit_code=0)
        project.store.attach(run_id, tracked=tracked)


def sweep(project: Project, name: str) -> None:
    write(project.paths.sweep(name), {"multirun.yaml": "x"})


def environment(project: Project, name: str, *, complete: bool = True) -> Path:
    folder = project.paths.environments / name
    write(folder, {"bin/python": "", **({".complete": ""} if complete else {})})
    return folder


def everything(project: Project, dead: ProcessId) -> Scope:
    """One thing of each kind."""
    worktree(project, "left", dead)
    write(project.paths.trash, {"0a1b2c3d-old/artifacts/model": "x"})
    project.paths.run("a1").root.mkdir()
    for ref in ("refs/kit/runs/a1", "refs/kit/runs/b2", watch_ref("origin", "gone")):
        git(project.root, "update-ref", ref, "HEAD")
    sweep(project, "sweep-1")
    environment(project, "one")
    (project.paths.harness / "gone").mkdir(parents=True)
    add_run(project, "old", ended=100 * DAYS)
    add_run(project, "nightly", ended=100 * DAYS, origin=Origin("schedule", "nightly", 1, _clock.now()))
    return Scope(unused=HOURS, runs=90 * DAYS, forget=True, orphans=True)
