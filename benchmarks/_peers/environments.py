"""An environment for each peer, made with uv from pinned requirements, its bytecode compiled."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["REPOSITORY", "Failed", "installed", "variables"]

REPOSITORY = Path(__file__).resolve().parent.parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements")
_PATIENCE = 900.0
_OURS = (
    "KIT_",
    "MLFLOW_",
    "HYDRA_",
    "DVC_",
    "GUILD_",
    "KEDRO_",
    "METAFLOW_",
    "PREFECT_",
    "PYTHON",
    "UV_",
    "GIT_",
    "XDG_",
)


class Failed(Exception):
    """A peer cannot be installed, or what it was to do went wrong. The others go on."""


def variables(home: Path, programs: Path) -> dict[str, str]:
    """An environment in which nothing of the user's is found, nothing is told to anybody, and bytecode is written."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS) and name != "VIRTUAL_ENV"}
    return kept | {
        "HOME": str(home),
        "USERNAME": "bench",
        "PATH": f"{programs}:{os.environ['PATH']}",
        "GIT_CONFIG_NOSYSTEM": "1",
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "KEDRO_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def installed(name: str, place: Path) -> Path:
    """The programs of an environment: the one that is there, unless it is another than is wanted now.

    Raises:
        Failed: It cannot be made.
    """
    folder = place / name
    pinned = _exported() if name == "kit" else (REQUIREMENTS / f"{name}.txt").read_text()
    made_from = hashlib.sha256(pinned.encode()).hexdigest()
    marker = folder / "made-from"
    if not marker.is_file() or marker.read_text() != made_from:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _uv("venv", "--python", "3.11", str(folder))
        (folder / "requirements.txt").write_text(pinned)
        _uv("pip", "install", "--python", str(folder), "-r", str(folder / "requirements.txt"))
        marker.write_text(made_from)
    if name == "kit":  # as it is now, and as it is installed: not from the work tree
        _uv("pip", "install", "--python", str(folder), "--no-deps", "--reinstall", str(REPOSITORY))
    return folder / "bin"


def _exported() -> str:
    """kit's dependencies as uv.lock pins them, without what only its developers need."""
    return _uv("export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--no-header", "--no-annotate")


def _uv(*arguments: str) -> str:
    # Some machines set PYTHONDONTWRITEBYTECODE; without compiled bytecode every figure doubles.
    leave = {"PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}
    env: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in leave}
    program = shutil.which("uv")
    if program is None:
        raise Failed("there is no uv")
    try:
        done = subprocess.run(
            [program, "--quiet", *arguments],
            cwd=REPOSITORY,
            env={**env, "UV_COMPILE_BYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"uv {arguments[0]} took more than {_PATIENCE:.0f} s") from None
    if done.returncode:
        raise Failed(f"uv {' '.join(arguments[:2])}: {done.stderr.strip()[-600:]}")
    return done.stdout
