"""What a project's own tests get from kit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kit.errors import UserError
from kit.testing import compose_config, fake_run, load_schedule, typed_config
from kit.triggers import Cron


@dataclass(frozen=True)
class Model:
    depth: int
    rate: float


@dataclass(frozen=True)
class TrainConfig:
    model: Model
    steps: int


def test_a_project_composes_its_config_from_any_folder_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "src")
    composed = compose_config(["experiment=deep", "model.rate=0.5"])
    assert composed == {"model": {"depth": 9, "rate": 0.5}, "seed": 7, "steps": 5, "task": "tiny.train.train"}
    assert not (project / ".kit").exists()


def test_a_project_can_be_named(project: Path) -> None:
    assert compose_config(root=project)["steps"] == 3


def test_a_config_comes_as_the_tasks_dataclass(project: Path) -> None:
    assert typed_config(TrainConfig, ["steps=4"], root=project) == TrainConfig(Model(3, 0.1), 4)


def test_a_value_of_the_wrong_type_names_its_file(make_project: Callable[..., Path]) -> None:
    root = make_project({"conf/model/small.yaml": "depth: deep\nrate: 0.1\n"})
    with pytest.raises(UserError) as caught:
        typed_config(TrainConfig, root=root)
    assert "model.depth" in str(caught.value)
    assert "conf/model/small.yaml" in str(caught.value)


def test_a_schedule_is_read_and_says_what_it_runs(make_project: Callable[..., Path]) -> None:
    text = "trigger: {cron: '0 2 * * *'}\nexperiment: deep\noverrides: [steps=4]\n"
    root = make_project({"conf/schedule/nightly.yaml": text})

    schedule = load_schedule("nightly", root=root)

    assert schedule.trigger == Cron("0 2 * * *")
    assert typed_config(TrainConfig, schedule.arguments, root=root) == TrainConfig(Model(9, 0.01), 4)
    assert not (root / ".kit").exists()


def test_a_schedule_that_is_not_there_or_wrong_says_so(make_project: Callable[..., Path]) -> None:
    root = make_project({"conf/schedule/nightly.yaml": "trigger: {corn: '0 2 * * *'}\n"})
    with pytest.raises(UserError, match="no schedule 'nightly2'"):
        load_schedule("nightly2", root=root)
    with pytest.raises(UserError, match="corn"):
        load_schedule("nightly", root=root)


def test_outside_of_a_project_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a kit project"):
        compose_config(root=tmp_path)


def test_a_fake_run_stays_in_its_folder(tmp_path: Path) -> None:
    run = fake_run(tmp_path, name="smoke", seed=3, scheduled_at=datetime(2013, 2, 1, tzinfo=UTC))
    run.log({"auc": 0.5})
    with run.checkpoint(0) as folder:
        (folder / "x").touch()
    assert (run.name, run.seed, run.metrics) == ("smoke", 3, {"auc": 0.5})
    assert run.scheduled_at == datetime(2013, 2, 1, tzinfo=UTC)
    assert run.dir.is_relative_to(tmp_path)


def test_a_run_has_no_schedule_unless_it_is_said(tmp_path: Path) -> None:
    assert fake_run(tmp_path).scheduled_at is None
