"""The launcher that hands a Hydra sweeper's trials to kit. Hydra finds launchers only in this namespace package.

No `from __future__ import annotations`: Hydra runs the module before it is in sys.modules, where dataclasses look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher

__all__ = ["KitLauncher", "KitLauncherConf"]


@dataclass
class KitLauncherConf:
    """`hydra/launcher=kit`, which `kit run -m` chooses by itself; it has no settings."""

    _target_: str = "hydra_plugins.kit_launcher.KitLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="kit", node=KitLauncherConf, provider="kit")


class KitLauncher(Launcher):  # type: ignore[misc]
    """Calls the sweep's task function with a whole batch of overrides, where Hydra's launchers call it for each job."""

    def __init__(self) -> None:
        self._launch: Any = None

    def setup(self, *, hydra_context: object, task_function: Any, config: object) -> None:  # noqa: ANN401, ARG002
        """Take `task_function`, made by `kit.config.sweep`: batch and first index in, job returns out."""
        self._launch = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of trials; returns when all have ended."""
        returns: Sequence[JobReturn] = self._launch(job_overrides, initial_job_idx)
        return returns
