"""Schedules' state in the database of the runs: a fire and its first run are one transaction."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from kit.alerting import OutboxEntry
from kit.board import Active, Board, Moves
from kit.fires import Attempt, Fire, FireKey, FireQuery, Gap, SchedulerRecord, ScheduleState
from kit.states import FIRE_TERMINAL, TERMINAL, FireStatus, RunStatus
from kit.stores import fire_tables as tables
from kit.stores.database import Database, one_transaction_each
from kit.stores.fire_rows import (
    as_fire,
    as_gap,
    as_scheduler,
    as_state,
    fire_row,
    gap_row,
    json_text,
    message_row,
    scheduler_row,
    state_row,
)
from kit.stores.fires import Decide, check
from kit.stores.rows import process_of, run_row
from kit.stores.schema import Instant, runs

__all__ = ["SqlFires"]

_AT_ONCE = 400
"""A statement has a limit to its variables."""
_BEGINNING = literal(datetime.min.replace(tzinfo=UTC), Instant)
_ACTIVE = [status.value for status in FireStatus if status not in FIRE_TERMINAL]


@contextmanager
def _no_collections() -> Iterator[None]:
    """Leave cycles alone for a moment: looking for them is a quarter of what claiming ten thousand fires takes."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@one_transaction_each
class SqlFires:
    """A `FireStore` in the database of a `SqlStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def _engine(self) -> Engine:
        return self._database.engine

    def act(self, decide: Decide, *, names: Collection[str] = ()) -> Moves:
        with self._database.writing() as connection, _no_collections():
            reading = _Reading(connection)
            moves = decide(reading.board(names))
            reading.check(moves)
            _write(connection, moves, reading.fires)
        return moves

    def states(self) -> dict[str, ScheduleState]:
        with self._database.reading() as connection:
            return _states(connection, None)

    def fires(self, query: FireQuery) -> list[Fire]:
        fires = tables.fires
        statement = select(fires).order_by(fires.c.scheduled_at.desc(), fires.c.schedule.desc()).limit(query.limit)
        if query.schedule is not None:
            statement = statement.where(fires.c.schedule == query.schedule)
        if query.statuses:
            statement = statement.where(fires.c.status.in_([status.value for status in query.statuses]))
        if query.since is not None:
            statement = statement.where(fires.c.scheduled_at >= query.since)
        if query.until is not None:
            statement = statement.where(fires.c.scheduled_at <= query.until)
        with self._database.reading() as connection:
            return [as_fire(row) for row in connection.execute(statement).mappings()]

    def fire(self, key: FireKey) -> Fire | None:
        with self._database.reading() as connection:
            return next(iter(_fires(connection, [key])), None)

    def latest(self, limit: int, statuses: Collection[FireStatus] = ()) -> dict[str, list[Fire]]:
        fires, others, names = tables.fires, tables.fires.alias(), tables.schedules.c.schedule
        wanted = [status.value for status in statuses or FireStatus]
        edge = (
            select(others.c.scheduled_at)
            .where(others.c.schedule == names, others.c.status.in_(wanted))
            .order_by(others.c.scheduled_at.desc())
            .limit(1)
            .offset(limit - 1)
        )
        since = func.coalesce(edge.scalar_subquery(), _BEGINNING)
        of_schedule = and_(fires.c.schedule == names, fires.c.scheduled_at >= since, fires.c.status.in_(wanted))
        # An outer join has SQLite go through the schedules and look up the fires of each, not through all fires.
        statement = (
            select(fires)
            .select_from(tables.schedules)
            .join(fires, of_schedule, isouter=True)
            .order_by(names, fires.c.scheduled_at.desc())
        )
        found: dict[str, list[Fire]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(statement).mappings():
                if row["schedule"] is not None:
                    found.setdefault(row["schedule"], []).append(as_fire(row))
        return found

    def has_work(self, now: datetime) -> bool:
        fires = tables.fires
        over = and_(
            fires.c.status == FireStatus.RUNNING.value,
            or_(fires.c.stopping.is_not(None), runs.c.status.in_([status.value for status in TERMINAL])),
        )
        # What waits for its turn may have it at any time, also if the clock was set back; a retry has its own time.
        ready = or_(
            fires.c.status == FireStatus.PENDING.value,
            and_(
                fires.c.status == FireStatus.RETRYING.value,
                or_(fires.c.due_at <= now, runs.c.status != RunStatus.QUEUED.value),
            ),
        )
        joined = select(fires.c.run_id).join(runs, runs.c.run_id == fires.c.run_id)
        asked = (
            joined.where(over),
            joined.where(ready),
            select(fires.c.run_id).where(fires.c.status == FireStatus.SUCCEEDED.value, fires.c.followed.is_(False)),
        )
        with self._database.reading() as connection:
            return any(connection.execute(statement.limit(1)).first() is not None for statement in asked)

    def active(self) -> list[Active]:
        with self._database.reading() as connection:
            return _active(connection)

    def gaps(self, schedule: str | None = None, *, limit: int | None = None) -> list[Gap]:
        gaps = tables.gaps
        order = (gaps.c.last.desc(), gaps.c.schedule.desc(), gaps.c.gap_id.desc())
        statement = select(gaps).order_by(*order).limit(limit)
        if schedule is not None:
            statement = statement.where(gaps.c.schedule == schedule)
        with self._database.reading() as connection:
            return [as_gap(row) for row in connection.execute(statement).mappings()]

    def beat(self, record: SchedulerRecord) -> None:
        with self._database.writing() as connection:
            _replace(connection, tables.schedulers, [scheduler_row(record)])

    def schedulers(self) -> list[SchedulerRecord]:
        statement = select(tables.schedulers).order_by(tables.schedulers.c.heartbeat_at.desc())
        with self._database.reading() as connection:
            return [as_scheduler(row) for row in connection.execute(statement).mappings()]

    def forget(self, before: datetime) -> None:
        schedulers, messages = tables.schedulers, tables.messages
        with self._database.writing() as connection:
            connection.execute(delete(schedulers).where(schedulers.c.stopped_at < before))
            connection.execute(delete(messages).where(messages.c.next_try_at.is_(None), messages.c.created_at < before))

    def add_message(self, entry: OutboxEntry) -> None:
        with self._database.writing() as connection:
            known = select(tables.messages.c.entry_id).where(tables.messages.c.entry_id == entry.entry_id)
            if connection.execute(known).first() is None:
                connection.execute(insert(tables.messages), [message_row(entry)])

    def messages(self, *, limit: int | None = None) -> list[OutboxEntry]:
        messages = tables.messages
        order = (messages.c.created_at.desc(), messages.c.entry_id.desc())
        with self._database.reading() as connection:
            found = connection.execute(select(messages).order_by(*order).limit(limit)).mappings()
            return [OutboxEntry(**row) for row in found]

    def pending_alerts(self, now: datetime) -> list[OutboxEntry]:
        messages = tables.messages
        due = select(messages).where(messages.c.next_try_at <= now)
        with self._database.reading() as connection:
            found = connection.execute(due.order_by(messages.c.created_at, messages.c.entry_id)).mappings()
            return [OutboxEntry(**row) for row in found]

    def alert_sent(self, entry_id: str, at: datetime) -> None:
        self._tried(entry_id, next_try_at=None, sent_at=at, error=None)

    def alert_failed(
        self,
        entry_id: str,
        at: datetime,  # noqa: ARG002
        error: str,
        next_try_at: datetime | None,
        taken: str = "",
    ) -> None:
        self._tried(entry_id, next_try_at=next_try_at, error=error, taken=taken)

    def _tried(self, entry_id: str, **changes: object) -> None:
        messages = tables.messages
        one_more = update(messages).where(messages.c.entry_id == entry_id).values(tries=messages.c.tries + 1, **changes)
        with self._database.writing() as connection:
            connection.execute(one_more)


class _Reading:
    """What one transaction has read; what it writes is checked against that."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._runs: dict[str, RunStatus] = {}
        self.fires: dict[FireKey, Fire] = {}

    def board(self, names: Collection[str]) -> Board:
        active = _active(self._connection)
        self._runs = {item.attempt.run_id: item.attempt.status for item in active}
        return Board(
            states=_states(self._connection, {*names, *(item.fire.schedule for item in active)}),
            active=self._keep_active(active),
            unfollowed=list(self._keep(_unfollowed(self._connection)).values()),
            known=lambda keys: self._keep(_fires(self._connection, list(keys))),
            causes=self._causes,
        )

    def _keep_active(self, active: list[Active]) -> list[Active]:
        self._keep(item.fire for item in active)
        return active

    def _keep(self, fires: Iterable[Fire]) -> dict[FireKey, Fire]:
        found = {fire.key: fire for fire in fires}
        self.fires |= found
        return found

    def _causes(self, name: str) -> frozenset[str]:
        fires = tables.fires
        found = select(fires.c.cause).where(fires.c.schedule == name, fires.c.cause.is_not(None))
        return frozenset(self._connection.scalars(found))

    def check(self, moves: Moves) -> None:
        check(moves, self.fires, self._runs)


def _write(connection: Connection, moves: Moves, old: Collection[FireKey]) -> None:
    fires = tables.fires
    new = [fire_row(fire) for key, fire in moves.fires.items() if key not in old]
    changed = [fire_row(fire) for key, fire in moves.fires.items() if key in old]
    _insert(connection, runs, [run_row(record) for record in moves.attempts.values()])
    _insert(connection, fires, new)
    if changed:
        which = (fires.c.schedule == bindparam("of_schedule"), fires.c.scheduled_at == bindparam("of_instant"))
        values: dict[str, Any] = {column.name: bindparam(column.name) for column in fires.c if not column.primary_key}
        rows = [row | {"of_schedule": row.pop("schedule"), "of_instant": row.pop("scheduled_at")} for row in changed]
        connection.execute(update(fires).where(*which).values(values), rows)
    _change_runs(connection, moves)
    _insert(connection, tables.gaps, [gap_row(gap) for gap in moves.gaps])
    _replace(connection, tables.schedules, [state_row(state) for state in moves.states.values()])
    _insert(connection, tables.messages, [message_row(entry) for entry in moves.messages])


def _change_runs(connection: Connection, moves: Moves) -> None:
    starter = None if moves.starter is None else json_text(moves.starter)
    for run_id, (status, reason) in moves.runs.items():
        changes: dict[str, object] = {"status": status.value, "starter": starter, "heartbeat_at": moves.at}
        if status is not RunStatus.STARTING:
            changes = {"status": status.value, "reason": reason, "ended_at": moves.at, "tracked": True}
        connection.execute(update(runs).where(runs.c.run_id == run_id).values(changes))


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _replace(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows by the table's one key, in place of those that are there."""
    if not rows:
        return
    key = table.primary_key.columns.values()[0]
    connection.execute(delete(table).where(key == bindparam("of_key")), [{"of_key": row[key.name]} for row in rows])
    connection.execute(insert(table), rows)


def _active(connection: Connection) -> list[Active]:
    fires = tables.fires
    facts = ("status", "exit_code", "reason", "started_at", "ended_at", "executor", "starter")
    columns = [runs.c[name].label(f"run_{name}") for name in facts]
    statement = (
        select(fires, *columns)
        .join(runs, runs.c.run_id == fires.c.run_id)
        .where(fires.c.status.in_(_ACTIVE))
        .order_by(fires.c.scheduled_at, fires.c.schedule)
    )
    found = []
    for row in connection.execute(statement).mappings():
        attempt = {name: row[f"run_{name}"] for name in facts}
        own = {column.name: row[column.name] for column in fires.c}
        status, starter = RunStatus(attempt.pop("status")), process_of(attempt.pop("starter"))
        found.append(Active(as_fire(own), Attempt(run_id=own["run_id"], status=status, starter=starter, **attempt)))
    return found


def _unfollowed(connection: Connection) -> list[Fire]:
    fires = tables.fires
    done = (fires.c.status == FireStatus.SUCCEEDED.value, fires.c.followed.is_(False))
    return [as_fire(row) for row in connection.execute(select(fires).where(*done)).mappings()]


def _fires(connection: Connection, keys: Sequence[FireKey]) -> Iterator[Fire]:
    """Never asked for in pairs, `(schedule, scheduled_at) IN (...)`: for that SQLite reads every fire there is."""
    fires, instants, names = tables.fires, {instant for _, instant in keys}, {name for name, _ in keys}
    if len(instants) <= _AT_ONCE < len(keys):  # many schedules at once
        wanted = set(keys)
        found = connection.execute(select(fires).where(fires.c.scheduled_at.in_(instants))).mappings()
        yield from (fire for fire in map(as_fire, found) if fire.key in wanted)
        return
    (few, many), pairs = (fires.c.schedule, fires.c.scheduled_at), list[tuple[Any, Any]](keys)
    if len(instants) < len(names):
        (few, many), pairs = (many, few), [(instant, name) for name, instant in keys]
    groups: dict[Any, list[Any]] = defaultdict(list)
    for one, other in pairs:
        groups[one].append(other)
    for one, others in groups.items():
        for start in range(0, len(others), _AT_ONCE):
            chosen = select(fires).where(few == one, many.in_(others[start : start + _AT_ONCE]))
            yield from map(as_fire, connection.execute(chosen).mappings())


def _states(connection: Connection, names: Collection[str] | None) -> dict[str, ScheduleState]:
    schedules = tables.schedules
    statement = select(schedules)
    if names is not None and len(names) <= _AT_ONCE:
        statement = statement.where(schedules.c.schedule.in_(names))
    found = (as_state(row) for row in connection.execute(statement).mappings())
    return {state.schedule: state for state in found if names is None or state.schedule in names}
