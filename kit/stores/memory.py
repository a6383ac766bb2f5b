"""The store that forgets: for tests, users' ones too."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kit._process import ProcessId
from kit.models import RunRecord, RunSpec
from kit.outcomes import Outcome
from kit.states import RunStatus, check_handing_over, check_resumption, check_transition
from kit.stores.base import Comparison, Fenced, Held, RunQuery, no_such_run

if TYPE_CHECKING:
    from kit.stores.fires import FireStore

__all__ = ["MemoryStore"]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


class MemoryStore:
    """A `Store` in two dictionaries."""

    def __init__(self) -> None:
        self._records: dict[str, RunRecord] = {}
        self._specs: dict[str, RunSpec] = {}

    def create(self, spec: RunSpec, record: RunRecord) -> None:
        if record.run_id in self._records:
            raise ValueError(f"run {record.run_id} exists")
        attempt = _attempt(record)
        if attempt is not None and attempt in map(_attempt, self._records.values()):
            raise ValueError(f"attempt {record.origin.index} exists")
        self._records[record.run_id] = record
        self._specs[record.run_id] = spec

    def planned(self, spec: RunSpec, params: Mapping[str, str]) -> None:
        record = self.get(spec.run_id)
        check_transition(record.status, RunStatus.RUNNING)
        self._records[spec.run_id] = record.planned(spec, params)
        self._specs[spec.run_id] = spec

    def get(self, run_id: str) -> RunRecord:
        try:
            return self._records[run_id]
        except KeyError:
            raise no_such_run(run_id) from None

    def spec(self, run_id: str) -> RunSpec | None:
        self.get(run_id)
        return self._specs.get(run_id)

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
        record = self.get(run_id)
        _check(record, status, token)
        changed = replace(record, status=status, exit_code=exit_code, reason=reason)
        if status is RunStatus.STARTING:
            changed = replace(changed, heartbeat_at=at)
        if status is RunStatus.RUNNING:
            changed = replace(changed, started_at=at)
        if status.is_terminal:
            changed = replace(changed, ended_at=at)
        self._records[run_id] = changed
        return changed

    def lease(self, run_id: str, *, at: datetime, holder: ProcessId) -> RunRecord:
        record = self.get(run_id)
        check_transition(record.status, RunStatus.LOST)  # it has not ended
        self._records[run_id] = record.leased(at=at, holder=holder)
        return self._records[run_id]

    def beat(self, run_id: str, token: int, *, at: datetime, process: ProcessId | None = None) -> bool:
        record = self.get(run_id)
        if record.token != token or record.status.is_terminal:
            return False
        self.attach(run_id, heartbeat_at=at, process=process)
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
        _check(self.get(run_id), outcome.status, token)
        self.set_metrics(run_id, metrics)
        self.set_params(run_id, params)
        if tracked:
            self.attach(run_id, tracked=True)
        return self.transition(run_id, outcome.status, at=at, exit_code=outcome.exit_code, reason=outcome.reason)

    def hand_over(self, run_id: str, executor: str, *, at: datetime, starter: ProcessId) -> RunRecord:
        record = self.get(run_id)
        check_handing_over(record.status)
        self._records[run_id] = record.handed_over(executor, at=at, starter=starter)
        return self._records[run_id]

    def resume(self, run_id: str, *, at: datetime, starter: ProcessId) -> RunRecord:
        record = self.get(run_id)
        check_resumption(record.status)
        self._records[run_id] = record.resumed(at=at, starter=starter)
        return self._records[run_id]

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
            "supervisor": supervisor,
            "process": process,
            "mlflow_run_id": mlflow_run_id,
            "heartbeat_at": heartbeat_at,
            "tracked": tracked,
            "job": job,
        }
        changes: dict[str, Any] = {name: fact for name, fact in facts.items() if fact is not None}
        self._records[run_id] = replace(self.get(run_id), **changes)

    def set_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        record = self.get(run_id)
        self._records[run_id] = replace(record, metrics=record.metrics | dict(metrics))

    def set_params(self, run_id: str, params: Mapping[str, str]) -> None:
        record = self.get(run_id)
        self._records[run_id] = replace(record, params=record.params | dict(params))

    def delete(self, run_id: str) -> None:
        self._records.pop(run_id, None)
        self._specs.pop(run_id, None)

    def runs(self, query: RunQuery) -> list[RunRecord]:
        found = [record for record in self._newest_first() if _fits(record, query)]
        if query.sort is not None:
            found = _sorted(found, query.sort, descending=query.descending)
        elif not query.descending:
            found.reverse()
        return found[: query.limit]

    def counts(self) -> dict[RunStatus, int]:
        return dict(Counter(record.status for record in self._records.values()))

    def ids(self, prefix: str, *, limit: int) -> list[str]:
        return [record.run_id for record in self._newest_first() if record.run_id.startswith(prefix)][:limit]

    def hold(self) -> Held:
        return ExitStack()

    @cached_property
    def fires(self) -> FireStore:
        from kit.stores.memory_fires import MemoryFires

        return MemoryFires(self._records)

    def close(self) -> None:
        """Nothing is held."""

    def _newest_first(self) -> list[RunRecord]:
        return sorted(self._records.values(), key=lambda record: (record.created_at, record.run_id), reverse=True)


def _check(record: RunRecord, status: RunStatus, token: int | None) -> None:
    if token is not None and token != record.token:
        raise Fenced(record.run_id, token, record.token)
    check_transition(record.status, status)


def _attempt(record: RunRecord) -> tuple[object, ...] | None:
    """What is unique of a schedule's run; None for every other."""
    origin = record.origin
    return None if origin.scheduled_at is None else (origin.parent, origin.scheduled_at, origin.index)


def _fits(record: RunRecord, query: RunQuery) -> bool:
    return (
        (query.experiment is None or record.experiment == query.experiment)
        and (not query.statuses or record.status in query.statuses)
        and all(record.tags.get(key) == value for key, value in query.tags.items())
        and (query.tracked is None or record.tracked == query.tracked)
        and (query.parent is None or record.origin.parent == query.parent)
        and (query.scheduled_at is None or record.origin.scheduled_at == query.scheduled_at)
        and all(_holds(record, comparison) for comparison in query.where)
    )


def _holds(record: RunRecord, comparison: Comparison) -> bool:
    compare = _COMPARE[comparison.operator]
    metric, param = record.metrics.get(comparison.key), record.params.get(comparison.key)
    if metric is not None and comparison.number is not None and compare(metric, comparison.number):
        return True
    return param is not None and comparison.operator in {"=", "!="} and compare(param, comparison.value)


def _sorted(records: list[RunRecord], metric: str, *, descending: bool) -> list[RunRecord]:
    having = [record for record in records if not math.isnan(record.metrics.get(metric, math.nan))]
    lacking = [record for record in records if math.isnan(record.metrics.get(metric, math.nan))]
    return sorted(having, key=lambda record: record.metrics[metric], reverse=descending) + lacking
