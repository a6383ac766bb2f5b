"""What tests of real runs share: the real `kit` in a process of its own, and waiting for what is to come."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from sqlalchemy import insert

from kit.forkserver._control import status, stop
from kit.models import RunRecord
from kit.stores import MemoryStore, Store
from kit.stores.schema import runs
from kit.stores.sql import SqlStore, run_row
from tests.conftest import TINY_PROJECT, git, write

__all__ = [
    "KIT",
    "Done",
    "MlflowRun",
    "claim",
    "closed_port",
    "commit_all",
    "environment",
    "forkserver",
    "kit",
    "mlflow_runs",
    "new_project",
    "on_screen",
    "on_terminal",
    "processes_of",
    "run_refs",
    "start_kit",
    "stop_forkservers",
    "until",
]

T = TypeVar("T")
KIT = Path(sys.executable).with_name("kit")
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def environment(home: Path, **extra: str) -> dict[str, str]:
    """An environment in which nothing of the developer's is found, for fixtures that live longer than one test."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "KIT_", "GIT_", "DVC_", "XDG_", "HYDRA_"))
        and name not in {"COLUMNS", "LINES", "FORCE_COLOR", "PYTHONHASHSEED", "PYTEST_CURRENT_TEST"}
    }
    own = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_NO_ANALYTICS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "true",
        # One for each of hundreds of projects would be a machine's worth of them; its own tests turn it on.
        "KIT_FORKSERVER": "off",
    }
    made = kept | own | extra
    if made["KIT_FORKSERVER"] == "on":  # who is measured is not forked
        return {name: value for name, value in made.items() if not name.startswith("COV")}
    return made


def new_project(root: Path, files: Mapping[str, str] | None = None) -> Path:
    """The tiny project, committed; `files` are added or replace its own."""
    write(root, TINY_PROJECT | dict(files or {}))
    git(root, "init", "--quiet", "--initial-branch=main")
    commit_all(root, "start")
    return root


def commit_all(root: Path, message: str = "more") -> None:
    """Commit what there is, as someone who never gave git a name."""
    git(root, "add", "--all")
    git(root, "-c", "user.name=Test", "-c", "user.email=test@example.invalid", "commit", "-q", "-m", message)


def kit(root: Path, *arguments: str, env: Mapping[str, str] | None = None, code: int | None = 0) -> Done:
    """Run the real command in `root`; fails unless it leaves with `code` (None: any)."""
    process = start_kit(root, *arguments, env=env)
    try:
        out, err = process.communicate(timeout=_PATIENCE * 2)
    finally:
        process.kill()  # its run ends with it
    done = Done(process.returncode, out, err)
    if code is not None and done.code != code:
        pytest.fail(f"kit {' '.join(arguments)}: exit code {done.code}, not {code}\n{done.out}\n{done.err}")
    return done


def start_kit(root: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the real command in `root`, in a session of its own, and return at once."""
    return subprocess.Popen(
        [str(KIT), *arguments],
        cwd=root,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextlib.contextmanager
def forkserver(root: Path, env: Mapping[str, str]) -> Iterator[None]:
    """With a forkserver for the project that has this environment, but for the variable that turns it off."""
    env = {name: value for name, value in env.items() if name != "KIT_FORKSERVER"}
    begin = "import sys; from pathlib import Path; from kit.forkserver._starting import start; start(Path(sys.argv[1]))"
    (root / ".kit").mkdir(mode=0o700, exist_ok=True)
    subprocess.run([sys.executable, "-c", begin, str(root)], cwd=root, env=env, check=True)
    until(lambda: status(root), "the forkserver to have imported everything")
    try:
        yield
    finally:
        stop(root)


def stop_forkservers(folder: Path) -> None:
    """Those of all projects below `folder`, whatever their environments, for tests that let commands start them."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            words = process.cmdline()
            if "kit._forkserver" in words and any(
                word.startswith(f"{folder}/") or word == str(folder) for word in words
            ):
                process.terminate()


def on_screen(root: Path, *arguments: str, env: Mapping[str, str] | None = None, code: int = 0) -> list[str]:
    """Run the real command on a terminal of 80 columns and 24 lines; the lines that it shows, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [str(KIT), *arguments],
        cwd=root,
        env=dict(os.environ if env is None else env) | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(ours, 1 << 16):
            shown += data
    os.close(ours)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r\n", "\n").splitlines()
    if process.wait() != code:
        pytest.fail(f"kit {' '.join(arguments)}: exit code {process.returncode}, not {code}\n" + "\n".join(lines))
    return lines


def on_terminal(typed: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run kit with a terminal as its standard input, on which all of `typed` has been typed."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        argv = [sys.executable, "-m", "kit", *arguments]
        return subprocess.run(
            argv, cwd=folder, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)


def until(condition: Callable[[], T], what: str, *, seconds: float = _PATIENCE) -> T:
    """Wait for `condition` to give something true, and give it back."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        pause.wait(0.05)
    return found


def processes_of(root: Path) -> list[psutil.Process]:
    """Everything that lives and belongs to a run of the project, daemons too: its command line or folder says so."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            told = [*process.cmdline(), process.environ().get("TINY_PROJECT_ROOT", ""), process.cwd()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if "kit._forkserver" not in told and any(text == str(root) or text.startswith(f"{root}/") for text in told):
            found.append(process)
    return found


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """One run as MLflow's own database has it."""

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, list[tuple[int, float]]]
    datasets: dict[str, str]
    artifacts: Path


def mlflow_runs(root: Path) -> dict[str, MlflowRun]:
    """Kit's run id to what MLflow's SQLite file has of it; read as SQL, since importing MLflow takes seconds."""
    path = root / "mlflow.db"
    if not path.exists():
        return {}
    # Not read-only: who was killed in the middle of a transaction leaves a journal that the next one has to roll back.
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=60)) as db:
        return {run.tags.get("kit.run_id", run.run_id): run for run in map(_reader(db), _run_ids(db))}


def _run_ids(db: sqlite3.Connection) -> list[str]:
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'inputs'").fetchone() is None:
        return []
    return [str(row[0]) for row in db.execute("SELECT run_uuid FROM runs ORDER BY start_time")]


def _reader(db: sqlite3.Connection) -> Callable[[str], MlflowRun]:
    def pairs(statement: str, run_id: str) -> dict[str, str]:
        return {str(key): str(value) for key, value in db.execute(statement, (run_id,))}

    def read(run_id: str) -> MlflowRun:
        row = db.execute("SELECT name, status, artifact_uri FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        metrics: dict[str, list[tuple[int, float]]] = {}
        series = "SELECT key, step, value FROM metrics WHERE run_uuid = ? ORDER BY key, step, timestamp"
        for key, step, value in db.execute(series, (run_id,)):
            metrics.setdefault(key, []).append((step, value))
        datasets = (
            "SELECT d.name, d.digest FROM inputs i JOIN datasets d ON i.source_id = d.dataset_uuid "
            "WHERE i.destination_id = ?"
        )
        return MlflowRun(
            run_id=run_id,
            name=row[0],
            status=row[1],
            params=pairs("SELECT key, value FROM params WHERE run_uuid = ?", run_id),
            tags=pairs("SELECT key, value FROM tags WHERE run_uuid = ?", run_id),
            metrics=metrics,
            datasets=pairs(datasets, run_id),
            artifacts=Path(str(row[2]).removeprefix("file://")),
        )

    return read


def claim(store: Store, record: RunRecord) -> None:
    """Add a run that is not planned yet, as the claim of a fire does."""
    if isinstance(store, SqlStore):
        with store._engine.begin() as connection:
            connection.execute(insert(runs).values(run_row(record)))
    elif isinstance(store, MemoryStore):
        store._records[record.run_id] = record


def run_refs(root: Path) -> list[str]:
    """The snapshots that the repository holds."""
    return git(root, "for-each-ref", "--format=%(refname)", "refs/kit").split()


def closed_port() -> int:
    """A port on which nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
