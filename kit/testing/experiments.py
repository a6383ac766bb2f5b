"""An experiment run for real, for tests of what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit import compare, runs
from kit.errors import KitError, RunError
from kit.models import Request, RunSpec
from kit.project import Project, open_project
from kit.states import RunStatus
from kit.stores.base import RunQuery

__all__ = ["TAG", "ExperimentRun", "result_of", "run_experiment"]

TAG = "kit.test"
"""The tag of the runs that tests made."""

_LOOK_BACK = 20
"""How many successes are compared: who tests again and again has the one that fits among the last."""


@dataclass(frozen=True, slots=True)
class ExperimentRun:
    """A run that succeeded.

    Attributes:
        run_id: Names it in every `kit` command.
        experiment: What was run.
        metrics: The last value of each.
        params: The flattened config, as texts.
        dir: The run's folder.
        root: The project.
        reused: Whether it was there before, made from the same snapshot.
    """

    run_id: str
    experiment: str
    metrics: dict[str, float]
    params: dict[str, str] = field(repr=False)
    dir: Path = field(repr=False)
    root: Path = field(repr=False)
    reused: bool = False

    @property
    def artifacts(self) -> Path:
        """The folder of what the task kept with `run.artifact`."""
        return self.dir / "artifacts"


def run_experiment(
    overrides: Sequence[str] = (), *, root: Path | None = None, reuse: bool = False, why: str = "run_experiment"
) -> ExperimentRun:
    """Do what `kit run OVERRIDES` does, and wait for the end: a real run, with its snapshot, folder and tracking.

    Args:
        overrides: Hydra overrides, `experiment=NAME` among them.
        root: The project; by default the one that the current folder lies in.
        reuse: Take the last success that was made from the same code, data, config, seed, packages and host instead,
            if there is one.
        why: The value of the run's tag `kit.test`.

    Raises:
        KitError: If it cannot be run.
        RunError: If it does not succeed.
    """
    project = open_project(root or Path.cwd())
    spec = runs.plan(project, Request(overrides=tuple(overrides), tags={TAG: why}))
    if reuse and (same := _same(project, spec)) is not None:
        runs.discard(project, spec.run_id)
        return _result(project, same, reused=True)
    runs.see_through(project, spec)
    runs.expect_accepted(project, spec.run_id)
    return _result(project, spec.run_id, reused=False)


def result_of(root: Path, run_id: str, *, reused: bool) -> ExperimentRun:
    """The same of a run that another process made.

    Raises:
        RunError: If it did not succeed.
    """
    return _result(open_project(root), run_id, reused=reused)


def _same(project: Project, spec: RunSpec) -> str | None:
    """The last success that was made from the same. What cannot be compared is not the same."""
    query = RunQuery(experiment=spec.experiment, statuses=frozenset({RunStatus.SUCCEEDED}), limit=_LOOK_BACK)
    for record in project.store.runs(query):
        try:
            found = compare.compare_specs(project, compare.spec_of(project, record), spec)
        except KitError:
            continue
        if found == compare.Difference("", (), (), (), (), (), ()) and project.paths.run(record.run_id).root.is_dir():
            return record.run_id
    return None


def _result(project: Project, run_id: str, *, reused: bool) -> ExperimentRun:
    record = runs.ended(project, run_id)
    if record.status is not RunStatus.SUCCEEDED:
        raise RunError(
            f"run {run_id} of {record.experiment} {record.status}: {record.reason}",
            fix=f"See what it printed: `kit logs {run_id}`.",
        )
    return ExperimentRun(
        run_id=run_id,
        experiment=record.experiment,
        metrics=dict(record.metrics),
        params=dict(record.params),
        dir=project.paths.run(run_id).root,
        root=project.root,
        reused=reused,
    )
