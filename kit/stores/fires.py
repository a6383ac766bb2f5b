"""What the store keeps of schedules; `sql_fires` and `memory_fires` are the twins, under one contract suite."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Protocol

from kit.alerting import OutboxEntry
from kit.board import Active, Board, Moves
from kit.fires import Fire, FireKey, FireQuery, Gap, SchedulerRecord, ScheduleState
from kit.states import FireStatus, RunStatus, check_fire_history, check_transition

__all__ = ["Decide", "FireStore", "check"]

Decide = Callable[[Board], Moves]


class FireStore(Protocol):
    """What happened to schedules, beside the runs of a `Store`. Every method is one transaction."""

    def act(self, decide: Decide, *, names: Collection[str] = ()) -> Moves:
        """Read the board, decide, and write the moves, all in one transaction that nobody else's comes between.

        A fire and its first run are written together or not at all. What `decide` raises undoes everything.

        Args:
            names: Schedules whose states are wanted on the board, besides those that something is active of.

        Raises:
            IllegalTransition: If a move is not in the tables of states; nothing is written.
        """

    def states(self) -> dict[str, ScheduleState]:
        """Of every schedule that was ever seen, by name."""

    def fires(self, query: FireQuery) -> list[Fire]:
        """The fires that fit, the latest instant first."""

    def fire(self, key: FireKey) -> Fire | None: ...

    def latest(self, limit: int, statuses: Collection[FireStatus] = ()) -> dict[str, list[Fire]]:
        """The last fires of each schedule, at most `limit`, the latest first; of these statuses if any are given."""

    def has_work(self, now: datetime) -> bool:
        """Whether a turn would find something to do besides what the clock and the data say; quick."""

    def active(self) -> list[Active]:
        """The fires that are not over, with their last runs."""

    def gaps(self, schedule: str | None = None, *, limit: int | None = None) -> list[Gap]:
        """What was passed over, the latest first."""

    def beat(self, record: SchedulerRecord) -> None:
        """Write a scheduler's record, new or as it is by now."""

    def schedulers(self) -> list[SchedulerRecord]:
        """Every scheduler on record, the one heard of last first."""

    def forget(self, before: datetime) -> None:
        """Forget schedulers that stopped before, and messages that were dealt with and made before."""

    def add_message(self, entry: OutboxEntry) -> None:
        """Put a message into the outbox that belongs to no move, unless one with its id was ever there."""

    def messages(self, *, limit: int | None = None) -> list[OutboxEntry]:
        """The outbox, what was sent included, the newest first."""

    def pending_alerts(self, now: datetime) -> list[OutboxEntry]:
        """The messages that it is time to try, the oldest first."""

    def alert_sent(self, entry_id: str, at: datetime) -> None: ...

    def alert_failed(
        self, entry_id: str, at: datetime, error: str, next_try_at: datetime | None, taken: str = ""
    ) -> None:
        """Note a try that failed; without a next one the message is given up."""


def check(moves: Moves, fires: Mapping[FireKey, Fire], runs: Mapping[str, RunStatus]) -> None:
    """Refuse what the tables of states have no way for.

    Args:
        fires: Those that were read in this transaction.
        runs: How the queued runs stand that the moves change.

    Raises:
        IllegalTransition: At the first such move.
    """
    for key, fire in moves.fires.items():
        check_fire_history(old.status if (old := fires.get(key)) is not None else None, fire.status)
    for run_id, (status, _) in moves.runs.items():
        check_transition(runs[run_id], status)
    for record in moves.attempts.values():
        if record.status is not RunStatus.QUEUED:
            check_transition(RunStatus.QUEUED, record.status)
