"""The process of one run, started by its supervisor.

python -P -m kit._worker RUN_FOLDER            run the task
python -P -m kit._worker --settle RUN_FOLDER   tell the tracker how the run ended
python -P -m kit._worker --settle-all PROJECT  tell it of every run that it does not know all of
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
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--settle", action="store_true")
    what.add_argument("--settle-all", action="store_true")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.settle_all:
            execution.settle_all(options.folder)
        elif options.settle:
            execution.settle(RunPaths(options.folder))
        else:
            return execution.execute(RunPaths(options.folder))
    except KitError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
