"""The process of one run, started by its supervisor.

python -P -m kit._worker RUN_FOLDER            run the task; first plan it, if it was only claimed
python -P -m kit._worker --settle RUN_FOLDER   tell the tracker how the run ended
python -P -m kit._worker --settle-all PROJECT  tell it of every run that it does not know all of
python -P -m kit._worker --alerts PROJECT      send the alerts that wait
python -P -m kit._worker --recover PROJECT     settle runs whose process is gone; engines are asked for theirs
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from kit import _probe, control, execution
from kit.errors import KitError
from kit.forkserver._child import end, is_forked
from kit.forkserver._starting import remember
from kit.models import Launch, RunSpec, from_json
from kit.paths import RunPaths
from kit.project import open_project
from kit.stores.base import RUN_PATIENCE

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kit._worker")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--settle", action="store_true")
    what.add_argument("--settle-all", action="store_true")
    what.add_argument("--alerts", action="store_true")
    what.add_argument("--recover", action="store_true")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.alerts:
            from kit import delivery

            delivery.deliver_alerts(options.folder)
        elif options.recover:
            from kit import recovery

            recovery.recover(open_project(options.folder, patience=RUN_PATIENCE))
        elif options.settle_all:
            execution.settle_all(options.folder)
        elif options.settle:
            execution.settle(RunPaths(options.folder))
        else:
            return _run(RunPaths(options.folder))
    except KitError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def _run(paths: RunPaths) -> int:
    planned = not paths.spec.exists()
    if planned:
        code = _plan_in_a_child(paths) if is_forked() else execution.supervised(paths, lambda: _plan_or_leave(paths))
        if code != 0:
            return code
    spec = from_json(paths.spec.read_bytes(), RunSpec)
    if planned and spec.executor is not None:
        return 0  # its supervisor gives it to its engine
    _know_its_instant(spec)
    if spec.probe is not None:
        _probe.prepare(spec.probe.held, spec.probe.hash_seed)
    try:
        return execution.execute(paths)
    finally:
        if spec.worktree is None:
            remember(Path(spec.project_root))


def _plan_in_a_child(paths: RunPaths) -> int:
    """Plan the run in a process of its own: this one stays as it was forked, which is as every run begins."""
    # What asks it to stop meanwhile is not lost: the child hears it, too, and this process when it is done.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.environ["KIT_SUPERVISOR"] = str(os.getppid())
        end(lambda: sys.exit(execution.supervised(paths, lambda: _planned(paths))))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _planned(paths: RunPaths) -> None:
    _plan(paths)


def _plan_or_leave(paths: RunPaths) -> None:
    """Plan the run in this process, and give it an interpreter as every run has: a fresh one, if it is to run here."""
    if _plan(paths).executor is not None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    # What asks it to stop in between is not lost: it waits for the new interpreter, which lets it through.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.execv(sys.executable, [sys.executable, "-P", "-m", "kit._worker", str(paths.root)])  # noqa: S606


def _know_its_instant(spec: RunSpec) -> None:
    """What a schedule's task finds in its environment, wherever it was planned."""
    if spec.origin.kind == "schedule":
        from kit import planning

        os.environ.update(planning.schedule_environment(spec.origin))


def _plan(paths: RunPaths) -> RunSpec:
    from kit import planning

    launch = from_json(paths.launch.read_bytes(), Launch)
    spec = planning.plan_claimed(open_project(Path(launch.project_root), patience=RUN_PATIENCE), launch.run_id)
    if spec.limits != launch.limits:
        control.adopt_limits()
    if spec.executor is not None:
        control.hand_over()
    return spec


if __name__ == "__main__":
    end(lambda: sys.exit(main()))
