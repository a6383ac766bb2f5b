"""Which executor a name means. Each is loaded only where a run needs it."""

from __future__ import annotations

from kit.executors.base import Executor
from kit.executors.local import LocalExecutor
from kit.paths import ProjectPaths
from kit.settings import Settings, executor_settings
from kit.stores.base import Store

__all__ = ["executor_named"]


def executor_named(name: str | None, paths: ProjectPaths, store: Store, settings: Settings) -> Executor:
    """The executor that a run names; None names this machine.

    Raises:
        UserError: If `[tool.kit]` has none of that name.
    """
    found = None if name is None else executor_settings(settings, name)
    if found is None:
        return LocalExecutor(paths, store)
    if found.kind == "ray":
        from kit.executors.ray import RayExecutor

        return RayExecutor(paths, store, found)
    from kit.executors.slurm import SlurmExecutor

    return SlurmExecutor(paths, store, found)
