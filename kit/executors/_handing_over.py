"""Give a run that was planned on this machine to the engine that it is for: every attempt of a schedule begins so.

The store is told first. Who dies between that and the engine's answer is found as whoever dies in `submit` is: by the
engine, which knows no job of the run.
"""

from __future__ import annotations

import contextlib

from kit import _clock
from kit._files import write_atomic
from kit._process import this_process
from kit.errors import HostError
from kit.executors.base import Executor
from kit.executors.registry import executor_named
from kit.models import Launch, RunSpec, from_json, masked, to_json
from kit.paths import ProjectPaths, RunPaths
from kit.settings import Settings
from kit.stores.base import Store

__all__ = ["HandedOver", "hand_over"]


class HandedOver:
    """A run that its engine has."""

    def __init__(self, run_id: str, engine: Executor, store: Store) -> None:
        self._run_id = run_id
        self._engine = engine
        self._store = store

    def withdraw_if(self, *, cancelled: bool) -> None:
        """Take the job back of a run that somebody cancelled while it was submitted, here or in the store."""
        record = self._store.get(self._run_id)
        if cancelled or record.status.is_terminal:
            with contextlib.suppress(HostError):  # a copy that begins after all finds that it is over, or is told so
                self._engine.cancel(record)


def hand_over(paths: ProjectPaths, store: Store, settings: Settings, run: RunPaths) -> HandedOver:
    """Submit the run to the engine that its spec names.

    Raises:
        IllegalTransition: If it was given up meanwhile.
        UserError: If `[tool.kit.executors]` has no such engine any more.
        HostError: If the engine refuses it, or cannot be asked; the run is the caller's to end.
    """
    launch, spec = from_json(run.launch.read_bytes(), Launch), from_json(run.spec.read_bytes(), RunSpec)
    engine = executor_named(spec.executor, paths, store, settings)
    store.hand_over(spec.run_id, spec.executor or "", at=_clock.now(), starter=this_process())
    try:
        engine.submit(launch)
    except BaseException:
        write_atomic(run.spec, to_json(masked(spec)))  # nobody begins with it any more
        raise
    return HandedOver(spec.run_id, engine, store)
