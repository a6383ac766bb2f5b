"""For a project's own tests: its config as a run would get it, runs pretended and real, and what a metric must reach.

`kit.testing.behaviour` has tests of what a model does, for any framework.
"""

from __future__ import annotations

from kit.testing._projects import compose_config, fake_run, load_schedule, task_config, typed_config
from kit.testing.experiments import ExperimentRun, run_experiment
from kit.testing.metrics import assert_metric, load_floors

__all__ = [
    "ExperimentRun",
    "assert_metric",
    "compose_config",
    "fake_run",
    "load_floors",
    "load_schedule",
    "run_experiment",
    "task_config",
    "typed_config",
]
