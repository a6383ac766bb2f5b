"""The process of one run, started by its supervisor.

python -P -m kit._worker RUN_FOLDER            run the task; first plan it, if it was only claimed
python -P -m kit._worker --settle RUN_FOLDER   tell the tracker how the run ended
python -P -m kit._worker --settle-all PROJECT  tell it of every run that it does not know all of
python -P -m kit._worker --alerts PROJECT      send the alerts that wait
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from kit import _probe, control, execution
from kit._seeding import hash_seed
from kit.errors import KitError
from kit.models import Launch, RunSpec, from_json
from kit.paths import RunPaths

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kit._worker")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--settle", action="store_true")
    what.add_argument("--settle-all", action="store_true")
    what.add_argument("--alerts", action="store_true")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.alerts:
            from kit import delivery

            delivery.deliver_alerts(options.folder)
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
    if paths.spec.exists():
        probe = from_json(paths.spec.read_bytes(), RunSpec).probe
        if probe is not None:
            _probe.prepare(probe.held, probe.hash_seed)
        return execution.execute(paths)
    return execution.supervised(paths, lambda: _plan_and_begin_anew(paths))


def _plan_and_begin_anew(paths: RunPaths) -> NoReturn:
    """Plan the run in this process, and give it an interpreter as every run has: fresh, with a hash seed of its own."""
    from kit import planning
    from kit.project import open_project
    from kit.stores.base import RUN_PATIENCE

    launch = from_json(paths.launch.read_bytes(), Launch)
    spec = planning.plan_claimed(open_project(Path(launch.project_root), patience=RUN_PATIENCE), launch.run_id)
    if spec.limits != launch.limits:
        control.adopt_limits()
    sys.stdout.flush()
    sys.stderr.flush()
    # What asks it to stop in between is not lost: it waits for the new interpreter, which lets it through.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed(spec.snapshot.seed))}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "kit._worker", str(paths.root)], environment)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
