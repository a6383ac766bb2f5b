"""Folders of the copies of a run, where an engine may start a second one while the first still lives.

Each copy works in `copies/<token>/<run_id>/`, and what it writes is shown in the run's own folder by links. So a copy
that lives on where nobody can see it writes nothing that counts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from kit.paths import RunPaths
from kit.trackers.spool import mend, relocate

__all__ = ["begin", "close", "folder_of", "show"]

_GIVEN = ("config.yaml", "beginning.json")
_CARRIED = ("spool.sent", "spool.jsonl", "console.log", "console.log.1", "console.log.2")
"""What the next copy goes on with; the spool after how much of it was sent."""
_SHOWN = (*_CARRIED, "result.json", "artifacts", "checkpoints", "crash", "profile", "asked.jsonl")
_OWN = {"spec.json", "launch.json", "config.yaml", "beginning.json", "cancelled", "masked", "settle.lock"}


def folder_of(run: RunPaths, token: int) -> RunPaths:
    """Where this copy works."""
    return RunPaths(run.root / "copies" / f"{token:06}" / run.root.name)


def begin(run: RunPaths, token: int) -> RunPaths:
    """Make the folder of a new copy, with what the one before it left, and show it.

    Raises:
        OSError: If the disk refuses.
    """
    copy, before = folder_of(run, token), _before(run, token)
    copy.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _GIVEN:
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(run.root / name, copy.root / name)
    for name in _CARRIED:
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(before.root / name, copy.root / name)
    relocate(copy, before.root, copy.root)
    _carry_folders(before, copy)
    copy.artifacts.mkdir(exist_ok=True)
    mend(copy)
    with contextlib.suppress(FileExistsError):
        copy.cancelled.symlink_to(run.cancelled)
    show(run, token)
    return copy


def show(run: RunPaths, token: int) -> None:
    """Have the run's folder show what this copy writes.

    Raises:
        OSError: If the disk refuses.
    """
    copy = folder_of(run, token).root
    own = {path.name for path in copy.iterdir()} - _OWN
    for name in sorted(own.union(_SHOWN)):
        target, link = os.path.relpath(copy / name, run.root), run.root / name
        if link.is_symlink() and os.readlink(link) == target:  # noqa: PTH115 - as it was written
            continue
        made = run.root / f".{name}.{token:06}"
        made.unlink(missing_ok=True)
        made.symlink_to(target)
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)  # what was there before the first copy, and it has that
        made.replace(link)


def close(run: RunPaths, token: int) -> None:
    """The run has ended with this copy: the others' folders go."""
    with contextlib.suppress(OSError):
        show(run, token)
        for other in (run.root / "copies").iterdir():
            if other != folder_of(run, token).root.parent:
                shutil.rmtree(other, ignore_errors=True)


def _before(run: RunPaths, token: int) -> RunPaths:
    made = [int(path.name) for path in (run.root / "copies").glob("*") if path.name.isdecimal()]
    earlier = [number for number in made if number < token]
    return folder_of(run, max(earlier)) if earlier else run


def _carry_folders(before: RunPaths, copy: RunPaths) -> None:
    """Those that are whole; by links, since no file in them is ever changed. A copy that lives may remove some now."""
    shutil.rmtree(copy.artifacts, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError, shutil.Error):
        shutil.copytree(before.artifacts, copy.artifacts)
    copy.checkpoints.mkdir(exist_ok=True)
    for step in sorted(before.checkpoints.glob("step-*")):
        if step.suffix:
            continue
        unfinished = copy.checkpoints / f"{step.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError, shutil.Error):
            shutil.copytree(step, unfinished, copy_function=_linked)
            unfinished.rename(copy.checkpoints / step.name)


def _linked(source: str, target: str) -> str:
    try:
        Path(target).hardlink_to(source)
    except OSError:  # not on this file system
        shutil.copy2(source, target)
    return target
