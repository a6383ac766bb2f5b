"""The launcher that hands a Hydra sweeper's trials to kit, and kit's own sweeper. Hydra finds plugins only here.

No `from __future__ import annotations`: Hydra runs the module before it is in sys.modules, where dataclasses look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper

__all__ = ["KitLauncher", "KitLauncherConf", "OptunaSweeper", "OptunaSweeperConf"]


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


@dataclass
class OptunaSweeperConf:
    """`hydra/sweeper=optuna`: the next trial goes by the results of those before. What each means: `config.Search`."""

    _target_: str = "hydra_plugins.kit_launcher.OptunaSweeper"
    n_trials: int = 20
    direction: str | None = None
    metric: str | None = None
    sampler: str = "tpe"
    pruner: str = "median"
    seed: int | None = None
    params: dict[str, str] | None = None


if find_spec("hydra_plugins.hydra_optuna_sweeper") is None:  # whoever has that one means it
    ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="kit")


class OptunaSweeper(Sweeper):  # type: ignore[misc]
    """Stands for kit's search, which needs no sweeper of Hydra's kind: it asks for one trial at a time."""

    def __init__(self, **_settings: object) -> None:
        """Takes what `OptunaSweeperConf` has."""

    def setup(self, *, hydra_context: object, task_function: Any, config: object) -> None:  # noqa: ANN401
        """Nothing is set up."""

    def sweep(self, arguments: list[str]) -> Any:  # noqa: ANN401, ARG002
        """Only kit can run it."""
        raise HydraException("hydra/sweeper=optuna is kit's own sweeper: use it with `kit run -m`")
