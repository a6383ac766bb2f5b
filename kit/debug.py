"""Look into a run that crashed, from what it left, or into one that runs, from outside."""

from __future__ import annotations

from collections.abc import Sequence

from kit import capsule, checkpoints, stacks
from kit.capsule import Capsule
from kit.errors import UserError
from kit.models import Origin, RunRecord
from kit.project import Project
from kit.rerun import Recipe, Rerun, rerun
from kit.runs import Watch
from kit.stacks import ProcessStacks
from kit.states import RunStatus

__all__ = ["again", "crash_of", "live"]


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


def again(
    project: Project,
    record: RunRecord,
    *,
    watch: Watch,
    overrides: Sequence[str] = (),
    from_checkpoint: bool = False,
) -> Rerun:
    """Restore what the run was made from and run it once more, to stop in pdb where it crashes.

    Args:
        watch: Shows the new run, and lends it the terminal.
        overrides: What is to be otherwise; needed where an override was a secret.
        from_checkpoint: Begin from the last whole checkpoint of the run, and not at the beginning.

    Raises:
        UserError: If the run was never planned, or what it was made from cannot be had any more, or there is no
            checkpoint.
        ServiceError: If data of it, or packages, can neither be found nor fetched.
        HostError: If the disk refuses.
    """
    spec = project.store.spec(record.run_id)
    if spec is None:
        fix = f"See what it said: `kit logs {record.run_id}`."
        raise UserError(f"run {record.run_id} was never planned: there is nothing to run again", fix=fix)
    checkpoint = checkpoints.latest(project.paths.run(record.run_id)) if from_checkpoint else None
    if from_checkpoint and checkpoint is None:
        fix = "Leave out `--from-checkpoint`. A task makes checkpoints with `run.checkpoint`."
        raise UserError(f"run {record.run_id} left no checkpoint to begin from", fix=fix)
    return rerun(
        project,
        Recipe.of(spec),
        origin=Origin("reproduce", record.run_id),
        watch=watch,
        overrides=overrides,
        checkpoint=checkpoint,
        pdb=True,
    )
