"""A project's config and schedules as a run would get them, and a run that tracks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from kit import config
from kit.paths import RunPaths
from kit.project import open_project
from kit.run import Run
from kit.schedule import Schedule
from kit.schedules import Schedules
from kit.trackers.spool import Spool

__all__ = ["compose_config", "fake_run", "load_schedule", "task_config", "typed_config"]

T = TypeVar("T")


def compose_config(overrides: Sequence[str] = (), *, root: Path | None = None) -> dict[str, Any]:
    """The resolved configuration that `kit run OVERRIDES` would use.

    Args:
        overrides: Hydra overrides.
        root: The project; by default the one that the current folder lies in.

    Raises:
        UserError: If it does not compose.
    """
    return _composed(overrides, root).config


def typed_config(schema: type[T], overrides: Sequence[str] = (), *, root: Path | None = None) -> T:
    """The same, as the task's dataclass.

    Raises:
        UserError: If it does not compose, or a value does not fit `schema`.
    """
    composed = _composed(overrides, root)
    return config.typed(composed.config, schema, where=composed.origins.get)


def task_config(overrides: Sequence[str] = (), *, root: Path | None = None) -> Any:
    """What the task would be given by `kit run OVERRIDES`: its dataclass, whichever that is, a DictConfig or a dict.

    The task is imported, as a run does.

    Raises:
        UserError: If it does not compose, there is no such task, or a value does not fit what it takes.
    """
    composed = _composed(overrides, root)
    task = config.load_task(composed.task, open_project(root or Path.cwd()).root)
    return config.task_config(config.task_parameters(task), composed.config, where=composed.origins.get)


def load_schedule(name: str, *, root: Path | None = None) -> Schedule:
    """What `conf/schedule/<name>.yaml` means; `arguments` is what `kit run` would be given.

    Args:
        root: The project; by default the one that the current folder lies in.

    Raises:
        KitError: If there is none, or something is wrong with it.
    """
    return Schedules(open_project(root or Path.cwd())).find(name)


def fake_run(folder: Path, *, name: str = "test", seed: int = 0, scheduled_at: datetime | None = None) -> Run:
    """A run of which nothing leaves `folder`; what was logged is in its `metrics`, files are in `dir`.

    One that is made in the folder of another goes on with it, as a run that is resumed does.

    Args:
        scheduled_at: As if a schedule had been due then.
    """
    paths = RunPaths(folder / "run")
    paths.root.mkdir(parents=True, exist_ok=True)
    return Run(paths, name=name, seed=seed, spool=Spool(paths.spool), scheduled_at=scheduled_at)


def _composed(overrides: Sequence[str], root: Path | None) -> config.Composed:
    project = open_project(root or Path.cwd())
    return config.compose(project.root, project.settings.config_dir, project.settings.config_name, overrides)
