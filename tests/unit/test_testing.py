"""What a project's own tests get from kit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.errors import UserError
from kit.testing import compose_config, fake_run, typed_config


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


def test_outside_of_a_project_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a kit project"):
        compose_config(root=tmp_path)


def test_a_fake_run_stays_in_its_folder(tmp_path: Path) -> None:
    run = fake_run(tmp_path, name="smoke", seed=3)
    run.log({"auc": 0.5})
    with run.checkpoint(0) as folder:
        (folder / "x").touch()
    assert (run.name, run.seed, run.metrics) == ("smoke", 3, {"auc": 0.5})
    assert run.dir.is_relative_to(tmp_path)
