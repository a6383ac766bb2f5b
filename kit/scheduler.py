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
from kit._process import boot_id, is_alive, this_process
from kit.alerting import OutboxEntry
from kit.board import Board, Moves, Rules, advance
from kit.errors import KitError, UserError, from_os_error
from kit.executors._telling import ask_engines, send_alerts
from kit.executors.base import Handle
from kit.fires import Fire, FireKey, SchedulerRecord
from kit.models import Origin, Request
from kit.project import Project
from kit.redact import mask
from kit.schedule import Schedule
from kit.schedules import Loaded
from kit.states import IllegalTransition, RunStatus
from kit.triggers import After, Cron, next_after
from kit.watch import DataWatch

__all__ = ["ADHOC", "SILENT", "Fixed", "Scheduler", "Source", "Turn", "is_gone", "put_into_words", "rules_of"]

ADHOC = "cli:"
"""What the name of a schedule begins with that is in no file. A file cannot have such a name."""
SILENT = timedelta(seconds=60)
"""After how long without a word a scheduler that cannot be seen is taken for gone."""

_RECOVER_EVERY = timedelta(seconds=2)
_ORPHANS_EVERY = timedelta(seconds=60)
_SEND_AGAIN_AFTER = timedelta(seconds=60)
_ASK_ENGINES_EVERY = timedelta(seconds=15)


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
        problems: Why a schedule cannot be used, or its data not be looked at, by the schedule's name.
        next_at: When the clock next makes something due; None if it does not.
    """

    at: datetime
    moves: Moves
    failed: Mapping[str, KitError] = field(default_factory=dict)
    problems: Mapping[str, KitError] = field(default_factory=dict)
    next_at: datetime | None = None


class Scheduler:
    """Turns, for all schedules of a project or for some.

    Args:
        project: Where.
        source: The schedules.
        only: The one schedule that is its business; None for all that lie in files.
        attached: The fire whose runs are this process's to show and end when it ends, or True for all. If it is one,
            no other is started.
        looks_at_clock: Whether what is due is found out, by the clock and by looking at data.
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
        self._attached: FireKey | bool | None = attached
        self._looks_at_clock = looks_at_clock
        self._watch = DataWatch(project)
        self._seen: dict[str, Schedule] = {}
        self._next: dict[str, datetime] = {}
        self._observed: dict[str, str] = {}
        self._loaded: Loaded | None = None
        self._stopped: set[str] = set()
        self._recovered_at: datetime | None = None
        self._orphans: frozenset[str] = frozenset()
        self._orphans_at: datetime | None = None
        self._sending: subprocess.Popen[bytes] | None = None
        self._sent_at: datetime | None = None
        self._asking: subprocess.Popen[bytes] | None = None
        self._asked_at: datetime | None = None
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
        if self._only is None and not _recently(self._orphans_at, now, _ORPHANS_EVERY):
            self._orphans, self._orphans_at = self._find_orphans(now), now
        loaded = self._source.load()
        due = self._due(loaded.schedules, now) if self._looks_at_clock else []
        if self._looks_at_clock:  # what was seen is kept until it is acted on: who looks once a day sees it once a day
            self._observed |= self._watch.look(self._own(loaded.schedules), now, wait=wait)
        moves = Moves(now)
        if due or self._observed or loaded is not self._loaded or self._fires.has_work(now):
            moves = self._act(loaded, now, due, self._observed)
            self._observed, self._loaded = {}, loaded
        failed = {fire.run_id or "": error for fire in moves.start if (error := self._start(fire, loaded, now))}
        self._stop(moves.stop)
        self._reap()
        self._send_alerts(now)
        self._ask_engines(now)
        if not _recently(self._recovered_at, now, _RECOVER_EVERY):  # last: what is due does not wait for it
            self._recover(now)
        problems = {**self._watch.problems, **loaded.broken}
        return Turn(now, moves, failed, problems, min(self._next.values(), default=None))

    def end_attached(self) -> Turn:
        """Stop the runs that are this process's and give up what waits; gives the turn that settles them.

        They are asked to stop, and at Ctrl-C made to; what an engine has goes on. After this nothing becomes due any
        more.
        """
        self._looks_at_clock = False
        for item in self._fires.active():
            waits_here = item.attempt.status is RunStatus.QUEUED and item.attempt.executor is None
            if waits_here and self._owns(item.fire.schedule):
                with contextlib.suppress(UserError):  # somebody started it just now
                    runs.cancel(self._project, item.attempt.run_id)
        try:
            self._cancel_and_wait(at_once=False)
        except KeyboardInterrupt:
            self._cancel_and_wait(at_once=True)
        self._recovered_at = None
        return self.turn(_clock.now())

    def give_up(self) -> Turn:
        """End the runs that are this process's, as if it had been killed, so that whoever comes next tries again.

        Gives the turn that settles them, in which nothing starts.
        """
        for handle in self.handles.values():
            handle.give_up()
        for handle in self.handles.values():
            handle.wait()
        self._attached = None
        return self.turn(_clock.now())

    def _cancel_and_wait(self, *, at_once: bool) -> None:
        for handle in self.handles.values():
            handle.cancel(at_once=at_once)
        for handle in self.handles.values():
            handle.wait()

    def close(self) -> None:
        """Let go of what looks at data; runs go on."""
        self._watch.close()
        self._held.close()

    def _recover(self, now: datetime) -> None:
        recovery.recover(self._project, now, asks_engines=False)
        self._recovered_at = now

    def _ask_engines(self, now: datetime) -> None:
        """Have a process of its own settle what is silent elsewhere: nothing that is due here waits for an engine."""
        if (self._asking is not None and self._asking.poll() is None) or _recently(
            self._asked_at, now, _ASK_ENGINES_EVERY
        ):
            return
        self._asked_at = now
        if recovery.awaits_engine(self._project, now):
            self._asking = ask_engines(self._project.paths)

    def _find_orphans(self, now: datetime) -> frozenset[str]:
        """What `kit run --cron` left behind, where that is gone: nobody else settles it."""
        names = {item.fire.schedule for item in self._fires.active() if item.fire.schedule.startswith(ADHOC)}
        if names:
            names -= {r.scope for r in self._fires.schedulers() if r.stopped_at is None and not is_gone(r, now)}
        return frozenset(names)

    def _send_alerts(self, now: datetime) -> None:
        """Have what lies in the outbox sent. A sender that failed as a whole is not started again at once."""
        if (sending := self._sending) is not None:
            if sending.poll() is None or (sending.returncode and _recently(self._sent_at, now, _SEND_AGAIN_AFTER)):
                return
            self._sending = None
        if self._fires.pending_alerts(now):
            self._sending, self._sent_at = send_alerts(self._project.paths), now

    def _own(self, schedules: Mapping[str, Schedule]) -> dict[str, Schedule]:
        return {name: schedule for name, schedule in schedules.items() if self._owns(name)}

    def _owns(self, name: str) -> bool:
        if self._only is not None:
            return name == self._only
        return not name.startswith(ADHOC) or name in self._orphans

    def _starts(self, key: FireKey) -> bool:
        """Whoever is there for one fire leaves with it; a run of another one would have to go on without."""
        return self._attached in {True, False, key}

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
        rules = rules_of(self._project, loaded, due=due, owns=self._owns, starts=self._starts)
        followers = [name for name, schedule in loaded.schedules.items() if isinstance(schedule.trigger, After)]
        moves = self._fires.act(
            lambda board: self._decide(board, rules, now, observed),
            names={*due, *observed, *followers, *loaded.broken},
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
        return put_into_words(advance(board, rules, now, observed=observed), rules)

    def _start(self, fire: Fire, loaded: Loaded, now: datetime) -> KitError | None:
        """Start a run that was claimed. One that cannot be started has failed; its schedule may try again."""
        run_id, schedule = fire.run_id or "", loaded.schedules[fire.schedule]
        try:
            self.handles[run_id] = runs.launch(
                self._project, run_id, _request(schedule, fire), attached=self._attached in {True, fire.key}
            )
        except (KitError, OSError) as caught:
            error = from_os_error(caught) if isinstance(caught, OSError) else caught
        else:
            return None
        with contextlib.suppress(IllegalTransition):  # it was cancelled just now
            self._project.store.transition(
                run_id, RunStatus.FAILED, at=now, exit_code=error.exit_code, reason=mask(str(error))
            )
        return error

    def _stop(self, wanted: Mapping[str, str]) -> None:
        """Ask runs to stop, each once: a second word would mean at once."""
        for run_id in wanted:
            if run_id in self._stopped:
                continue
            # It may have no supervisor yet, or have ended: the next turn sees.
            with contextlib.suppress(UserError, ProcessLookupError):
                if (handle := self.handles.get(run_id)) is not None:
                    handle.cancel()
                else:
                    runs.cancel(self._project, run_id)
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
    starts: Callable[[FireKey], bool] = lambda _key: True,
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
        starts=starts,
    )


def put_into_words(moves: Moves, rules: Rules) -> Moves:
    """Word what people are to be told, so that it is written with the moves."""
    for name, alert in moves.alerts:
        trigger = rules.schedules[name].trigger
        fire = moves.fires.get((name, alert.scheduled_at))
        title, body = alerts.compose_message(
            name,
            alert,
            project=rules.project,
            now=moves.at,
            timezone=trigger.timezone if isinstance(trigger, Cron) else None,
            run_id=None if fire is None else fire.run_id,
        )
        entry_id = secrets.token_hex(8)
        moves.messages.append(OutboxEntry(entry_id, name, alert.kind, title, body, moves.at, next_try_at=moves.at))
    return moves


def is_gone(record: SchedulerRecord, now: datetime) -> bool:
    """Whether a scheduler that never said goodbye is not there any more, as far as can be told from here."""
    if record.process.boot == boot_id():
        return not is_alive(record.process)
    return now - record.heartbeat_at > SILENT


def _recently(then: datetime | None, now: datetime, period: timedelta) -> bool:
    """A clock that was set back makes nothing recent for hours."""
    return then is not None and timedelta() <= now - then < period


def _request(schedule: Schedule, fire: Fire) -> Request:
    return Request(
        overrides=schedule.arguments,
        name=None if schedule.name.startswith(ADHOC) else schedule.name,
        limits=schedule.limits,
        origin=Origin("schedule", schedule.name, fire.attempt, fire.scheduled_at),
        repro=schedule.repro,
        executor=schedule.executor,
        resumes=schedule.retry.resume and fire.attempt > 1,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
