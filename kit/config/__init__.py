"""Configuration: Hydra composes it, a dataclass checks it, MLflow gets it flat.

The only part of kit that imports Hydra and OmegaConf, and only inside functions: importing this package is cheap.

compose   the configuration of one run, with the file that each value comes from
group     one file of a config group, by itself
sweep     the runs of one command, through the sweeper that the configuration chooses
space     what a search chooses from
sharing   many compositions: what they have in common is composed once
ahead     the same, for whoever is forked from this process
typed     the configuration as the task's dataclass
tasks     the task that the configuration names: its import and its signature
flatten   the configuration as MLflow parameters
"""

from __future__ import annotations

from kit.config._ahead import compose_ahead, composed_ahead, is_outdated
from kit.config._compose import Composed, compose
from kit.config._flatten import flatten, to_yaml
from kit.config._group import GroupConfig, compose_group
from kit.config._origins import COMMAND_LINE
from kit.config._session import Source
from kit.config._sharing import sharing
from kit.config._space import Dimension, Search
from kit.config._sweep import Launch, Sweeper, TrialResult, sweep, sweeper
from kit.config._tasks import TaskParameters, load_task, task_config, task_parameters
from kit.config._typed import RESERVED, typed

__all__ = [
    "COMMAND_LINE",
    "RESERVED",
    "Composed",
    "Dimension",
    "GroupConfig",
    "Launch",
    "Search",
    "Source",
    "Sweeper",
    "TaskParameters",
    "TrialResult",
    "compose",
    "compose_ahead",
    "compose_group",
    "composed_ahead",
    "flatten",
    "is_outdated",
    "load_task",
    "sharing",
    "sweep",
    "sweeper",
    "task_config",
    "task_parameters",
    "to_yaml",
    "typed",
]
