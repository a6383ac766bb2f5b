"""How a sweep is to go, and which of its trials is the best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan

from kit.models import RunRecord
from kit.states import OnError, RunStatus

__all__ = ["Goal", "OnError", "Options", "ranked", "smaller_is_better"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a sweep is asked for with, besides its overrides.

    Attributes:
        jobs: Trials at a time; None: as many as there are cores to use, or as `slots` allow.
        trials: How many in all; None: all there are, or what the sweeper is set to.
        time_budget: Seconds after which no other trial starts; those under way are seen through.
        metric: What makes a trial better than another; None: the first that the task returns.
        maximize: Whether more of it is better; None: as the sweeper is set, else as its name says.
        slots: How many of each named pool a trial takes.
    """

    jobs: int | None = None
    on_error: OnError = OnError.CONTINUE
    trials: int | None = None
    time_budget: float | None = None
    metric: str | None = None
    maximize: bool | None = None
    slots: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Goal:
    """What makes one trial better than another."""

    metric: str
    maximize: bool

    @property
    def words(self) -> str:
        """For whoever wonders what `best` means."""
        return f"by {self.metric}, the {'largest' if self.maximize else 'smallest'} first"


_LOSSES = frozenset({"loss", "error", "mse", "rmse", "mae", "mape", "rmsle", "logloss", "perplexity", "nll", "brier"})


def smaller_is_better(metric: str) -> bool:
    """Whether the name of a metric says that less of it is better: one of its words is that of a loss."""
    return not _LOSSES.isdisjoint(re.split(r"[^a-z0-9]", metric.lower()))


def ranked(records: Sequence[RunRecord], goal: Goal) -> list[RunRecord]:
    """Those that succeeded with a value that can be compared, the best first; of equals, the earlier trial."""
    succeeded = [record for record in records if record.status is RunStatus.SUCCEEDED]
    known = [record for record in succeeded if not isnan(record.metrics.get(goal.metric, nan))]
    sign = -1 if goal.maximize else 1
    return sorted(known, key=lambda record: (sign * record.metrics[goal.metric], record.origin.index or 0))
