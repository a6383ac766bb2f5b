"""What kit keeps in the project: who may read it, and the forkserver that lives there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kit.doctor._finding import Finding, Place
from kit.forkserver._client import unsuited
from kit.forkserver._control import status

__all__ = ["look_at_forkserver", "look_at_permissions"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def look_at_permissions(place: Place) -> Iterator[Finding]:
    """`.kit/` holds what runs logged: it is to be yours, and nobody else's to read."""
    if place.project is None:
        return
    paths = place.project.paths
    if not paths.state.exists():
        if os.access(paths.root, os.W_OK | os.X_OK):
            yield Finding("permissions", ok=True, what=".kit is made by the first run")
        else:
            fix = f"Make the folder yours: `sudo chown $USER {paths.root}`."
            yield Finding("permissions", ok=False, what=f"{paths.root} cannot be written", fix=fix)
        return
    yield _judge(paths.state, [paths.state, paths.runs, paths.locks, paths.store])


def _judge(state: Path, inside: list[Path]) -> Finding:
    there = [path for path in inside if path.exists()]
    foreign = [path for path in there if path.stat().st_uid != os.geteuid()]
    if foreign and os.geteuid() != 0:
        fix = f"Make it yours: `sudo chown -R $USER {state}`."
        return Finding("permissions", ok=False, what=f"{foreign[0]} belongs to somebody else", fix=fix)
    fix = f"Let yourself write there: `chmod -R u+rwX {state}`."
    for path in there:
        if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
            return Finding("permissions", ok=False, what=f"{path} cannot be written", fix=fix)
    mode = stat.S_IMODE(state.stat().st_mode)
    if mode & _OTHERS:
        what = f".kit has mode {mode:04o}: others may read what runs logged"
        return Finding("permissions", ok=False, what=what, fix=f"Close it: `chmod 700 {state}`.")
    return Finding("permissions", ok=True, what=f".kit is yours alone ({mode:04o})")


def look_at_forkserver(place: Place) -> Iterator[Finding]:
    """The process that runs are forked from; none is no fault."""
    if place.project is None:
        return
    if (why := unsuited()) is not None:
        yield Finding("forkserver", ok=True, what=f"not used: {why}")
        return
    found = status(place.project.root)
    if found is None:
        yield Finding("forkserver", ok=True, what="none runs; the next `kit run` starts one")
        return
    more = f"; not imported ahead: {', '.join(found.skipped)}" if found.skipped else ""
    yield Finding("forkserver", ok=True, what=f"process {found.pid}, {found.modules} modules imported{more}")
