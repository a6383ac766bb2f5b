"""Processes that tell the tracker how runs ended, people what happened, and the store what engines say: nobody waits
for what these load, or for who does not answer them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kit.executors._process import Process, begin
from kit.forkserver._child import is_forked
from kit.paths import ProjectPaths, RunPaths

__all__ = ["ask_engines", "send_alerts", "tell_tracker", "tell_tracker_of_all", "tell_tracker_of_sweep"]

_under_way: list[subprocess.Popen[bytes]] = []
"""Held, since one that nobody waits for must not stay a zombie of a process that lives long."""


def tell_tracker(run: RunPaths, root: Path) -> Process:
    """Start to tell it of one run; goes on when this process ends."""
    if is_forked():
        with run.supervisor_log.open("ab") as out, Path(os.devnull).open("rb") as nothing:
            return begin(
                [sys.executable, "-P", "-m", "kit._worker", "--settle", str(run.root)],
                streams=(nothing.fileno(), out.fileno(), out.fileno()),
                folder=str(root),
                environment=os.environ,
                session=True,
            )
    return _start(["--settle", str(run.root)], root, run.supervisor_log)


def tell_tracker_of_all(project: ProjectPaths) -> subprocess.Popen[bytes]:
    """Start to tell it of every run that it does not know all of."""
    return _start(["--settle-all", str(project.root)], project.root, project.state / "settle.log")


def tell_tracker_of_sweep(project: ProjectPaths, folder: Path) -> subprocess.Popen[bytes]:
    """Start to tell it how the sweep in this folder ended; goes on when this process ends."""
    return _start([str(folder)], project.root, folder / "tracker.log", module="kit.sweeps")


def send_alerts(project: ProjectPaths) -> subprocess.Popen[bytes] | None:
    """Start to send what lies in the outbox; None if somebody is at it, who looks once more before leaving."""
    import filelock

    try:
        with filelock.FileLock(project.alerts_lock, timeout=0):
            pass
    except filelock.Timeout:
        return None
    return _start(["--alerts", str(project.root)], project.root, project.state / "alerts.log")


def ask_engines(project: ProjectPaths) -> subprocess.Popen[bytes]:
    """Start to settle runs on engines that are silent."""
    return _start(["--recover", str(project.root)], project.root, project.state / "engines.log")


def _start(arguments: list[str], root: Path, log: Path, *, module: str = "kit._worker") -> subprocess.Popen[bytes]:
    _under_way[:] = [process for process in _under_way if process.poll() is None]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=root,
            start_new_session=True,
        )
    _under_way.append(process)
    return process
