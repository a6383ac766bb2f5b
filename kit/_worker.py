"""The process of one run, started by its supervisor.

python -P -m kit._worker RUN_FOLDER            run the task
python -P -m kit._worker --settle RUN_FOLDER   tell the tracker how the run ended
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kit import execution
from kit.errors import KitError
from kit.paths import RunPaths

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kit._worker")
    parser.add_argument("--settle", action="store_true")
    parser.add_argument("run", type=Path)
    options = parser.parse_args(arguments)
    run = RunPaths(options.run)
    if not options.settle:
        return execution.execute(run)
    try:
        execution.settle(run)
    except KitError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
