"""What a store does; `sql` and `memory` are the twins that do it, under one contract suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from kit._process import ProcessId
from kit.errors import HostError, UserError
from kit.models import RunRecord, RunSpec
from kit.outcomes import Outcome
from kit.states import IllegalTransition, RunStatus

if TYPE_CHECKING:
    from kit.stores.fires import FireStore

__all__ = ["RUN_PATIENCE", "Comparison", "DamagedStore", "Fenced", "Held", "RunQuery", "Store", "no_such_run"]

RUN_PATIENCE = 600.0
"""Seconds that the processes of a run wait for whoever else writes. A hundred that start at once on two cores keep each
other waiting for more than a minute; none of them should fail for that."""

Operator = Literal["<", "<=", "=", "!=", ">=", ">"]


class DamagedStore(HostError):
    """What was kept cannot be read any more: nothing that is only tried again helps."""


class Fenced(IllegalTransition):
    """A copy of a run has no say in it any more: a later one has begun."""

    def __init__(self, run_id: str, token: int | None, now: int | None) -> None:
        ValueError.__init__(self, f"copy {token} of run {run_id} has no say any more: there is copy {now}")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A metric or a parameter compared with a value, given as text.

    Metrics are compared as numbers. Parameters are texts: they are equal or not, and have no order.
    """

    key: str
    operator: Operator
    value: str

    @property
    def number(self) -> float | None:
        """The value as a number; None if it is none, and then no metric can fit."""
        try:
            return float(self.value)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs, in which order. The newest first unless `sort` names a metric.

    Runs without the metric that `sort` names come last, whatever the direction.
    """

    experiment: str | None = None
    statuses: frozenset[RunStatus] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None
    scheduled_at: datetime | None = None
    where: tuple[Comparison, ...] = ()
    tracked: bool | None = None
    sort: str | None = None
    descending: bool = True
    limit: int | None = None


class Held(Protocol):
    """Something that is open until it is closed."""

    def close(self) -> None: ...


class Store(Protocol):
    """Runs by id. Every method is one transaction; instants are aware and in UTC."""

    def create(self, spec: RunSpec, record: RunRecord) -> None:
        """Add a new run; its id must be new, and so must its attempt at a schedule's fire, if it is one."""

    def planned(self, spec: RunSpec, params: Mapping[str, str]) -> None:
        """Note what a run that was only claimed is made of, now that it is known.

        Raises:
            UserError: If there is no such run.
            IllegalTransition: If it is not STARTING: it was given up meanwhile.
        """

    def get(self, run_id: str) -> RunRecord:
        """Raises:
        UserError: If there is no such run.
        """

    def spec(self, run_id: str) -> RunSpec | None:
        """What the run was started from; None for one that was never planned.

        Raises:
            UserError: If there is no such run.
        """

    def transition(
        self,
        run_id: str,
        status: RunStatus,
        *,
        at: datetime,
        exit_code: int | None = None,
        reason: str | None = None,
        token: int | None = None,
    ) -> RunRecord:
        """Move a run on; RUNNING sets its start, a terminal status its end, and STARTING is a sign of life.

        Args:
            token: Which copy of the run says so; None for whoever is no copy.

        Raises:
            UserError: If there is no such run.
            IllegalTransition: If the table of states has no way there.
            Fenced: If a later copy has begun.
        """

    def lease(self, run_id: str, *, at: datetime, holder: ProcessId) -> RunRecord:
        """Have one more copy of a run begin: the record's token is its own, and all earlier copies have no say.

        Raises:
            UserError: If there is no such run.
            IllegalTransition: If the run has ended.
        """

    def beat(self, run_id: str, token: int, *, at: datetime, process: ProcessId | None = None) -> bool:
        """Note that this copy lives; False, and nothing noted, if a later one has begun or the run has ended.

        Raises:
            UserError: If there is no such run.
        """

    def finish(
        self,
        run_id: str,
        outcome: Outcome,
        *,
        at: datetime,
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        token: int | None = None,
        tracked: bool = False,
    ) -> RunRecord:
        """Note how a run ended and what came out, all or nothing.

        Args:
            token: Which copy of the run says so; None for whoever is no copy.
            tracked: Whether the tracker is known to have all of it.

        Raises:
            UserError: If there is no such run.
            IllegalTransition: If it has ended already.
            Fenced: If a later copy has begun.
        """

    def hand_over(self, run_id: str, executor: str, *, at: datetime, starter: ProcessId) -> RunRecord:
        """Have a run that was planned on this machine wait for an engine to begin it: it is QUEUED, and nobody's.

        Args:
            starter: The process that submits it.

        Raises:
            UserError: If there is no such run.
            IllegalTransition: If it is not STARTING: it was given up meanwhile.
        """

    def resume(self, run_id: str, *, at: datetime, starter: ProcessId) -> RunRecord:
        """Have a run that has ended, and not well, begin once more: it is STARTING, and nobody's yet.

        How it ended is forgotten, and so is that the tracker knew; its start, metrics and parameters stay.

        Raises:
            UserError: If there is no such run.
            IllegalTransition: If it is under way, or has succeeded.
        """

    def attach(
        self,
        run_id: str,
        *,
        supervisor: ProcessId | None = None,
        process: ProcessId | None = None,
        mlflow_run_id: str | None = None,
        heartbeat_at: datetime | None = None,
        tracked: bool | None = None,
        job: str | None = None,
    ) -> None:
        """Note facts about a run that are not its status; None leaves one as it is."""

    def set_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Set the last value of each of these metrics; others stay."""

    def set_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Set these parameters; others stay."""

    def delete(self, run_id: str) -> None:
        """Forget a run that never began. One that is not there is no fault."""

    def runs(self, query: RunQuery) -> list[RunRecord]:
        """The runs that fit, in order."""

    def counts(self) -> dict[RunStatus, int]:
        """How many runs there are of each status that there are any of."""

    def ids(self, prefix: str, *, limit: int) -> list[str]:
        """At most `limit` ids that begin with `prefix`, newest first."""

    @property
    def fires(self) -> FireStore:
        """What is kept of schedules, beside these runs."""

    def hold(self) -> Held:
        """Keep the store open until what is returned is closed: for who uses it many times a minute."""

    def close(self) -> None:
        """Let go of connections. The store is not used afterwards."""


def no_such_run(run_id: str) -> UserError:
    return UserError(f"there is no run {run_id!r}", fix="List them with `kit runs`.")
