"""Trials under way, a few at a time: whichever ends makes room for another at once."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from kit import _clock, checkpoints, recovery, runs
from kit._files import write_atomic
from kit._variables import variables
from kit.errors import KitError, UserError
from kit.executors.base import Handle
from kit.models import Origin, Request, RunRecord, RunSpec
from kit.project import Project
from kit.resume import resume
from kit.states import TERMINAL
from kit.stores.base import RunQuery
from kit.trackers.spool import SpoolTail

__all__ = ["Pool", "Running", "Trial", "cores"]

_ALL = 1_000
"""Trials at a time, where an engine decides how many of them run."""
_LOOK_EVERY, _SETTLE_EVERY = 0.5, 10.0
"""Seconds from one look at what an engine has to the next, at least; and a look takes a tenth of the time at most."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of overrides to try.

    Attributes:
        index: Its number in the sweep, from 0.
        draft: Its config, if that was composed already.
        stopped: The run of it that was interrupted, which may go on.
    """

    index: int
    overrides: tuple[str, ...]
    draft: runs.Draft | None = None
    stopped: RunRecord | None = None


@dataclass(slots=True)
class Running:
    """A trial under way."""

    trial: Trial
    run_id: str
    tail: SpoolTail
    slots: dict[str, list[int]]
    handle: Handle | None = None
    cancelled: bool = False
    elsewhere: bool = False
    """Whether an engine has it, which this process's end does not concern."""
    failed: KitError | None = None
    """Why it could not go on from where it was."""


@dataclass(slots=True)
class _Shared:
    """Named slots: which of each pool are free."""

    needs: Mapping[str, int]
    free: dict[str, list[int]] = field(default_factory=dict)

    def fit(self) -> bool:
        return all(len(self.free[name]) >= number for name, number in self.needs.items())

    def take(self) -> dict[str, list[int]]:
        return {name: [self.free[name].pop(0) for _ in range(number)] for name, number in self.needs.items()}

    def give_back(self, taken: Mapping[str, list[int]]) -> None:
        for name, numbers in taken.items():
            self.free[name] = sorted([*self.free[name], *numbers])


class Pool:
    """The trials under way. Threads only wait; whatever is decided or written is in the caller's.

    What an engine has is asked for all at once, of the store: a thousand threads that each ask would be busy with that.

    Args:
        request: What each trial is asked for with, but for its overrides.
        jobs: Trials at a time; None: as the slots allow, else as many as there are cores to use.
        slots: How many of each named pool of `[tool.kit.slots]` a trial takes.

    Raises:
        UserError: If a trial needs more slots than there are.
    """

    def __init__(
        self, project: Project, sweep_id: str, request: Request, *, jobs: int | None, slots: Mapping[str, int]
    ) -> None:
        self._project = project
        self._sweep_id = sweep_id
        self._request = request
        sizes = {name: project.settings.slots.get(name, 1) for name in slots}
        for name, number in slots.items():
            if number > sizes[name]:
                fix = f"Say how many there are: `{name} = {number}` under [tool.kit.slots] in pyproject.toml."
                raise UserError(f"a trial needs {number} slots of {name!r}, and there are {sizes[name]}", fix=fix)
        self._shared = _Shared(slots, {name: list(range(size)) for name, size in sizes.items()})
        self._jobs = jobs or (sum(sizes.values()) if slots else cores())
        self._chosen = jobs is not None or bool(slots)
        self._ends: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._look_at = self._settle_at = 0.0
        self.running: dict[int, Running] = {}
        self.notes: list[str] = []
        """What a user should know, as it came up."""

    @property
    def has_room(self) -> bool:
        return len(self.running) < self._jobs and self._shared.fit()

    def draft(self, trial: Trial) -> runs.Draft:
        """Raises:
        UserError: If its overrides or its config cannot be used.
        """
        origin = Origin("sweep", self._sweep_id, trial.index)
        made = runs.draft(
            self._project, replace(self._request, overrides=trial.overrides, origin=origin, job=trial.index)
        )
        if made.executor is not None and not self._chosen:
            self._jobs = _ALL  # its engine has a queue of its own
        return made

    def start(self, trial: Trial) -> None:
        """Start it, or have it go on from its checkpoint, if it was stopped and left one.

        Raises:
            KitError: If it cannot be started.
        """
        taken = self._shared.take()
        try:
            with variables(_slot_variables(taken)):
                self._start(trial, taken)
        except BaseException:
            self._shared.give_back(taken)
            raise

    def _start(self, trial: Trial, taken: dict[str, list[int]]) -> None:
        paths = self._project.paths
        if (before := trial.stopped) is not None and checkpoints.latest(paths.run(before.run_id)) is not None:
            running = Running(trial, before.run_id, SpoolTail(paths.run(before.run_id).spool), taken)
            self._add(running, lambda: self._go_on(running, before))
            return
        spec = runs.plan(self._project, trial.draft or self.draft(trial))
        tail = SpoolTail(paths.run(spec.run_id).spool)
        handle = runs.start(self._project, spec)
        running = Running(trial, spec.run_id, tail, taken, handle, elsewhere=spec.executor is not None)
        if running.elsewhere:
            self.running[trial.index] = running
        else:
            self._add(running, handle.wait)

    def _add(self, running: Running, work: Callable[[], object]) -> None:
        self.running[running.trial.index] = running

        def wait() -> None:
            try:
                work()
            finally:
                self._ends.put(running.trial.index)

        threading.Thread(target=wait, name=f"kit-trial-{running.trial.index}", daemon=True).start()

    def _go_on(self, running: Running, record: RunRecord) -> None:
        def watch(handle: Handle, _spec: RunSpec) -> None:
            running.handle = handle
            if running.cancelled:
                handle.cancel()
            handle.wait()

        try:
            resume(self._project, record, watch=watch, tell=lambda _text: None, interactive=False)
        except KitError as error:
            running.failed = error

    def wait(self, timeout: float) -> list[tuple[Trial, RunRecord]]:
        """Those that have ended; waits so many seconds for the first of them. Who could not go on begins anew."""
        ended = []
        for index in self._ended(timeout):
            running = self.running.pop(index)
            self._shared.give_back(running.slots)
            if running.failed is not None and not running.cancelled:
                self.notes.append(f"trial {index} begins anew: {running.failed.what}")
                self.start(replace(running.trial, stopped=None))
            else:
                ended.append((running.trial, runs.ended(self._project, running.run_id)))
        return ended

    def _ended(self, timeout: float) -> list[int]:
        found = self._ended_elsewhere()
        with contextlib.suppress(queue.Empty):
            found.append(self._ends.get(timeout=0.0 if found else timeout))
            while True:
                found.append(self._ends.get_nowait())
        return found

    def _ended_elsewhere(self) -> list[int]:
        began = time.monotonic()
        waiting = {running.run_id: index for index, running in self.running.items() if running.elsewhere}
        if not waiting or began < self._look_at:
            return []
        if began >= self._settle_at:
            recovery.recover(self._project, _clock.now())  # asks engines for those that are silent
            self._settle_at = time.monotonic() + _SETTLE_EVERY
        query = RunQuery(parent=self._sweep_id, statuses=TERMINAL)
        over = [waiting[run.run_id] for run in self._project.store.runs(query) if run.run_id in waiting]
        now = time.monotonic()
        self._look_at = now + max(_LOOK_EVERY, 9 * (now - began))
        # Of those that have ended only: whether the tracker knows all of it yet.
        return [index for index in over if (handle := self.running[index].handle) is None or handle.wait(0)]

    def prune(self, running: Running, why: str) -> None:
        """Have a trial stopped that is not worth going on with."""
        write_atomic(self._project.paths.run(running.run_id).cancelled, why)
        self._cancel(running)

    def close(self) -> None:
        """Stop what is under way and wait for it; asked once more, by force. What an engine has goes on."""
        for index in [index for index, running in self.running.items() if running.elsewhere]:
            self.running.pop(index)
        for running in self.running.values():
            self._cancel(running)
        while self.running:
            try:
                self.wait(1.0)
            except KeyboardInterrupt:
                for running in self.running.values():
                    self._cancel(running, at_once=True)

    @staticmethod
    def _cancel(running: Running, *, at_once: bool = False) -> None:
        running.cancelled = True
        if running.handle is not None:
            running.handle.cancel(at_once=at_once)


def _slot_variables(taken: Mapping[str, list[int]]) -> dict[str, str]:
    """What a trial finds in its environment: which slots it has. CUDA's own variable for those called `gpu`."""
    found = {f"KIT_SLOT_{name.upper().replace('-', '_')}": ",".join(map(str, slots)) for name, slots in taken.items()}
    if "gpu" in taken:
        devices = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        found["CUDA_VISIBLE_DEVICES"] = ",".join(
            devices[number] if number < len(devices) else str(number) for number in taken["gpu"]
        )
    return found


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
