"""Tasks that every project can run, and schedule, as they are: `task: kit.tasks.recheck_champions`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from kit.errors import ExitCode, RunError
from kit.run import Run

__all__ = ["recheck_champions"]

_OWN = ("KIT_", "MLFLOW_RUN_ID")


def recheck_champions(cfg: dict[str, Any], run: Run) -> dict[str, float]:  # noqa: ARG001 - what a task is given
    """Repeat the runs that made the champions, as `kit reproduce --all-best` does, and fail if one is different.

    Raises:
        RunError: If the result of one is not the same, or cannot be had.
    """
    outside = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kit", "reproduce", "--all-best", "--json"],
        env=outside,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout or "[]")
    for each in found:
        print(f"{each['model']}: {each['verdict'] or each['error']}")  # noqa: T201
    if done.returncode != 0:
        wrong = [each["model"] for each in found if each["verdict"] not in {"identical", "equal"}]
        what = "is not what it was" if done.returncode == ExitCode.DIFFERENT else "cannot be repeated"
        raise RunError(f"{what}: {', '.join(wrong) or 'a champion'}", fix="Look with `kit reproduce RUN`.")
    return {"champions": float(len(found))}
