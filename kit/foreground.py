"""One fire from beginning to end, in front of whoever asked for it: `kit run --schedule`."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from kit import _clock, runs
from kit.errors import KitError, Terminated, UserError
from kit.executors.base import Handle
from kit.fires import Fire, FireKey
from kit.project import Project
from kit.scheduler import Scheduler, Source
from kit.states import FireStatus

__all__ = ["Shown", "drive"]

_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Shown:
    """How what happens is shown. Each is called and returns when there is nothing more to show.

    Attributes:
        attempt: An attempt that is this process's: it ends when this process does.
        other: An attempt that somebody else started, or that an engine has.
        waits: It cannot start yet.
    """

    attempt: Callable[[Fire, Handle], None]
    other: Callable[[Fire], None]
    waits: Callable[[Fire], None]


def drive(project: Project, source: Source, key: FireKey, show: Shown) -> Fire:
    """See a claimed fire through: wait for its turn, run it, try again as its schedule says.

    Ctrl-C cancels the fire, also while it waits. SIGTERM is no wish of a person: a machine wants its place back, and
    starts this again elsewhere. The attempt has failed then, and the fire stays whoever's who comes for it. An attempt
    that somebody else started is theirs, and goes on, as does one that an engine has.

    Raises:
        KitError: If the last attempt could not even be started here.
        KeyboardInterrupt: If it was stopped, and the fire goes on; Terminated if that was by SIGTERM.
    """
    scheduler = Scheduler(project, source, only=key[0], attached=key, looks_at_clock=False)
    with contextlib.closing(scheduler):
        try:
            return _see_through(project, scheduler, key, show)
        except KeyboardInterrupt as stopped:
            traceback.clear_frames(stopped.__traceback__)  # a transaction it came into is open as long as they are
            if isinstance(stopped, Terminated):
                scheduler.give_up()
            else:
                _cancel(project, scheduler, key)
            fire = _get(project, key)
            if not fire.status.is_terminal:
                raise
            return fire


def _see_through(project: Project, scheduler: Scheduler, key: FireKey, show: Shown) -> Fire:
    failed: dict[str, KitError] = {}
    shown: tuple[FireStatus, str, bool] | None = None
    while True:
        failed |= scheduler.turn(_clock.now()).failed
        fire = _get(project, key)
        run_id = fire.run_id or ""
        if fire.status.is_terminal:
            if run_id in failed:
                raise failed[run_id]
            return fire
        handle = scheduler.handles.get(run_id)
        record = project.store.get(run_id) if run_id else None
        elsewhere = handle is None and record is not None and record.executor is not None  # after it was planned here
        stage = (fire.status, run_id, elsewhere)
        if shown == stage or run_id in failed:
            time.sleep(_POLL)
        elif fire.status is not FireStatus.RUNNING:
            shown = stage
            show.waits(fire)
        elif handle is not None:
            shown = stage
            show.attempt(fire, handle)
        elif elsewhere or (record is not None and record.supervisor is not None):
            shown = stage
            show.other(fire)
        else:  # who was to start it may have died: that is for turns to find out
            time.sleep(_POLL)


def _cancel(project: Project, scheduler: Scheduler, key: FireKey) -> None:
    """End what is ours, and what has not begun."""
    fire = _get(project, key)
    handle = scheduler.handles.get(fire.run_id or "")
    if handle is not None:
        handle.cancel()
        handle.wait()
    elif fire.run_id is not None and fire.status is not FireStatus.RUNNING:
        with contextlib.suppress(UserError):  # it began, or ended, just now
            runs.cancel(project, fire.run_id)
    scheduler.turn(_clock.now())


def _get(project: Project, key: FireKey) -> Fire:
    fire = project.store.fires.fire(key)
    if fire is None:
        raise KitError(f"the fire of {key[0]} at {key[1].isoformat()} is gone", fix="See `kit schedule history`.")
    return fire
