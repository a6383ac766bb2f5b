"""The scheduler: what is due is claimed, started, settled and told, one turn at a time.

A turn keeps nothing in mind that is not in the store: whoever is killed at any point, the next one goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from kit import _clock, alerts, recovery, runs
from kit._process import this_process
from kit.alerting import OutboxEntry
from kit.board import Board, Moves, Rules, advance
from kit.errors import KitError, UserError
from kit.executors._telling import send_alerts
from kit.executors.base import Handle
from kit.fires import Fire, FireKey
from kit.models import Origin, Request
from kit.project import Project
from kit.redact import mask
from kit.schedule import Schedule
from kit.schedules import Loaded
from kit.states import RunStatus
from kit.triggers import After, Cron, next_after
from kit.watch import DataWatch

__all__ = ["ADHOC", "Fixed", "Scheduler", "Source", "Turn", "rules_of"]

ADHOC = "cli:"
"""What the name of a schedule begins with that is in no file. A file cannot have such a name."""


_RECOVER_EVERY = timedelta(seconds=2)


class Source(Protocol):
    """Where schedules come from."""

    def load(self) -> Loaded: ...


class Fixed:
    """One schedule that lies in no file."""

    def __init__(self, schedule: Schedule) -> None:
        self._loaded = Loaded({schedule.name: schedule}, {})

    def load(self) -> Loaded:
        return self._loaded


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did.

    Attributes:
        at: The instant that it took for now.
        moves: What it changed.
        failed: Runs that could not even be started, with the error.
        next_at: When the clock next makes something due; None if it does not.
    """

    at: datetime
    moves: Moves
    failed: Mapping[str, KitError] = field(default_factory=dict)
    next_at: datetime | None = None


class Scheduler:
    """Turns, for all schedules of a project or for some.

    Args:
        project: Where.
        source: The schedules.
        only: The one schedule that is its business; None for all that lie in files.
        attached: The fire whose runs are this process's to show and end when it ends, or True for all.
    """

    def __init__(
        self,
        project: Project,
        source: Source,
        *,
        only: str | None = None,
        attached: FireKey | bool = False,
        looks_at_clock: bool = True,
    ) -> None:
        self._project = project
        self._fires = project.store.fires
        self._held = project.store.hold()
        self._source = source
        self._only = only
        self._attached = attached
        self._looks_at_clock = looks_at_clock
        self._watch = DataWatch(project)
        self._seen: dict[str, Schedule] = {}
        self._next: dict[str, datetime] = {}
        self._stopped: set[str] = set()
        self._recovered_at: datetime | None = None
        self._sending: subprocess.Popen[bytes] | None = None
        self.handles: dict[str, Handle] = {}

    def turn(self, now: datetime, *, wait: bool = False) -> Turn:
        """Do what is to be done now.

        Args:
            wait: Also for looks at data that take a while.

        Raises:
            HostError: If the store cannot be used; nothing is half done.
        """
        if self._recovered_at is None:
            self._recover(now)
        loaded = self._source.load()
        due = self._due(loaded.schedules, now) if self._looks_at_clock else []
        observed = self._watch.look(self._own(loaded.schedules), now, wait=wait) if self._looks_at_clock else {}
        moves = Moves(now)
        if due or observed or self._fires.has_work(now):
            moves = self._act(loaded, now, due, observed)
        failed = {fire.run_id or "": error for fire in moves.start if (error := self._start(fire, loaded, now))}
        self._stop(moves.stop)
        self._reap()
        self._send_alerts(now)
        if not _recently(self._recovered_at, now, _RECOVER_EVERY):  # last: what is due does not wait for it
            self._recover(now)
        return Turn(now, moves, failed, min(self._next.values(), default=None))

    def end_attached(self) -> Turn:
        """Stop the runs that are this process's, politely, and give up what waits; gives the turn that settles them."""
        for handle in self.handles.values():
            handle.cancel()
        for handle in self.handles.values():
            handle.wait()
        for item in self._fires.active():
            if self._owns(item.fire.schedule) and item.attempt.status is RunStatus.QUEUED:
                with contextlib.suppress(UserError):  # somebody started it just now
                    runs.cancel(self._project, item.attempt.run_id)
        return self.turn(_clock.now())

    def close(self) -> None:
        """Let go of what looks at data; runs go on."""
        self._watch.close()
        self._held.close()

    def _recover(self, now: datetime) -> None:
        recovery.recover(self._project)
        self._recovered_at = now

    def _send_alerts(self, now: datetime) -> None:
        if (self._sending is None or self._sending.poll() is not None) and self._fires.pending_alerts(now):
            self._sending = send_alerts(self._project.paths)

    def _own(self, schedules: Mapping[str, Schedule]) -> dict[str, Schedule]:
        return {name: schedule for name, schedule in schedules.items() if self._owns(name)}

    def _owns(self, name: str) -> bool:
        return not name.startswith(ADHOC) if self._only is None else name == self._only

    def _due(self, schedules: Mapping[str, Schedule], now: datetime) -> list[str]:
        """The schedules whose clock is to be looked at: those that are due, and those that are new or changed."""
        for name in self._seen.keys() - schedules.keys():
            del self._seen[name]
            self._next.pop(name, None)
        changed = {
            name
            for name, schedule in schedules.items()
            if self._owns(name) and self._seen.get(name) is not schedule  # the source gives the same ones back
        }
        return sorted(changed | {name for name, instant in self._next.items() if instant <= now})

    def _act(self, loaded: Loaded, now: datetime, due: Collection[str], observed: Mapping[str, str]) -> Moves:
        rules = rules_of(self._project, loaded, due=due, owns=self._owns, follows=self._looks_at_clock)
        followers = [name for name, schedule in loaded.schedules.items() if isinstance(schedule.trigger, After)]
        moves = self._fires.act(
            lambda board: self._decide(board, rules, now, observed), names={*due, *observed, *followers}
        )
        nexts: dict[object, datetime | None] = {}
        for name in due:
            schedule = self._seen[name] = loaded.schedules[name]
            if schedule.trigger not in nexts:
                nexts[schedule.trigger] = next_after(schedule.trigger, now)
            self._next.pop(name, None)
            if schedule.enabled and (instant := nexts[schedule.trigger]) is not None:
                self._next[name] = instant
        return moves

    def _decide(self, board: Board, rules: Rules, now: datetime, observed: Mapping[str, str]) -> Moves:
        moves = advance(board, rules, now, observed=observed)
        for name, alert in moves.alerts:
            trigger = rules.schedules[name].trigger
            fire = moves.fires.get((name, alert.scheduled_at))
            title, body = alerts.compose_message(
                name,
                alert,
                project=self._project.name,
                now=now,
                timezone=trigger.timezone if isinstance(trigger, Cron) else None,
                run_id=None if fire is None else fire.run_id,
            )
            entry_id = secrets.token_hex(8)
            moves.messages.append(OutboxEntry(entry_id, name, alert.kind, title, body, now, next_try_at=now))
        return moves

    def _start(self, fire: Fire, loaded: Loaded, now: datetime) -> KitError | None:
        """Start a run that was claimed. One that cannot be started has failed; its schedule may try again."""
        run_id, schedule = fire.run_id or "", loaded.schedules[fire.schedule]
        try:
            self.handles[run_id] = runs.launch(
                self._project, run_id, _request(schedule, fire), attached=self._attached in {True, fire.key}
            )
        except KitError as error:
            self._project.store.transition(
                run_id, RunStatus.FAILED, at=now, exit_code=error.exit_code, reason=mask(str(error))
            )
            return error
        return None

    def _stop(self, wanted: Mapping[str, str]) -> None:
        """Ask runs to stop, each once: a second word would mean at once."""
        for run_id in wanted:
            if run_id in self._stopped:
                continue
            if (handle := self.handles.get(run_id)) is not None:
                handle.cancel()
            else:
                with contextlib.suppress(UserError):  # it has no supervisor yet, or has ended: the next turn sees
                    runs.cancel(self._project, run_id)
                    self._stopped.add(run_id)
                continue
            self._stopped.add(run_id)

    def _reap(self) -> None:
        for run_id, handle in list(self.handles.items()):
            if handle.wait(0):
                del self.handles[run_id]
                self._stopped.discard(run_id)


def rules_of(
    project: Project,
    loaded: Loaded,
    *,
    due: Collection[str] = (),
    owns: Callable[[str], bool] = lambda _name: True,
    follows: bool = True,
) -> Rules:
    """The rules that a project's turns go by."""
    settings = project.settings
    return Rules(
        schedules=loaded.schedules,
        broken=loaded.broken,
        project=project.name,
        experiment=settings.config_name,
        pools=settings.slots,
        max_runs=settings.max_runs or _cores(),
        new_id=runs.new_id,
        starter=this_process(),
        due=due,
        owns=owns,
        follows=follows,
    )


def _recently(then: datetime | None, now: datetime, period: timedelta) -> bool:
    """A clock that was set back makes nothing recent for hours."""
    return then is not None and timedelta() <= now - then < period


def _request(schedule: Schedule, fire: Fire) -> Request:
    chosen = () if schedule.experiment is None else (f"experiment={schedule.experiment}",)
    return Request(
        overrides=(*chosen, *schedule.overrides),
        name=None if schedule.name.startswith(ADHOC) else schedule.name,
        limits=schedule.limits,
        origin=Origin("schedule", schedule.name, fire.attempt, fire.scheduled_at),
        repro=schedule.repro,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
