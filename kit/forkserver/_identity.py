"""What a forkserver is made from: when any of it changes, an interpreter would import something else."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kit.forkserver._preload import Preloaded, state_of

__all__ = ["Identity", "with_defaults"]

_LOCKS = ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "requirements.txt")
_PACKAGE = Path(__file__).resolve().parent.parent
_AT_LOAD = (
    "ATEN_", "BLIS_", "CUBLAS_", "CUDA_", "CUDNN_", "GOMP_", "GOTO_", "HSA_", "KMP_", "LANG", "LC_", "LD_", "MALLOC_",
    "MKL_", "NCCL_", "NPY_", "NUMEXPR_", "NVIDIA_", "OMP_", "OPENBLAS_", "OPENSSL_", "PYTHON", "PYTORCH_", "ROCM_",
    "TORCH_", "TZ", "VECLIB_",
    # What measures or steps through a process from its first line on.
    "COVERAGE_", "COV_CORE_", "PYCHARM_", "PYDEVD", "DEBUGPY_",
)  # fmt: skip
"""Variables that C libraries read as they are loaded, where nobody sees it."""
_SET_LATER = frozenset({"PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})
"""What a forked process can take over, or has as every run has it."""


class Identity:
    """Args:
    root: The project, whose lock file says what is to be installed.
    preloaded: What was imported, and read for it.
    since: When importing began, in seconds since the epoch.
    """

    def __init__(self, root: Path, preloaded: Preloaded, since: float) -> None:
        self._preloaded = preloaded
        self._since = int(since * 1e9)
        self._files = dict(preloaded.files)
        fixed = [*_installed(), *(str(root / name) for name in _LOCKS), *_modules()]
        self._files |= {path: state_of(path) for path in fixed}

    def changed(self) -> str | None:
        """What is not as it was when it was imported; None if all is."""
        for path, state in self._files.items():
            # What changed while it was imported may have been read before or after.
            if state_of(path) != state or (state is not None and state[-1] >= self._since):
                return f"{path} has changed"
        return None

    def differs(self, environment: dict[str, str]) -> str | None:
        """Which variable would have had something imported in another way; None if none would."""
        ours, environment = with_defaults(self._preloaded.environment), with_defaults(environment)
        names = {*ours, *environment}
        asked = {name for name in names if name in self._preloaded.read or name.startswith(_AT_LOAD)}
        added = {name for name, value in self._preloaded.added.items() if environment.get(name) == value}
        for name in sorted(asked - _SET_LATER - added):  # a process that was forked asks with what importing has set
            if not name.startswith("KIT_") and _outside_hooks(name, ours) != _outside_hooks(name, environment):
                return f"{name} is another in the environment"
        return None

    def with_added(self, environment: dict[str, str]) -> dict[str, str]:
        """An environment with what importing sets in it."""
        return environment | self._preloaded.added


def _outside_hooks(name: str, environment: Mapping[str, str]) -> str | None:
    """A variable; what git puts before `PATH` for its hooks is no difference: only git itself lies there."""
    value, own = environment.get(name), environment.get("GIT_EXEC_PATH")
    return value.removeprefix(f"{own}{os.pathsep}") if name == "PATH" and value is not None and own else value


def with_defaults(environment: Mapping[str, str]) -> dict[str, str]:
    """With what every run has, unless its user wants it otherwise.

    Runs share the machine, in a sweep above all: threads that spin while they wait take it from the others. And what
    needs no network asks for none: MLflow tells its makers how it is used.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", "MLFLOW_DISABLE_TELEMETRY": "true", **environment}


def _installed() -> Iterator[str]:
    """Folders that change with every package that comes or goes, and what else decides what is imported."""
    yield from {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    yield sys.executable
    yield os.path.join(sys.prefix, "pyvenv.cfg")


def _modules() -> Iterable[str]:
    """The files of all modules: a line put into a library to see what it does has to be seen."""
    origins = (getattr(vars(module).get("__spec__"), "origin", None) for module in list(sys.modules.values()))
    kit = (str(path) for path in _PACKAGE.rglob("*.py"))
    return sorted({*(o for o in origins if isinstance(o, str) and os.path.isabs(o)), *kit})
