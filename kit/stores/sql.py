"""The store in a database, through SQLAlchemy: SQLite in the project by default."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    and_,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from kit._process import ProcessId
from kit.models import RunRecord, RunSpec, from_json, to_json
from kit.outcomes import Outcome
from kit.states import RunStatus, check_handing_over, check_resumption, check_transition
from kit.stores.base import Comparison, Fenced, Held, RunQuery, no_such_run
from kit.stores.database import Database, one_transaction_each
from kit.stores.engine import create_sqlite_engine, upgrade
from kit.stores.rows import process_text, run_record, run_row
from kit.stores.schema import metrics, params, runs, specs, tags

if TYPE_CHECKING:
    from kit.stores.fires import FireStore

__all__ = ["SqlStore", "run_row"]


@one_transaction_each
class SqlStore:
    """A `Store` in SQLite: one file, write-ahead log, every commit on disk before it counts.

    By `SqlStore.on` it is one in any other database.
    """

    def __init__(self, path: Path, *, lock: Path, patience: float | None = None) -> None:
        """Open the database at `path`, made or brought up to date first, under the file lock `lock`.

        Args:
            path: The file.
            lock: Held while it is made.
            patience: Seconds to wait for whoever else writes; None for as long as is usual.

        Raises:
            UserError: If a newer kit wrote it.
            HostError: If it cannot be opened, read or written, or is damaged.
        """
        upgrade(path, lock=lock)
        self._database = Database(
            create_sqlite_engine(path, patience=patience),
            create_sqlite_engine(path, writes=False, patience=patience),
        )

    @classmethod
    def on(cls, database: Database) -> Self:
        """The store in this database, which is up to date."""
        made = cls.__new__(cls)
        made._database = database  # noqa: SLF001 - its own
        return made

    @property
    def _engine(self) -> Engine:
        return self._database.engine

    @property
    def _reader(self) -> Engine:
        return self._database.reader

    def create(self, spec: RunSpec, record: RunRecord) -> None:
        with self._database.writing() as connection:
            connection.execute(insert(runs).values(run_row(record)))
            connection.execute(insert(specs).values(run_id=record.run_id, spec=to_json(spec).decode()))
            _replace_values(connection, params, record.run_id, record.params)
            _replace_values(connection, tags, record.run_id, record.tags)

    def planned(self, spec: RunSpec, params: Mapping[str, str]) -> None:
        with self._database.writing() as connection:
            record = _get(connection, spec.run_id)
            check_transition(record.status, RunStatus.RUNNING)
            row = run_row(record.planned(spec, params))
            connection.execute(update(runs).where(runs.c.run_id == spec.run_id).values(row))
            connection.execute(insert(specs).values(run_id=spec.run_id, spec=to_json(spec).decode()))
            _replace_values(connection, _PARAMS, spec.run_id, params)
            _replace_values(connection, tags, spec.run_id, spec.tags)

    def get(self, run_id: str) -> RunRecord:
        with self._database.reading() as connection:
            return _get(connection, run_id)

    def spec(self, run_id: str) -> RunSpec | None:
        of_run = select(specs.c.spec).join_from(runs, specs, isouter=True).where(runs.c.run_id == run_id)
        with self._database.reading() as connection:
            row = connection.execute(of_run).first()
        if row is None:
            raise no_such_run(run_id)
        return None if row.spec is None else from_json(row.spec, RunSpec)

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
        changes: dict[str, Any] = {"status": status.value, "exit_code": exit_code, "reason": reason}
        if status is RunStatus.STARTING:
            changes["heartbeat_at"] = at
        if status is RunStatus.RUNNING:
            changes["started_at"] = at
        if status.is_terminal:
            changes["ended_at"] = at
        with self._database.writing() as connection:
            _check(_get(connection, run_id), status, token)
            connection.execute(update(runs).where(runs.c.run_id == run_id).values(changes))
            return _get(connection, run_id)

    def lease(self, run_id: str, *, at: datetime, holder: ProcessId) -> RunRecord:
        with self._database.writing() as connection:
            record = _get(connection, run_id)
            check_transition(record.status, RunStatus.LOST)  # it has not ended
            return _put(connection, record.leased(at=at, holder=holder))

    def beat(self, run_id: str, token: int, *, at: datetime, process: ProcessId | None = None) -> bool:
        changes = {"heartbeat_at": at} | ({} if process is None else {"process": process_text(process)})
        with self._database.writing() as connection:
            record = _get(connection, run_id)
            if record.token != token or record.status.is_terminal:
                return False
            connection.execute(update(runs).where(runs.c.run_id == run_id).values(changes))
            return True

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
        status, code, reason = outcome.status, outcome.exit_code, outcome.reason
        changes: dict[str, Any] = {"status": status.value, "exit_code": code, "reason": reason, "ended_at": at}
        if tracked:
            changes["tracked"] = True
        with self._database.writing() as connection:
            _check(_get(connection, run_id), status, token)
            _replace_metrics(connection, run_id, metrics)
            _replace_values(connection, _PARAMS, run_id, params)
            connection.execute(update(runs).where(runs.c.run_id == run_id).values(changes))
            return _get(connection, run_id)

    def hand_over(self, run_id: str, executor: str, *, at: datetime, starter: ProcessId) -> RunRecord:
        with self._database.writing() as connection:
            record = _get(connection, run_id)
            check_handing_over(record.status)
            return _put(connection, record.handed_over(executor, at=at, starter=starter))

    def resume(self, run_id: str, *, at: datetime, starter: ProcessId) -> RunRecord:
        with self._database.writing() as connection:
            record = _get(connection, run_id)
            check_resumption(record.status)
            return _put(connection, record.resumed(at=at, starter=starter))

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
        facts = {
            "supervisor": process_text(supervisor),
            "process": process_text(process),
            "mlflow_run_id": mlflow_run_id,
            "heartbeat_at": heartbeat_at,
            "tracked": tracked,
            "job": job,
        }
        changes = {name: fact for name, fact in facts.items() if fact is not None}
        with self._database.writing() as connection:
            if connection.execute(update(runs).where(runs.c.run_id == run_id).values(changes)).rowcount == 0:
                raise no_such_run(run_id)

    def set_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        with self._database.writing() as connection:
            _replace_metrics(connection, run_id, metrics)

    def set_params(self, run_id: str, params: Mapping[str, str]) -> None:
        with self._database.writing() as connection:
            _replace_values(connection, _PARAMS, run_id, params)

    def delete(self, run_id: str) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(runs).where(runs.c.run_id == run_id))

    def runs(self, query: RunQuery) -> list[RunRecord]:
        with self._database.reading() as connection:
            return _records(connection, _statement(query))

    def counts(self) -> dict[RunStatus, int]:
        statement = select(runs.c.status, func.count()).group_by(runs.c.status)
        with self._database.reading() as connection:
            return {RunStatus(status): number for status, number in connection.execute(statement)}

    def ids(self, prefix: str, *, limit: int) -> list[str]:
        # startswith(autoescape): a prefix with % or _ means itself.
        statement = (
            select(runs.c.run_id)
            .where(runs.c.run_id.startswith(prefix, autoescape=True))
            .order_by(runs.c.created_at.desc(), runs.c.run_id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return list(connection.scalars(statement))

    def hold(self) -> Held:
        return self._database.hold()

    @cached_property
    def fires(self) -> FireStore:
        from kit.stores.sql_fires import SqlFires

        return SqlFires(self._database)

    def close(self) -> None:
        self._database.close()


# `params` and `metrics` are also the names of arguments, as the protocol has them.
_PARAMS = params


def _replace_values(connection: Connection, table: Table, run_id: str, values: Mapping[str, str]) -> None:
    _replace(connection, table, run_id, {key: {"value": value} for key, value in values.items()})


def _replace_metrics(connection: Connection, run_id: str, values: Mapping[str, float]) -> None:
    _replace(
        connection, metrics, run_id, {k: {"value": _comparable(v), "exact": repr(float(v))} for k, v in values.items()}
    )


def _comparable(value: float) -> float | None:
    """Nothing for what is not a number, as SQLite has it: for PostgreSQL it is greater than all numbers."""
    return None if math.isnan(value) else value


def _replace(connection: Connection, table: Table, run_id: str, values: Mapping[str, Mapping[str, object]]) -> None:
    """Set these keys of a run; new ones come after those that are there."""
    if not values:
        return
    of_run = table.c.run_id == run_id
    known = {row.key: row.position for row in connection.execute(select(table).where(of_run))}
    after = max(known.values(), default=-1) + 1
    connection.execute(delete(table).where(of_run, table.c.key.in_(values)))
    rows = [
        {"run_id": run_id, "key": key, "position": known.get(key, after + index), **columns}
        for index, (key, columns) in enumerate(values.items())
    ]
    connection.execute(insert(table), rows)


def _check(record: RunRecord, status: RunStatus, token: int | None) -> None:
    """Whether this copy of the run, if it is said which, may have it go there."""
    if token is not None and token != record.token:
        raise Fenced(record.run_id, token, record.token)
    check_transition(record.status, status)


def _put(connection: Connection, record: RunRecord) -> RunRecord:
    """Write what the run's own row holds of the record."""
    connection.execute(update(runs).where(runs.c.run_id == record.run_id).values(run_row(record)))
    return record


def _get(connection: Connection, run_id: str) -> RunRecord:
    found = _records(connection, select(runs).where(runs.c.run_id == run_id))
    if not found:
        raise no_such_run(run_id)
    return found[0]


def _statement(query: RunQuery) -> Select[Any]:
    statement = select(runs).where(*_conditions(query)).limit(query.limit)
    newest = (runs.c.created_at.desc(), runs.c.run_id.desc())
    if query.sort is not None:
        value = metrics.c.value
        on = and_(metrics.c.run_id == runs.c.run_id, metrics.c.key == query.sort)
        order = (value.desc() if query.descending else value.asc()).nulls_last()
        return statement.join(metrics, on, isouter=True).order_by(order, *newest)
    return statement.order_by(*(newest if query.descending else (runs.c.created_at.asc(), runs.c.run_id.asc())))


def _conditions(query: RunQuery) -> Iterable[ColumnElement[bool]]:
    if query.experiment is not None:
        yield runs.c.experiment == query.experiment
    if query.statuses:
        yield runs.c.status.in_([status.value for status in query.statuses])
    if query.tracked is not None:
        yield runs.c.tracked == query.tracked
    if query.parent is not None:
        yield runs.c.parent == query.parent
    if query.scheduled_at is not None:
        yield runs.c.scheduled_at == query.scheduled_at
    for key, value in query.tags.items():
        of_run = and_(tags.c.run_id == runs.c.run_id, tags.c.key == key, tags.c.value == value)
        yield exists().where(of_run).correlate(runs)
    for comparison in query.where:
        yield _holds(comparison)


def _holds(comparison: Comparison) -> ColumnElement[bool]:
    return or_(
        _any(metrics, comparison, comparison.number) if comparison.number is not None else false(),
        _any(params, comparison, comparison.value) if comparison.operator in {"=", "!="} else false(),
    )


def _any(table: Table, comparison: Comparison, value: float | str) -> ColumnElement[bool]:
    operator = "<>" if comparison.operator == "!=" else comparison.operator
    holds = table.c.value.op(operator, is_comparison=True)(literal(value))
    return exists().where(table.c.run_id == runs.c.run_id, table.c.key == comparison.key, holds).correlate(runs)


def _records(connection: Connection, statement: Select[Any]) -> list[RunRecord]:
    rows = connection.execute(statement).mappings().all()
    ids = [row["run_id"] for row in rows]
    of_metrics = {
        run_id: {key: float(text) for key, text in values.items()}
        for run_id, values in _values(connection, metrics, "exact", ids).items()
    }
    of_params = _values(connection, params, "value", ids)
    of_tags = _values(connection, tags, "value", ids)
    return [
        run_record(row, of_metrics.get(row["run_id"], {}), of_params[row["run_id"]], of_tags[row["run_id"]])
        for row in rows
    ]


def _values(connection: Connection, table: Table, column: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for start in range(0, len(ids), 500):  # a statement has a limit to its variables
        chosen = table.c.run_id.in_(ids[start : start + 500])
        for run_id, key, value in connection.execute(
            select(table.c.run_id, table.c.key, table.c[column]).where(chosen).order_by(table.c.position)
        ):
            found[run_id][key] = value
    return found
