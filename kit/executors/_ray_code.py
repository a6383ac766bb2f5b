"""The project's code for the workers that a run has Ray start on other nodes: those see no folder of this one's."""

from __future__ import annotations

import json
import os
from pathlib import Path

__all__ = ["carried"]

_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Where Ray tells a job's process what its `ray.init()` is to begin with."""


def carried(source: Path, package: str | None) -> dict[str, str]:
    """The variable that has `ray.init()` upload the package as the run has it; nothing outside of a job.

    Args:
        source: The copy of the project that the run is made from.
    """
    told = os.environ.get(_CONFIG)
    if told is None or package is None:
        return {}
    folder = next((each for each in (source / "src" / package, source / package) if each.is_dir()), None)
    if folder is None:
        return {}
    config = json.loads(told)
    environment = config.get("runtime_env") or {}
    modules = [*environment.get("py_modules", ()), str(folder)]
    return {_CONFIG: json.dumps(config | {"runtime_env": environment | {"py_modules": modules}})}
