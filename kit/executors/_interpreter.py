"""Running a run in an interpreter of another environment: its packages, with this kit around the task."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from kit.paths import ProjectPaths

__all__ = ["borrowed"]

_PACKAGE = Path(__file__).resolve().parent.parent


def borrowed(python: Path, paths: ProjectPaths) -> dict[str, str]:
    """What the environment of a process in `python` needs on top of this process's.

    The kit that is installed there may be older than what this one writes for it to read, or be missing: it gets this
    one, alone in a folder, so that nothing else of this environment comes with it.
    """
    folder = paths.harness / hashlib.sha256(os.fsencode(_PACKAGE)).hexdigest()[:12]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / _PACKAGE.name).symlink_to(_PACKAGE, target_is_directory=True)
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "PATH")}
    added = {"PYTHONPATH": folder, "PATH": python.parent}
    return {name: os.pathsep.join(filter(None, (str(added[name]), before[name]))) for name in added}
