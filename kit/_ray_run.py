"""A run that a task takes along into Ray: into the workers of Ray Train, and the trials of Ray Tune.

A task's training function may simply use the `run` that it was given. Ray pickles it with the function; in the other
process it finds out which worker it has come to as soon as it is used, and is what a rank holds from then on
(`kit.ranks`). Ray makes a worker's context after the function was unpickled there, so it cannot be asked before.
"""

from __future__ import annotations

import copyreg
import os
import warnings
from pathlib import Path
from typing import Any

from kit.errors import UserError
from kit.paths import RunPaths
from kit.ranks import RankPaths
from kit.run import Run

__all__ = ["TravellingRun", "let_runs_travel"]


class TravellingRun(Run):
    """A run in a process of Ray's. Nothing of it is there until something of it is asked for."""

    def __init__(self, root: str, facts: dict[str, Any]) -> None:
        self.__dict__["_came_with"] = (root, facts)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any of a run's
        """What is not there yet: it is found out where this is, once."""
        came_with = self.__dict__.pop("_came_with", None)
        if came_with is None:
            raise AttributeError(f"a run has no {name!r}")
        root, facts = came_with
        rank, ranks, apart = _place()
        self.__dict__.update(vars(RankPaths(RunPaths(Path(root))).handle(rank, ranks, apart=apart, **facts)))
        return getattr(self, name)

    def __reduce__(self) -> tuple[type[TravellingRun], tuple[str, dict[str, Any]]]:
        root, facts = self.__dict__.get("_came_with") or (str(self.dir), self._lend())
        return TravellingRun, (root, facts)


def _place() -> tuple[int, int, str | None]:
    """The rank of this process, how many there are, and where it logs if that does not follow from the rank.

    Raises:
        UserError: If it is neither a worker of Ray Train nor a trial of Ray Tune.
    """
    try:
        from ray import train, tune

        with warnings.catch_warnings(action="ignore"):  # outside of a trial it says so once more
            trial = tune.get_context().get_trial_id()
        if trial is not None:
            return 0, 1, f"trial-{trial}"
        context = train.get_context()
        return context.get_world_rank(), context.get_world_size(), None
    except (ImportError, RuntimeError) as error:
        fix = "Workers of Ray Train and trials of Ray Tune log themselves; else return to the task what it is to log."
        raise UserError(f"a run was taken along into process {os.getpid()}, which is neither", fix=fix) from error


def let_runs_travel() -> None:
    """Have what pickles a run from now on, in this process, take it along."""
    copyreg.pickle(Run, _travels)


def _travels(run: Run) -> tuple[type[TravellingRun], tuple[str, dict[str, Any]]]:
    return TravellingRun, (str(run.dir), run._lend())  # noqa: SLF001 - it is a run there, too
