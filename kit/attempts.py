"""Later attempts at a fire: where one of them begins, if an earlier one left a checkpoint."""

from __future__ import annotations

from dataclasses import replace

from kit import checkpoints, vcs
from kit.checkpoints import Checkpoint
from kit.models import RunRecord, RunSpec, masked, to_json
from kit.project import Project
from kit.states import RunStatus
from kit.stores.base import RunQuery

__all__ = ["carry_on"]


def carry_on(project: Project, spec: RunSpec) -> RunSpec:
    """Have an attempt begin from the last checkpoint of the one before it, if both are made from the same.

    Code, data, config and packages must be: what was learnt from one belongs to no other. An attempt that began from a
    checkpoint, failed, and got no further than that is not followed: what made it fail may lie in there.

    Args:
        spec: The attempt, planned; its folder is there.

    Returns:
        The spec, with the seed of the attempt that it follows.

    Raises:
        OSError: If the disk refuses.
    """
    found = _last_planned(project, spec)
    before = None if found is None else project.store.spec(found.run_id)
    if found is None or before is None or not _is_same(project, before, spec):
        return spec
    if (checkpoint := _worth_it(project, found)) is None:
        return spec
    checkpoints.begin_from(project.paths.run(spec.run_id), checkpoint)
    return replace(
        spec,
        snapshot=replace(spec.snapshot, seed=before.snapshot.seed),
        tags=spec.tags | {"kit.resumed_from": checkpoint.run_id},
    )


def _last_planned(project: Project, spec: RunSpec) -> RunRecord | None:
    """The attempt before this one; those that never came to be planned do not count."""
    own = spec.origin.index or 0
    asked = RunQuery(parent=spec.origin.parent, scheduled_at=spec.origin.scheduled_at)
    earlier = [record for record in project.store.runs(asked) if record.commit and (record.origin.index or 0) < own]
    return max(earlier, key=lambda record: record.origin.index or 0, default=None)


def _worth_it(project: Project, record: RunRecord) -> Checkpoint | None:
    checkpoint = checkpoints.latest(project.paths.run(record.run_id))
    if checkpoint is None or (checkpoint.run_id != record.run_id and record.status is RunStatus.FAILED):
        return None
    return checkpoint


def _is_same(project: Project, old: RunSpec, new: RunSpec) -> bool:
    one, other = old.snapshot, new.snapshot
    return (
        old.task == new.task
        and _config(old) == _config(new)
        and _data(old) == _data(new)
        and one.environment.packages == other.environment.packages
        and one.environment.python == other.environment.python
        and vcs.is_same(project.source, one.code, other.code)
    )


def _data(spec: RunSpec) -> dict[str, str | None]:
    return {version.path: version.used for version in spec.snapshot.data}


def _config(spec: RunSpec) -> bytes:
    """The config, whichever attempt it is: its folder has the run's id in its name."""
    return to_json(masked(spec).config).replace(spec.run_id.encode(), b"")
