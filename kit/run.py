"""What a task holds of its own run: logging, artifacts, progress and checkpoints."""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeVar

from kit import checkpoints
from kit.checkpoints import Logged
from kit.config import flatten
from kit.errors import UserError
from kit.paths import RunPaths
from kit.redact import mask_config
from kit.trackers.base import Artifact, Params
from kit.trackers.past import Past
from kit.trackers.spool import Point, Progress, Spool, each_point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Rank", "Run"]

T = TypeVar("T")
_SHOW_EVERY = 0.1
_NO_STEP = (-1, 0)


@dataclass(frozen=True, slots=True)
class Rank:
    """One of several processes that work on a task.

    Attributes:
        number: Which, from 0.
        of: How many there are.
        paths: Where its artifacts and checkpoints go: of rank 0 they are the run's.
    """

    number: int
    of: int
    paths: RunPaths


class Run:
    """One execution of an experiment, as its task sees it.

    What is logged is appended to a file in the run's folder and sent to the tracker in the background: no method
    waits for a server, and no tracking error reaches the task.

    A run that is resumed begins as it did before, finds its `latest_checkpoint`, and goes on from there: its series
    do too, and what is logged again, since it is done again, is there once.

    Attributes:
        id: The run's id; a unique beginning of it names the run in every `kit` command.
        name: What the user called it, or the experiment's name.
        seed: What Python, NumPy and PyTorch were seeded with.
        scheduled_at: The instant at which the run's schedule was due, in UTC; None for a run that has no schedule.
        dir: The run's own folder. What a task writes there stays on this machine.
        metrics: The last value of each metric logged so far.
        rank: Which of the run's processes this is, from 0; only rank 0 tracks, and its checkpoints are the run's.
        ranks: How many there are: one, unless the experiment has `resources.ranks`.
    """

    def __init__(
        self,
        paths: RunPaths,
        *,
        name: str,
        seed: int,
        spool: Spool,
        params: Mapping[str, str] | None = None,
        scheduled_at: datetime | None = None,
        rank: Rank | None = None,
        logged: Logged | None = None,
    ) -> None:
        self.id = paths.root.name
        self.name = name
        self.seed = seed
        self.scheduled_at = scheduled_at
        self.rank = 0 if rank is None else rank.number
        self.ranks = 1 if rank is None else rank.of
        self.dir = paths.root
        self.metrics: dict[str, float] = {}
        self._paths = paths
        self._kept = paths if rank is None else rank.paths
        self._spool = spool
        self._keys: dict[str, str] = {}
        self._steps: dict[str, tuple[int, int]] = {}  # the last, and how many values it has
        past = Past(each_point(self._kept.spool))
        self._past = past or None  # a run that was never stopped has none
        self._beginning = checkpoints.latest(paths)
        self._params: dict[str, str] = dict(params or {})
        self._lock = threading.Lock()
        self._lent = False
        if logged is not None:
            self._go_on(logged)

    def log(self, metrics: Mapping[str, SupportsFloat], step: int | None = None) -> None:
        """Log metrics.

        Args:
            metrics: Name to value; anything `float()` takes, a NumPy scalar or a tensor of one element too.
            step: The position in the series; None counts each metric from 0 by itself.

        Raises:
            TypeError, ValueError: If a value is no number, or `step` needs more than 64 bits.
            OSError: If the disk is full.
        """
        if step is not None and not -(2**63) <= int(step) < 2**63:
            raise ValueError(f"step {step} needs more than 64 bits")
        now = time.time()
        # Tasks do this in their innermost loops: here nothing is called that need not be.
        keys = self._keys
        values = {
            keys[name] if name in keys else self._key(name): value if type(value) is float else _number(value)
            for name, value in metrics.items()
        }
        with self._lock:
            if self._lent:
                self._catch_up()
            points = self._placed(values, step, now)
            new, counted = (points, points) if self._past is None else _undone(points, self._past)
            if new or not values:
                self._spool.log(new)
            steps = self._steps
            for key, _, at, _ in counted:
                last, times = steps.get(key, _NO_STEP)
                steps[key] = (at, times + 1 if at == last else 1)
            self.metrics.update(values)

    def _lend(self) -> dict[str, Any]:
        """What a handle to this run in another process is made with; this one then knows what that one logs."""
        with self._lock:
            self._lent = True
            return {
                "name": self.name,
                "seed": self.seed,
                "params": dict(self._params),
                "scheduled_at": self.scheduled_at,
                "logged": Logged(dict(self._steps), dict(self.metrics)),
            }

    def _go_on(self, logged: Logged) -> None:
        """Count on from what was logged until some moment; what came after it is done again."""
        self._past = self._past or Past()
        self._past.go_on(logged.steps)
        self._steps = dict(logged.steps)
        self.metrics |= logged.metrics

    def _catch_up(self) -> None:
        """Go on after what another process has logged: who lends a run waits for it, and logs the result."""
        self._lent = False
        self._steps.clear()
        for point in each_point(self._kept.spool):
            last, times = self._steps.get(point.key, _NO_STEP)
            self._steps[point.key] = (max(last, point.step), times + 1 if point.step == last else 1)
            self.metrics[point.key] = point.value

    def _placed(self, values: Mapping[str, float], step: int | None, now: float) -> list[Point]:
        if step is not None:
            at = int(step)
            return [(key, value, at, now) for key, value in values.items()]
        steps = self._steps
        return [(key, value, steps.get(key, _NO_STEP)[0] + 1, now) for key, value in values.items()]

    def _key(self, name: str) -> str:
        """The name as trackers take it: the same rule as for parameters."""
        key = self._keys[name] = next(iter(flatten({name: 0})))
        return key

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters that the config does not have, such as the number of features found in the data.

        Raises:
            ValueError: If it has another value already, in the config too: a run has one value of each.
        """
        flat = flatten(mask_config(values))
        with self._lock:
            for key, value in flat.items():
                if self._params.get(key, value) != value:
                    raise ValueError(f"parameter {key!r} is {self._params[key]!r} already and cannot become {value!r}")
            self._params |= flat
            self._spool.append(Params(flat))

    def artifact(self, path: str | Path, name: str | None = None) -> Path:
        """Keep a file or folder with the run.

        Args:
            path: What to keep; it is copied now and may change afterwards.
            name: What to call it, `/` for folders; by default its own name.

        Returns:
            The copy, in the run's folder.

        Raises:
            FileNotFoundError: If there is nothing at `path`.
            UserError: If `name` climbs out of the run's folder.
        """
        source = Path(path)
        name = source.name if name is None else name
        kept = self._artifact_path(name)
        if source.resolve() != kept.resolve():
            if source.is_dir():
                shutil.copytree(source, kept, dirs_exist_ok=True)
            else:
                shutil.copy2(source, kept)
        self._spool.append(Artifact(kept, name))
        return kept

    def figure(self, figure: Figure, name: str) -> Path:
        """Keep a matplotlib figure as an image; the ending of `name` says which kind (`.png`, `.svg`, ...).

        Raises:
            UserError: If `name` climbs out of the run's folder.
        """
        kept = self._artifact_path(name if PurePosixPath(name).suffix else f"{name}.png")
        figure.savefig(kept, bbox_inches="tight")
        return self.artifact(kept, str(kept.relative_to(self._kept.artifacts)))

    def progress(self, iterable: Iterable[T], description: str = "", *, total: int | None = None) -> Iterator[T]:
        """Go through `iterable` and show how far it is; `total` where it has no length."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        shown = -math.inf
        done = 0
        for item in iterable:
            if time.monotonic() - shown >= _SHOW_EVERY:
                shown = time.monotonic()
                self._show(Progress(description, done, total))
            yield item
            done += 1
        self._show(Progress(description, done, total))

    def _show(self, progress: Progress) -> None:
        with contextlib.suppress(OSError):  # for a look only: not worth a run, were the disk full
            self._spool.append(progress)

    @contextlib.contextmanager
    def checkpoint(self, step: int, *, keep: int = 3) -> Iterator[Path]:
        """Write a checkpoint: a folder that is there whole, or not at all.

            with run.checkpoint(step) as folder:
                torch.save(model.state_dict(), folder / "model.pt")

        Log what belongs to a step before: a run that is resumed goes on after it.

        Args:
            step: What the checkpoint was made after; a later one for the same step replaces it.
            keep: How many to keep: this one and the latest of the others.

        Raises:
            ValueError: If `keep` is less than 1.
        """
        if keep < 1:
            raise ValueError(f"keep={keep} would keep no checkpoint")
        with self._lock:
            logged = Logged(dict(self._steps), dict(self.metrics))
        with checkpoints.make(self._kept, step, logged, keep=keep) as folder:
            yield folder
        self._beginning = None  # left behind: what is found from now on is this process's own

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        """The step and folder of the last whole checkpoint; None if there is none.

        One that is there when a task begins is from before the run was interrupted. Who asks is expected to go on from
        it: log what belongs to the beginning before, and what belongs to the work after.
        """
        found = checkpoints.latest(self._paths)
        if found is None:
            return None
        with self._lock:
            if found == self._beginning:
                self._go_on(found.logged)
                self._beginning = None
        return found.step, found.files

    def _artifact_path(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
            raise UserError(f"an artifact cannot be called {name!r}", fix="Use a relative name without '..'.")
        path = self._kept.artifacts.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, name={self.name!r})"


def _undone(points: list[Point], past: Past) -> tuple[list[Point], list[Point]]:
    """Those that the run does not have yet, and those that are not behind the checkpoint it goes on from."""
    new = [point for point in points if not past.has(point[0], point[2])]
    return new, [point for point in points if point in new or not past.is_behind(point[0], point[2])]


def _number(value: SupportsFloat) -> float:
    # A tensor that has a gradient warns when `float` takes it, and not when asked itself.
    item = getattr(value, "item", None)
    return float(value if item is None else item())
