"""What a peer is to the benchmark, and its processes: timed, never for ever, and ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import ClassVar

from benchmarks._peers.environments import Failed, variables

__all__ = ["Peer", "free_port", "mlflow_works", "until"]

_TOKEN = "KIT_BENCHMARK_OF"
_PATIENCE = 180.0


class Peer:
    """One way to do the work, in a project of its own, which is made anew for each measurement.

    What it cannot do it leaves as it is here; the table has a dash there.

    Attributes:
        name: What it is called, here and by `--only`.
        environment: Whose environment it runs in.
        first: The peer whose single run counts for its sweep, too; None: its own.
        stays: What it keeps running costs nothing while it waits: it need not be ended while others are measured.
        works: How many times it was to do the work.
        note: What whoever reads the figures should know.
        said: What its last command printed.
        every: Seconds from one scheduled run to the next: enough for it to keep up.
        settle: How long its scheduler takes to get going, in seconds; what is due before does not count.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    environment: ClassVar[str]
    first: ClassVar[str | None] = None
    runs: ClassVar[bool] = True
    warms: ClassVar[bool] = False
    stays: ClassVar[bool] = False
    sweeps: ClassVar[bool] = False
    schedules: ClassVar[bool] = False
    scaffolds: ClassVar[tuple[str, ...]] = ()
    every: ClassVar[int] = 3
    settle: ClassVar[float] = 5.0
    variables: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path, programs: Path, jobs: int) -> None:
        self.folder = folder
        self.root = folder / "project"
        self.programs = programs
        self.jobs = jobs
        self.works = 0
        self.note = ""
        self.said = ""
        self.token = secrets.token_hex(8)
        self.env = variables(folder, programs) | {_TOKEN: self.token} | dict(self.variables)

    @classmethod
    def files(cls) -> dict[str, str]:
        """Its project, by path."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the project. Nothing of it is measured."""
        for name, text in self.files().items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip("\n"))
        (self.folder / ".gitconfig").write_text("[user]\nname = x\nemail = x@example.invalid\n")

    def cold(self) -> None:
        """Run once, with nothing of it running before; its store is there."""
        raise NotImplementedError

    def warm(self) -> None:
        """Run once, with what it keeps running."""
        raise NotImplementedError

    def sweep(self, trials: int) -> None:
        raise NotImplementedError

    def schedule(self) -> subprocess.Popen[bytes]:
        """Start what runs `due` every few seconds.

        Each run writes to `fires` when it was due and when its first line ran.
        """
        raise NotImplementedError

    def scaffold(self, kind: str, target: Path) -> None:
        """Start a project in an empty folder."""
        raise NotImplementedError

    def start(self) -> None:
        """Have running what it keeps running."""

    def stop(self) -> None:
        """End it."""

    def recorded(self) -> int:
        """How many times the whole work is in its store."""
        raise NotImplementedError

    # What peers are made of.

    def git(self) -> None:
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
            self.do("git", *arguments)

    def do(self, *command: str, cwd: Path | None = None) -> None:
        """Run a command of the peer's to its end.

        Raises:
            Failed: It failed, or took too long.
        """
        log = self.folder / "log"
        with self._start(command, cwd or self.root, log) as process:
            try:
                code = process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                raise Failed(f"{self._name(command)} took more than {_PATIENCE:.0f} s") from None
        self.said = log.read_text(errors="replace")
        if code:
            raise Failed(f"{self._name(command)}: exit code {code}\n{self.said.strip()[-1500:]}")

    @contextlib.contextmanager
    def _start(self, command: tuple[str, ...], cwd: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        process = self.begin(*command, cwd=cwd, log=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                self.end(process)

    def begin(self, *command: str, cwd: Path | None = None, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        program = self.programs / command[0]
        argv = [str(program) if program.exists() else command[0], *command[1:]]
        with (log or self.folder / "service.log").open("wb") as out:
            return subprocess.Popen(
                argv,
                cwd=cwd or self.root,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> None:
        """Ask it to leave, then make it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
                return

    def processes(self) -> Iterator[int]:
        """Its processes, also those that left its groups: all have its token in their environment."""
        token = f"{_TOKEN}={self.token}".encode()
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if token in Path(entry.path, "environ").read_bytes():
                        yield int(entry.name)

    def end_all(self) -> None:
        """Kill whatever of it is left."""
        for _ in range(50):
            left = list(self.processes())
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                break
            time.sleep(0.1)

    def close(self) -> None:
        """End everything of it, and take its project away."""
        with contextlib.suppress(Failed):
            self.stop()
        self.end_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fires(self) -> list[tuple[float, float]]:
        """When runs were due, and when the first line of the user's code ran."""
        path = self.root / "fires"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(float(due), float(at)) for due, at in (line.split() for line in lines)]

    @staticmethod
    def _name(command: tuple[str, ...]) -> str:
        return " ".join(command)[:120]


def until(condition: Callable[[], bool], what: str, *, patience: float = _PATIENCE) -> None:
    """Wait for it.

    Raises:
        Failed: It never came.
    """
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"waited {patience:.0f} s for {what}")
        time.sleep(0.05)


def mlflow_works(path: Path, points: int) -> int:
    """How many runs of an MLflow store have all the points."""
    asked = (
        "SELECT count(*) FROM (SELECT run_uuid FROM metrics WHERE key = 'loss' GROUP BY run_uuid HAVING count(*) = ?)"
    )
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute(asked, (points,)).fetchone()[0])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
