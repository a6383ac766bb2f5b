"""Every experiment composes, and fits the task's dataclass; so does what every schedule runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.testing import compose_config, load_schedule, typed_config

from {{ cookiecutter.__package_name }}.train import TrainConfig

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
SCHEDULES = sorted(path.stem for path in (ROOT / "conf" / "schedule").glob("*.yaml"))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_names_a_task_and_fits_its_config(experiment: str) -> None:
    overrides = [f"experiment={experiment}"]
    config = compose_config(overrides, root=ROOT)

    assert config["task"] == "{{ cookiecutter.__package_name }}.train.train"
    assert isinstance(typed_config(TrainConfig, overrides, root=ROOT), TrainConfig)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_valid_and_what_it_runs_fits_the_config(name: str) -> None:
    schedule = load_schedule(name, root=ROOT)

    assert isinstance(typed_config(TrainConfig, schedule.arguments, root=ROOT), TrainConfig)
