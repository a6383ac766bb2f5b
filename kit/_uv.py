"""uv, which makes environments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from kit import _git

__all__ = ["LEADS_ELSEWHERE", "find_uv", "run_uv"]

LEADS_ELSEWHERE = _git.LOCAL_VARIABLES | {
    "VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_WORKING_DIRECTORY", "UV_FROZEN",
    "UV_LOCKED", "UV_NO_SYNC",
}  # fmt: skip
"""Variables that would have git or uv work on another repository or environment than the one that is meant."""


def find_uv() -> str:
    """The uv that came with kit, else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv") or "uv"


def run_uv(folder: Path, *arguments: str, stdin: str = "", **variables: str) -> tuple[bool, str]:
    """Run uv in a folder; whether it did what it was asked to, and the end of what it said.

    Raises:
        OSError: If it cannot be started.
    """
    environment = {name: value for name, value in os.environ.items() if name not in LEADS_ELSEWHERE}
    if (links := os.environ.get("PIP_FIND_LINKS")) is not None:
        environment.setdefault("UV_FIND_LINKS", links)  # what pip finds, uv should
    done = subprocess.run(
        [find_uv(), *arguments],
        cwd=folder,
        env=environment | variables,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return done.returncode == 0, " ".join(lines[-3:])
