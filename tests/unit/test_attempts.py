"""Where a later attempt at a fire begins: at the last checkpoint of the one before it, if nothing has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kit import attempts, checkpoints, config, planning
from kit._clock import now
from kit.models import Origin, Request, RunRecord, RunSpec, masked
from kit.outcomes import NEVER_STARTED
from kit.project import Project, open_project
from kit.run import Run
from kit.snapshot import DataVersion
from kit.states import RunStatus
from kit.trackers.spool import Spool
from tests.conftest import git, write
from tests.factories import claimed
from tests.support import claim

DUE = datetime(2026, 3, 1, 2, tzinfo=UTC)
NO_SEED = {"conf/config.yaml": "defaults:\n  - _self_\n  - model: small\n  - experiment: baseline\n\nsteps: 3\n"}


class Fire:
    """A schedule's fire, and the attempts at it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._number = 0

    def plan(self, *overrides: str, schedule: str = "nightly") -> RunSpec:
        """The next attempt, as far as it is planned."""
        self._number += 1
        origin = Origin("schedule", schedule, self._number, DUE)
        spec = planning.plan(self.project, Request(overrides=overrides, origin=origin))
        self.project.paths.run(spec.run_id).root.mkdir(exist_ok=True)
        return spec

    def ended(self, spec: RunSpec, status: RunStatus = RunStatus.FAILED, *, checkpoint: int | None = None) -> RunSpec:
        """Have it run, and end like this, with a checkpoint or without."""
        store, paths = self.project.store, self.project.paths.run(spec.run_id)
        public = masked(spec)
        store.create(public, RunRecord.queued(public, at=now(), params=config.flatten(public.config)))
        for each in (RunStatus.STARTING, RunStatus.RUNNING, status):
            store.transition(spec.run_id, each, at=now())
        if checkpoint is not None:
            run = Run(paths, name=spec.name, seed=0, spool=Spool(paths.spool))
            with run.checkpoint(checkpoint):
                pass
        return spec

    def begins(self, spec: RunSpec) -> tuple[str, int] | None:
        """Where this attempt begins: whose checkpoint, and of which step."""
        attempts.carry_on(self.project, spec)
        found = checkpoints.latest(self.project.paths.run(spec.run_id))
        return None if found is None else (found.run_id, found.step)


@pytest.fixture
def fire(project: Path) -> Fire:
    return Fire(open_project(project))


def test_it_begins_where_the_one_before_it_was_stopped(fire: Fire) -> None:
    first = fire.ended(fire.plan(), checkpoint=4)
    second = fire.plan()
    planned = attempts.carry_on(fire.project, second)
    assert fire.begins(second) == (first.run_id, 4)
    assert planned == replace(second, tags={"kit.resumed_from": first.run_id})


def test_the_last_one_counts(fire: Fire) -> None:
    fire.ended(fire.plan(), checkpoint=4)
    second = fire.ended(fire.plan(), checkpoint=2)
    assert fire.begins(fire.plan()) == (second.run_id, 2)


def test_one_that_was_never_planned_does_not_count(fire: Fire) -> None:
    first = fire.ended(fire.plan(), checkpoint=4)
    fire._number += 1
    origin = Origin("schedule", "nightly", fire._number, DUE)
    claim(fire.project.store, claimed("c1", status=RunStatus.LOST, reason=NEVER_STARTED, origin=origin))
    assert fire.begins(fire.plan()) == (first.run_id, 4)


def test_one_without_a_checkpoint_is_not_followed(fire: Fire) -> None:
    fire.ended(fire.plan(), checkpoint=4)
    fire.ended(fire.plan())
    assert fire.begins(fire.plan()) is None


def test_runs_of_other_fires_are_others(fire: Fire) -> None:
    fire.ended(fire.plan(schedule="hourly"), checkpoint=4)
    assert fire.begins(fire.plan()) is None


@pytest.mark.parametrize("status", [RunStatus.LOST, RunStatus.TIMED_OUT, RunStatus.FAILED])
def test_one_that_got_no_further_is_followed_only_if_that_was_not_its_fault(fire: Fire, status: RunStatus) -> None:
    first = fire.ended(fire.plan(), checkpoint=4)
    second = fire.plan()
    assert fire.begins(second) == (first.run_id, 4)
    fire.ended(second, status)
    assert fire.begins(fire.plan()) == (None if status is RunStatus.FAILED else (first.run_id, 4))


def edit_code(root: Path) -> None:
    write(root, {"src/tiny/extra.py": "MORE = 1\n"})


def edit_config(root: Path) -> None:
    write(root, {"conf/model/small.yaml": "depth: 4\nrate: 0.1\n"})
    git(root, "add", "--all")


@pytest.mark.parametrize("change", [edit_code, edit_config])
def test_it_begins_anew_if_the_code_has_changed(fire: Fire, change: Callable[[Path], None]) -> None:
    fire.ended(fire.plan(), checkpoint=4)
    change(fire.project.root)
    assert fire.begins(fire.plan()) is None


def test_uncommitted_work_that_is_the_same_is_the_same(fire: Fire) -> None:
    edit_code(fire.project.root)
    first = fire.ended(fire.plan(), checkpoint=4)
    assert fire.begins(fire.plan()) == (first.run_id, 4)


def test_it_begins_anew_if_its_config_is_another(fire: Fire) -> None:
    fire.ended(fire.plan(), checkpoint=4)
    assert fire.begins(fire.plan("steps=4")) is None


def test_its_own_folder_in_the_config_makes_no_difference(fire: Fire) -> None:
    own = "+out=${hydra:runtime.output_dir}/x"
    first = fire.ended(fire.plan(own), checkpoint=4)
    assert fire.begins(fire.plan(own)) == (first.run_id, 4)


def test_it_begins_anew_if_packages_are_others(fire: Fire) -> None:
    spec = fire.plan()
    environment = replace(spec.snapshot.environment, packages={"numpy": "1.0"})
    fire.ended(replace(spec, snapshot=replace(spec.snapshot, environment=environment)), checkpoint=4)
    assert fire.begins(fire.plan()) is None


def test_it_begins_anew_if_the_data_is_another(fire: Fire) -> None:
    spec = fire.plan()
    data = (DataVersion("data/raw", "d" * 32, 1, None, "matches", "data/raw.dvc"),)
    fire.ended(replace(spec, snapshot=replace(spec.snapshot, data=data)), checkpoint=4)
    assert fire.begins(fire.plan()) is None


def test_a_snapshot_that_is_gone_is_the_same_as_none(fire: Fire) -> None:
    spec = fire.plan()
    code = replace(spec.snapshot.code, commit="0" * 40)
    fire.ended(replace(spec, snapshot=replace(spec.snapshot, code=code)), checkpoint=4)
    assert fire.begins(fire.plan()) is None


def test_the_seed_is_that_of_the_attempt_that_it_follows(make_project: Callable[..., Path]) -> None:
    fire = Fire(open_project(make_project(NO_SEED)))
    first = fire.ended(fire.plan(), checkpoint=4)
    second = fire.plan()
    assert second.snapshot.seed != first.snapshot.seed
    assert attempts.carry_on(fire.project, second).snapshot.seed == first.snapshot.seed
