"""One fire from beginning to end, in front of whoever asked for it: `kit run --schedule`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kit import _clock, runs
from kit.errors import KitError, UserError
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
        other: An attempt that somebody else started.
        waits: It cannot start yet.
    """

    attempt: Callable[[Fire, Handle], None]
    other: Callable[[Fire], None]
    waits: Callable[[Fire], None]


def drive(project: Project, source: Source, key: FireKey, show: Shown) -> Fire:
    """See a claimed fire through: wait for its turn, run it, try again as its schedule says.

    Stopping it (Ctrl-C) cancels the fire, also while it waits.

    Raises:
        HostError: If an attempt cannot be started here, and the schedule does not say to try again.
    """
    scheduler = Scheduler(project, source, only=key[0], attached=key, looks_at_clock=False)
    shown: str | None = None
    waiting: tuple[FireStatus, int] | None = None
    try:
        while True:
            turn = scheduler.turn(_clock.now())
            fire = _get(project, key)
            if fire.status.is_terminal:
                if (error := turn.failed.get(fire.run_id or "")) is not None:
                    raise error
                return fire
            if fire.status is not FireStatus.RUNNING or fire.run_id is None or shown == fire.run_id:
                if fire.status is not FireStatus.RUNNING and waiting != (fire.status, fire.attempt):
                    waiting = (fire.status, fire.attempt)
                    show.waits(fire)
                time.sleep(_POLL)
                continue
            shown = fire.run_id
            if (handle := scheduler.handles.get(fire.run_id)) is not None:
                show.attempt(fire, handle)
            else:
                show.other(fire)
    except KeyboardInterrupt:
        _give_up(project, scheduler, key)
        raise
    finally:
        scheduler.close()


def _give_up(project: Project, scheduler: Scheduler, key: FireKey) -> None:
    """Cancel what has not begun; what runs in front of us has had the signal itself."""
    fire = _get(project, key)
    if fire.run_id is not None and fire.status in {FireStatus.PENDING, FireStatus.RETRYING}:
        try:
            runs.cancel(project, fire.run_id)
        except UserError:  # it began, or ended, just now
            return
        scheduler.turn(_clock.now())


def _get(project: Project, key: FireKey) -> Fire:
    fire = project.store.fires.fire(key)
    if fire is None:
        raise KitError(f"the fire of {key[0]} at {key[1].isoformat()} is gone", fix="See `kit schedule history`.")
    return fire
