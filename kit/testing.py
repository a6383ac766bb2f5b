"""For a project's own tests: its config as a run would get it, and a run that tracks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from kit import config
from kit.paths import RunPaths
from kit.project import open_project
from kit.run import Run
from kit.trackers.spool import Spool

__all__ = ["compose_config", "fake_run", "typed_config"]

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


def fake_run(folder: Path, *, name: str = "test", seed: int = 0) -> Run:
    """A run of which nothing leaves `folder`; what was logged is in its `metrics`, files are in `dir`."""
    paths = RunPaths(folder / "run")
    paths.root.mkdir(parents=True, exist_ok=True)
    return Run(paths, name=name, seed=seed, spool=Spool(paths.spool))


def _composed(overrides: Sequence[str], root: Path | None) -> config.Composed:
    project = open_project(root or Path.cwd())
    return config.compose(project.root, project.settings.config_dir, project.settings.config_name, overrides)
