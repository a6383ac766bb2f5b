"""Look into a run that crashed, from what it left, or into one that runs, from outside."""

from __future__ import annotations

from kit import capsule, stacks
from kit.capsule import Capsule
from kit.errors import UserError
from kit.models import RunRecord
from kit.project import Project
from kit.stacks import ProcessStacks
from kit.states import RunStatus

__all__ = ["crash_of", "live"]


def crash_of(project: Project, record: RunRecord) -> Capsule:
    """What the run left when it crashed.

    Raises:
        UserError: If it left nothing, with the reason.
    """
    folder = project.paths.run(record.run_id).crash
    if (folder / capsule.DUMP).is_file():
        return capsule.read(folder)
    run_id = record.run_id
    if not record.status.is_terminal:
        raise UserError(
            f"run {run_id} is {record.status}: it has not crashed",
            fix=f"See what it does: `kit debug {run_id} --live`.",
        )
    if record.status is RunStatus.SUCCEEDED:
        raise UserError(f"run {run_id} has succeeded: there is no crash", fix=f"See it with `kit show {run_id}`.")
    # Who is stopped or killed from outside, or never came to call the task, has nothing to say of it.
    why = record.reason or str(record.status)
    raise UserError(
        f"run {run_id} left no crash capsule, since its task raised nothing: {why}",
        fix=f"See what it printed: `kit logs {run_id}`.",
    )


def live(project: Project, record: RunRecord) -> list[ProcessStacks]:
    """What every process of a run does at this moment; nothing of it is stopped.

    Raises:
        UserError: If it is not running, or not here.
        HostError: If py-spy is missing, or may not look.
    """
    if record.status.is_terminal:
        raise UserError(
            f"run {record.run_id} is not running: {record.status}",
            fix=f"Its crash, if it was one, opens with `kit debug {record.run_id}`.",
        )
    fresh = project.store.get(record.run_id)  # its supervisor may just have become known
    return stacks.of_run(fresh.run_id, fresh.supervisor)
