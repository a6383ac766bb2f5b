"""Tell the tracker how runs ended, in a process of its own: loading MLflow takes longer than anyone wants to wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kit.paths import ProjectPaths, RunPaths

__all__ = ["tell_tracker", "tell_tracker_of_all"]


def tell_tracker(run: RunPaths, root: Path) -> subprocess.Popen[bytes]:
    """Start to tell it of one run; goes on when this process ends."""
    return _start(["--settle", str(run.root)], root, run.supervisor_log)


def tell_tracker_of_all(project: ProjectPaths) -> subprocess.Popen[bytes]:
    """Start to tell it of every run that it does not know all of."""
    return _start(["--settle-all", str(project.root)], project.root, project.state / "settle.log")


def _start(arguments: list[str], root: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "kit._worker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=root,
            start_new_session=True,
        )
