"""A task that several processes work on at once: PyTorch's `torchrun` starts them, one for each rank.

Every rank calls the same task with the same config. The first one, rank 0, is the run for all that is recorded: its
metrics, artifacts and checkpoints are the run's. The others have a folder of their own for what they log, of which
nothing is sent anywhere.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit._files import write_atomic
from kit._process import signal_name
from kit.config import TaskParameters
from kit.errors import HostError, RunError
from kit.models import RunSpec, from_json, to_json
from kit.paths import RunPaths
from kit.run import Rank, Run
from kit.trackers.spool import Spool

__all__ = ["Given", "RankPaths", "RankResult", "bind", "launch"]

_UNSEEN = {"KIT_CONTROL_FD", "KIT_SUPERVISOR"}
"""What only the run's own process has: it speaks with the supervisor."""


@dataclass(frozen=True, slots=True)
class Given:
    """What each rank needs; the run's own copy of its spec has no secrets any more."""

    spec: RunSpec
    params: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RankResult:
    """How a rank ended that failed.

    Attributes:
        exit_code: Its process's; below zero the number of the signal that ended it.
        reason: What it said itself; None if it could not.
    """

    rank: int
    exit_code: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RankPaths:
    """What the ranks of a run leave in its folder."""

    run: RunPaths

    @property
    def root(self) -> Path:
        return self.run.root / "ranks"

    @property
    def given(self) -> Path:
        """For as long as they begin and run: it may hold secrets."""
        return self.root / "given.json"

    @property
    def failed(self) -> Path:
        """Which rank was the first to fail, as torchrun says."""
        return self.root / "failed.json"

    def told(self, rank: int) -> Path:
        """Why the rank failed, in its own words."""
        return self.root / f"rank-{rank}.failed.json"

    def log(self, rank: int) -> Path:
        """What a rank printed; of rank 0 it is the run's own log."""
        return self.root / f"rank-{rank}.log"

    def apart(self, name: str) -> RunPaths:
        """Where a process logs that does not track."""
        return RunPaths(self.root / name / self.run.root.name)

    def handle(self, rank: int, ranks: int, *, apart: str | None = None, **facts: Any) -> Run:  # noqa: ANN401 - as `Run` has them
        """What a rank holds of the run.

        Args:
            apart: Where it logs; None is the run itself for rank 0, and a folder of its number for the others.
            facts: As `Run` takes them.
        """
        name = apart or (str(rank) if rank else "")
        own = self.apart(name) if name else self.run
        own.root.mkdir(parents=True, exist_ok=True)
        return Run(self.run, spool=Spool(own.spool), rank=Rank(rank, ranks, own), **facts)


def bind(function: Callable[..., object], parameters: TaskParameters, argument: Any) -> Callable[[Run], object]:  # noqa: ANN401 - what the task asks for
    """The task with its config, to be called with a run."""
    if not parameters.wants_run:
        return lambda _run: function(argument)
    if parameters.run_by_name:
        return lambda run: function(argument, **{parameters.run_name: run})
    return lambda run: function(argument, run)


def launch(run: RunPaths, spec: RunSpec, params: Mapping[str, str]) -> None:
    """Have `torchrun` start the ranks, and see them through. Rank 0 has logged what the task returned.

    Raises:
        HostError: If PyTorch is not there.
        RunError: If a rank failed; torchrun has ended the others then.
    """
    if importlib.util.find_spec("torch") is None:
        fix = "Add it to the project (`uv add torch`), or leave out `resources.ranks`."
        raise HostError("resources.ranks needs PyTorch, which is not installed here", fix=fix)
    paths = RankPaths(run)
    paths.root.mkdir(exist_ok=True)
    for left in paths.root.glob("*failed.json"):
        left.unlink()
    write_atomic(paths.given, to_json(Given(spec, dict(params))), mode=0o600)
    try:
        code = _torchrun(run, spec.resources.ranks or 1)
    finally:
        paths.given.unlink(missing_ok=True)
    if code != 0:
        raise _failure(paths, code)


def _torchrun(run: RunPaths, ranks: int) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in _UNSEEN}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // ranks)))
    command = [sys.executable, "-P", "-m", "kit._rank", "--launch", str(ranks), str(run.root)]
    launcher = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        return launcher.wait()
    finally:  # a run that is stopped waits for what its ranks tidy up; its supervisor has told them
        if launcher.poll() is None:
            launcher.terminate()
            launcher.wait()


def _failure(paths: RankPaths, code: int) -> RunError:
    failed = RankResult(-1, code)
    with contextlib.suppress(FileNotFoundError):
        failed = from_json(paths.failed.read_bytes(), RankResult)
    if failed.rank < 0:
        return RunError(f"torchrun ended with exit code {code}", fix="What it said is in the run's log: `kit logs`.")
    where = paths.run.log if failed.rank == 0 else paths.log(failed.rank)
    with contextlib.suppress(FileNotFoundError):
        told = from_json(paths.told(failed.rank).read_bytes(), RankResult)
        return RunError(f"rank {failed.rank} failed: {told.reason}", where=str(where), fix="Its log has the traceback.")
    how = f"exit code {failed.exit_code}" if failed.exit_code >= 0 else signal_name(-failed.exit_code)
    return RunError(f"rank {failed.rank} ended with {how}", where=str(where), fix="See what it said last.")
