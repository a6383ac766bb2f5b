"""What a forkserver has imported before anybody asks: kit's own libraries, and those that the project's runs imported.

Never the project's own code, so that an edit of it is always seen; nor what cannot cross a fork.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import os
import stat
import sys
import sysconfig
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from kit._files import write_atomic

__all__ = ["LEARNED", "UNSAFE", "Preloaded", "learn", "learned", "preload"]

UNSAFE = {
    "cupy": "holds a CUDA context",
    "dask.distributed": "starts threads that hold connections",
    "distributed": "starts threads that hold connections",
    "grpc": "starts threads that hold connections, and cannot be forked once it has",
    "jax": "starts threads of its own and warns of any fork",
    "jaxlib": "starts threads of its own",
    "polars": "has a pool of threads that a fork leaves locked",
    "pyspark": "talks to a process of its own",
    "ray": "talks to processes of its own",
    "tensorflow": "starts threads of its own",
    "torch_xla": "holds a device",
    "vllm": "holds a CUDA context",
}
"""Modules that are imported after the fork only, and why. One that starts a thread while it is imported joins them."""

_OWN = (
    "typer", "rich.console", "rich.table", "rich.text", "rich.progress", "rich.live", "kit.cli._main", "kit.cli.app",
    "kit.cli.run", "kit.cli.runs", "kit.cli.status", "kit.cli.schedules", "kit.cli._board", "kit.cli._sweep",
    "kit.cli._watch", "kit.cli.check", "kit.cli._check_text", "kit.cli._command_lines", "kit.checks.files",
    "kit.checks.loaded", "kit.execution", "kit.executors.local", "kit.executors._console", "kit.executors._copies",
    "kit.executors._lease", "kit.sweeps", "kit.stores.sql", "kit.trackers.mlflow", "kit.capsule", "kit.crash",
    "kit.profiling", "kit.recovery", "kit._pyspy", "sqlite3", "psutil", "hydra", "hydra.core.global_hydra",
    "omegaconf", "mlflow", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store",
)  # fmt: skip
LEARNED = "imported"
"""The file with what runs imported, in the servers' folder."""

_NEVER = frozenset({"__main__", "__mp_main__", "antigravity", "this", "kit._worker", "kit.executors._supervisor"})


@dataclass
class Preloaded:
    """What a server has, and what that depends on.

    Attributes:
        skipped: Modules that were not imported, with the reason.
        environment: The variables as the server found them, those that were added meanwhile left out.
        read: The variables that somebody read while they were imported.
        added: What importing has set.
        list_state: That of the file which lists what to import.
        files: What was opened beyond modules, such as settings of libraries, with its state.
    """

    skipped: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    added: dict[str, str] = field(default_factory=dict)
    list_state: tuple[int, ...] | None = None
    files: dict[str, tuple[int, ...] | None] = field(default_factory=dict)


def preload(names: Path, unsafe: Iterable[str] = (), *, found: Preloaded | None = None) -> Preloaded:
    """Import what is there and can be; says what it read to do so.

    Args:
        names: The file that lists what to import beside kit's own.
        unsafe: What turned out not to cross a fork.
        found: What this process has from an earlier call, which is added to.

    Raises:
        ThreadStarted: If importing has started a thread, which cannot be taken back.
    """
    found = found or Preloaded(environment=dict(os.environ))
    found.list_state = state_of(str(names))
    refused = {**dict.fromkeys(unsafe, "starts a thread while it is imported"), **UNSAFE}
    wanted = dict.fromkeys((*_OWN, *learned(names)))
    with _reading_noted(found), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in wanted:
            if (why := _refusal(name, refused)) is not None:
                found.skipped[name] = why
                continue
            try:
                importlib.import_module(name)
            except BaseException as error:  # noqa: BLE001 - whoever needs it is told, after the fork
                found.skipped[name] = f"cannot be imported: {error}"
            if threading.active_count() > 1:
                raise ThreadStarted(name)
    found.added = {name: value for name, value in os.environ.items() if found.environment.get(name) != value}
    return found


class ThreadStarted(Exception):
    """A module started a thread: the server has to begin again without it.

    Attributes:
        module: The one that was imported.
    """

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module


def _refusal(name: str, refused: dict[str, str]) -> str | None:
    return next((why for bad, why in refused.items() if name == bad or name.startswith(f"{bad}.")), None)


@contextlib.contextmanager
def _reading_noted(found: Preloaded) -> Iterator[None]:
    """Note each variable that is read and each file that is opened, however deep in a library."""
    kind: Any = type(os.environ)
    read_variable, iterate, open_file = kind.__getitem__, kind.__iter__, builtins.open
    copied: deque[str] = deque()

    def noted_iteration(self: object) -> Iterator[str]:
        copied.clear()
        for name in iterate(self):
            copied.append(name)
            yield name

    def noted_variable(self: object, name: str) -> str:
        if copied and name == copied[0]:  # who copies all of them, one after the other, has read none
            copied.popleft()
        else:
            copied.clear()
            found.read.add(name)
        value: str = read_variable(self, name)
        return value

    def noted_open(file: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the one that it replaces
        if isinstance(file, str | os.PathLike) and not (path := os.path.abspath(os.fspath(file))).startswith(_FIXED):
            found.files[path] = state_of(path)
        return open_file(file, *arguments, **options)

    kind.__getitem__, kind.__iter__ = noted_variable, noted_iteration
    builtins.open = io.open = noted_open
    try:
        yield
    finally:
        kind.__getitem__, kind.__iter__ = read_variable, iterate
        builtins.open = io.open = open_file


def state_of(path: str) -> tuple[int, ...] | None:
    """What changes when a file does; None if there is none.

    The last is when. uv and conda give one file to all environments, under names of its own in each: another name sets
    the ctime of a file that is as it was.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    is_shared = found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mtime_ns if is_shared else found.st_ctime_ns


_LIBRARIES = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_FIXED = (*_LIBRARIES, "/proc/", "/dev/", "/sys/")


def learned(file: Path) -> list[str]:
    """The modules that runs of the project imported, in that order; none if nobody knows."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().split()
    return []


def learn(file: Path, root: Path) -> None:
    """Add what this process has imported by now and the server does not know of, but for the project's own.

    Raises:
        OSError: If the disk refuses.
    """
    known = learned(file)
    new = list(_imported(root, set(known)))
    if new:
        write_atomic(file, "\n".join((*known, *new)) + "\n")


def _imported(root: Path, known: set[str]) -> Iterator[str]:
    own: dict[str, bool] = {}
    for name, module in list(sys.modules.items()):
        if (
            name in known
            or name in _NEVER
            or name.startswith(("kit.forkserver", "kit._forkserver"))
            or not _is_of_a_library(module)
        ):
            continue
        top = name.partition(".")[0]
        if top not in own:
            own[top] = any((folder / f"{top}{end}").exists() for folder in (root, root / "src") for end in ("", ".py"))
        if not own[top]:
            yield name


def _is_of_a_library(module: ModuleType) -> bool:
    # Not asked for as an attribute: some modules import themselves when they are.
    spec = vars(module).get("__spec__") if issubclass(type(module), ModuleType) else None
    origin = getattr(spec, "origin", None)
    return isinstance(origin, str) and origin.startswith(_LIBRARIES)
