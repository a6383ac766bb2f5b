"""Schedules, a clock that is told what time it is, and a scheduler that takes its turns; runs end as the test says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from kit._process import ProcessId
from kit.board import Board, Moves, Rules, advance, request
from kit.fires import Fire, FireOrigin, FireQuery, Gap, ScheduleState
from kit.models import RunRecord
from kit.schedule import Schedule
from kit.states import FireStatus, RunStatus
from kit.stores import MemoryStore, RunQuery, Store
from kit.triggers import After, Cron

__all__ = ["NOON", "World", "hourly", "minute"]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARTER = ProcessId(7, 1, "boot")


def minute(number: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=number)


def hourly(name: str = "s", **changes: Any) -> Schedule:
    """A schedule that is due at every full hour; noon is not looked at."""
    return replace(Schedule(name, Cron("0 * * * *")), **changes)


class World:
    """What `kit.scheduler` does with the pure part, without processes."""

    def __init__(self, *schedules: Schedule, store: Store | None = None, **rules: Any) -> None:
        self.store = store or MemoryStore()
        self.now = NOON
        self.schedules = {schedule.name: schedule for schedule in schedules}
        self.extra: dict[str, Any] = {"max_runs": 10, "pools": {}, **rules}
        self._ids = count(1)

    # The scheduler

    def rules(self, **changes: Any) -> Rules:
        base: dict[str, Any] = {
            "schedules": dict(self.schedules),
            "project": "tiny",
            "experiment": "config",
            "new_id": lambda: f"r{next(self._ids):05}",
            "starter": STARTER,
            "due": sorted(self.schedules),
        }
        return Rules(**base | self.extra | changes)

    def turn(
        self, at: float | datetime | None = None, *, observed: Mapping[str, str] | None = None, **rules: Any
    ) -> Moves:
        """Take a turn at an instant, given in minutes after noon; None is the same time as before."""
        if at is not None:
            self.now = at if isinstance(at, datetime) else minute(at)
        going_by = self.rules(**rules)
        return self.store.fires.act(
            lambda board: advance(board, going_by, self.now, observed=observed),
            names=[*going_by.due, *(observed or {}), *self._followers(going_by), *going_by.broken],
        )

    def _followers(self, rules: Rules) -> Collection[str]:
        return [name for name, schedule in rules.schedules.items() if isinstance(schedule.trigger, After)]

    def request(self, name: str, *at: float, origin: FireOrigin = FireOrigin.REQUEST) -> tuple[Fire, ...]:
        """Ask for these very fires, given in minutes after noon."""
        return self.ask(name, [minute(number) for number in at], origin)

    def ask(self, name: str, instants: Iterable[datetime], origin: FireOrigin) -> tuple[Fire, ...]:
        claimed: list[Fire] = []

        def decide(board: Board) -> Moves:
            moves, fires = request(board, self.rules(), self.now, self.schedules[name], instants, origin)
            claimed.extend(fires)
            return moves

        self.store.fires.act(decide, names=[name])
        return tuple(claimed)

    def pause(self, name: str, why: str | None = None) -> None:
        self._set(name, paused_at=self.now, paused_why=why)

    def resume(self, name: str) -> None:
        self._set(name, paused_at=None, paused_why=None)

    def _set(self, name: str, **changes: Any) -> None:
        """As `kit.firing` does: what was due before counts by how it was before."""
        rules = self.rules(schedules={name: self.schedules[name]}, due=[name], owns=lambda _: False, follows=False)

        def decide(board: Board) -> Moves:
            moves = advance(board, rules, self.now)
            moves.states[name] = replace(moves.states.get(name) or board.states[name], **changes)
            return moves

        self.store.fires.act(decide, names=[name])

    def edit(self, name: str, **changes: Any) -> None:
        """Change the file of a schedule."""
        self.schedules[name] = replace(self.schedules[name], **changes)

    # The runs

    def end(
        self,
        name: str,
        status: RunStatus = RunStatus.SUCCEEDED,
        *,
        exit_code: int | None = None,
        reason: str | None = None,
        at: float | None = None,
    ) -> Fire:
        """End the run of a schedule that is under way; of several, that of the fire at `at`."""
        fire = next(f for f in self.running(name) if at is None or f.scheduled_at == minute(at))
        assert fire.run_id is not None
        if self.store.get(fire.run_id).status is RunStatus.STARTING and status is RunStatus.SUCCEEDED:
            self.store.transition(fire.run_id, RunStatus.RUNNING, at=self.now)
        if reason is None and status is not RunStatus.SUCCEEDED:
            reason = "it broke"
        self.store.transition(fire.run_id, status, at=self.now, exit_code=exit_code, reason=reason)
        return fire

    # What became of it

    def fire(self, name: str, at: float | datetime) -> Fire:
        instant = at if isinstance(at, datetime) else minute(at)
        found = self.store.fires.fire((name, instant))
        assert found is not None, f"no fire of {name} at {instant}"
        return found

    def run(self, name: str, at: float | datetime) -> RunRecord:
        """The last attempt."""
        run_id = self.fire(name, at).run_id
        assert run_id is not None
        return self.store.get(run_id)

    def fires(self, name: str) -> dict[float, FireStatus]:
        """How each fire of a schedule stands, by minutes after noon."""
        found = self.store.fires.fires(FireQuery(schedule=name))
        return {(fire.scheduled_at - NOON) / timedelta(minutes=1): fire.status for fire in reversed(found)}

    def running(self, name: str) -> list[Fire]:
        return self.store.fires.fires(FireQuery(schedule=name, statuses=frozenset({FireStatus.RUNNING})))

    def gaps(self, name: str) -> list[Gap]:
        return self.store.fires.gaps(name)

    def runs(self) -> list[RunRecord]:
        """In the order in which they were made."""
        return sorted(self.store.runs(RunQuery()), key=lambda record: record.run_id)

    def state(self, name: str) -> ScheduleState:
        return self.store.fires.states()[name]
