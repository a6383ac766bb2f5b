"""Checkpoints: what a task kept to go on from, and how far the run's series were then.

Each is a folder, `checkpoints/step-<step>/`, that is there whole or not at all: the task's own files in `files/`, and
beside them `logged.json`. A run that begins where another one stopped has none of its own at first; it names the
other's.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit._files import sync_tree, write_atomic
from kit.models import from_json, to_json
from kit.paths import RunPaths

__all__ = ["Beginning", "Checkpoint", "Logged", "begin_from", "beginning", "latest", "make"]

_STEP = "step-{:012d}"


@dataclass(frozen=True, slots=True)
class Logged:
    """How far a run's series were.

    Attributes:
        steps: The last step of each metric, and how many values it had there: one, but for a task that says otherwise.
        metrics: The last value of each.
    """

    steps: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Beginning:
    """The checkpoint of another run that a run begins from."""

    run_id: str
    step: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that is whole.

    Attributes:
        run_id: The run that made it.
        step: What it was made after.
        files: The task's own.
    """

    run_id: str
    step: int
    files: Path

    @property
    def logged(self) -> Logged:
        """How far the series were when it was begun.

        Raises:
            OSError, ValueError: If somebody has removed that, or put something else in its place.
        """
        plain = json.loads(self.files.with_name("logged.json").read_bytes())  # not msgspec: it has no NaN
        steps = {str(key): (int(step), int(values)) for key, (step, values) in plain["steps"].items()}
        return Logged(steps, {str(key): float(value) for key, value in plain["metrics"].items()})


@contextlib.contextmanager
def make(run: RunPaths, step: int, logged: Logged, *, keep: int) -> Iterator[Path]:
    """Make a checkpoint of what the block writes into the folder that it gets; none if the block raises.

    Args:
        run: Whose.
        step: What it is made after; one for the same step is replaced.
        logged: How far the run's series are.
        keep: How many to keep: this one and the latest of the others.

    Raises:
        OSError: If the disk refuses.
    """
    final = run.checkpoints / _STEP.format(step)
    folder, replaced = final.with_suffix(".unfinished"), final.with_suffix(".replaced")
    shutil.rmtree(folder, ignore_errors=True)
    files = folder / "files"
    files.mkdir(parents=True)
    (folder / "logged.json").write_text(json.dumps({"steps": logged.steps, "metrics": logged.metrics}))
    yield files
    sync_tree(folder)
    if final.exists():
        shutil.rmtree(replaced, ignore_errors=True)  # an interrupted replacement may have left one
        final.rename(replaced)
    folder.rename(final)
    shutil.rmtree(replaced, ignore_errors=True)
    others = [path for path in _folders(run) if path != final]
    for old in others[: max(len(others) - keep + 1, 0)]:
        shutil.rmtree(old)


def latest(run: RunPaths) -> Checkpoint | None:
    """The run's last whole one, else the one that it began from; None if there is neither."""
    if folders := _folders(run):
        return _checkpoint(run, folders[-1])
    return beginning(run)


def beginning(run: RunPaths) -> Checkpoint | None:
    """The checkpoint of another run that this one began from; None if there is none, or not any more."""
    with contextlib.suppress(FileNotFoundError):
        named = from_json(run.beginning.read_bytes(), Beginning)
        other = run.sibling(named.run_id)
        folder = other.checkpoints / _STEP.format(named.step)
        return _checkpoint(other, folder) if folder.is_dir() else None
    return None


def begin_from(run: RunPaths, checkpoint: Checkpoint) -> None:
    """Have a run that has no checkpoint of its own begin from another run's, which stays where it is.

    Raises:
        OSError: If the disk refuses.
    """
    write_atomic(run.beginning, to_json(Beginning(checkpoint.run_id, checkpoint.step)))


def _checkpoint(run: RunPaths, folder: Path) -> Checkpoint:
    return Checkpoint(run.root.name, int(folder.name.removeprefix("step-")), folder / "files")


def _folders(run: RunPaths) -> list[Path]:
    return sorted(path for path in run.checkpoints.glob("step-*") if not path.suffix)
