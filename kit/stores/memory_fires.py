"""Schedules' state that is forgotten: the twin of `sql_fires`, for tests and simulations."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from kit.alerting import OutboxEntry
from kit.board import Active, Board, Moves
from kit.fires import Attempt, Fire, FireKey, FireQuery, Gap, SchedulerRecord, ScheduleState
from kit.models import RunRecord
from kit.states import FireStatus
from kit.stores.fires import Decide, check

__all__ = ["MemoryFires"]


class MemoryFires:
    """A `FireStore` in dictionaries, beside the runs of a `MemoryStore`."""

    def __init__(self, runs: dict[str, RunRecord]) -> None:
        self._runs = runs
        self._fires: dict[FireKey, Fire] = {}
        self._states: dict[str, ScheduleState] = {}
        self._gaps: list[Gap] = []
        self._schedulers: dict[str, SchedulerRecord] = {}
        self._messages: dict[str, OutboxEntry] = {}
        self._lock = threading.RLock()

    def act(self, decide: Decide, *, names: Collection[str] = ()) -> Moves:
        with self._lock:
            active = self.active()
            wanted = {*names, *(item.fire.schedule for item in active)}
            unfollowed = [
                fire for fire in self._fires.values() if fire.status is FireStatus.SUCCEEDED and not fire.followed
            ]
            read = {fire.key: fire for fire in [*(item.fire for item in active), *unfollowed]}

            def known(keys: Collection[FireKey]) -> dict[FireKey, Fire]:
                found = {key: self._fires[key] for key in keys if key in self._fires}
                read.update(found)
                return found

            moves = decide(
                Board(
                    states={name: self._states[name] for name in wanted if name in self._states},
                    active=active,
                    unfollowed=unfollowed,
                    known=known,
                    causes=self._causes,
                )
            )
            check(moves, read, {item.attempt.run_id: item.attempt.status for item in active})
            self._refuse_doubles(moves, read)
            self._write(moves)
        return moves

    def _causes(self, name: str) -> frozenset[str]:
        return frozenset(
            fire.cause for fire in self._fires.values() if fire.schedule == name and fire.cause is not None
        )

    def _refuse_doubles(self, moves: Moves, read: Collection[FireKey]) -> None:
        """As a database does: a fire, an attempt at it, and a version that makes a schedule fire are there once."""
        again: list[object] = [key for key in moves.fires.keys() - set(read) if key in self._fires]
        if moves.attempts:
            attempts = Counter(record.origin for record in (self._runs | moves.attempts).values())
            again += [origin for origin, number in attempts.items() if number > 1 and origin.scheduled_at is not None]
        if any(fire.cause for fire in moves.fires.values()):
            causes = Counter((fire.schedule, fire.cause) for fire in (self._fires | moves.fires).values() if fire.cause)
            again += [cause for cause, number in causes.items() if number > 1]
        if again:
            raise ValueError(f"{again[0]} exists")

    def _write(self, moves: Moves) -> None:
        self._fires |= moves.fires
        self._runs |= moves.attempts
        for run_id, (status, reason) in moves.runs.items():
            self._runs[run_id] = moves.changed(self._runs[run_id], status, reason)
        self._gaps.extend(moves.gaps)
        self._states |= moves.states
        self._messages |= {entry.entry_id: entry for entry in moves.messages}

    def states(self) -> dict[str, ScheduleState]:
        return dict(self._states)

    def fires(self, query: FireQuery) -> list[Fire]:
        found = [
            fire
            for fire in self._fires.values()
            if query.schedule in {None, fire.schedule}
            and (not query.statuses or fire.status in query.statuses)
            and (query.since is None or fire.scheduled_at >= query.since)
            and (query.until is None or fire.scheduled_at <= query.until)
        ]
        found.sort(key=lambda fire: (fire.scheduled_at, fire.schedule), reverse=True)
        return found[: query.limit]

    def fire(self, key: FireKey) -> Fire | None:
        return self._fires.get(key)

    def latest(self, limit: int, statuses: Collection[FireStatus] = ()) -> dict[str, list[Fire]]:
        found: dict[str, list[Fire]] = {}
        for fire in self.fires(FireQuery(statuses=frozenset(statuses))):
            found.setdefault(fire.schedule, []).append(fire)
        return {name: fires[:limit] for name, fires in found.items()}

    def has_work(self, now: datetime) -> bool:
        return any(
            item.attempt.status.is_terminal
            or item.fire.status is FireStatus.PENDING
            or (item.fire.status is FireStatus.RETRYING and item.fire.due_at <= now)
            or item.fire.stopping is not None
            for item in self.active()
        ) or any(fire.status is FireStatus.SUCCEEDED and not fire.followed for fire in self._fires.values())

    def active(self) -> list[Active]:
        return [
            Active(fire, _attempt(self._runs[fire.run_id]))
            for fire in sorted(self._fires.values(), key=lambda fire: (fire.scheduled_at, fire.schedule))
            if not fire.status.is_terminal and fire.run_id in self._runs
        ]

    def gaps(self, schedule: str | None = None, *, limit: int | None = None) -> list[Gap]:
        found = [gap for gap in reversed(self._gaps) if schedule in {None, gap.schedule}]
        return sorted(found, key=lambda gap: (gap.last, gap.schedule), reverse=True)[:limit]

    def beat(self, record: SchedulerRecord) -> None:
        self._schedulers[record.scheduler_id] = record

    def schedulers(self) -> list[SchedulerRecord]:
        return sorted(self._schedulers.values(), key=lambda record: record.heartbeat_at, reverse=True)

    def forget(self, before: datetime) -> None:
        self._schedulers = {
            key: record
            for key, record in self._schedulers.items()
            if record.stopped_at is None or record.stopped_at >= before
        }
        self._messages = {
            key: entry
            for key, entry in self._messages.items()
            if entry.next_try_at is not None or entry.created_at >= before
        }

    def add_message(self, entry: OutboxEntry) -> None:
        self._messages.setdefault(entry.entry_id, entry)

    def messages(self, *, limit: int | None = None) -> list[OutboxEntry]:
        return sorted(self._messages.values(), key=lambda entry: (entry.created_at, entry.entry_id), reverse=True)[
            :limit
        ]

    def pending_alerts(self, now: datetime) -> list[OutboxEntry]:
        due = [entry for entry in self._messages.values() if entry.next_try_at is not None and entry.next_try_at <= now]
        return sorted(due, key=lambda entry: (entry.created_at, entry.entry_id))

    def alert_sent(self, entry_id: str, at: datetime) -> None:
        entry = self._messages[entry_id]
        self._messages[entry_id] = replace(entry, tries=entry.tries + 1, next_try_at=None, sent_at=at, error=None)

    def alert_failed(
        self,
        entry_id: str,
        at: datetime,  # noqa: ARG002
        error: str,
        next_try_at: datetime | None,
        taken: str = "",
    ) -> None:
        entry = self._messages[entry_id]
        self._messages[entry_id] = replace(
            entry, tries=entry.tries + 1, next_try_at=next_try_at, error=error, taken=taken
        )


def _attempt(record: RunRecord) -> Attempt:
    return Attempt(
        record.run_id,
        record.status,
        record.exit_code,
        record.reason,
        record.started_at,
        record.ended_at,
        record.executor,
        record.starter,
    )
