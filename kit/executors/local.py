"""Runs on this machine: each under a supervisor of its own, in a fresh interpreter."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from kit._process import is_alive
from kit.errors import from_os_error
from kit.executors.base import CANCEL, CANCEL_NOW, DETACH
from kit.models import Launch
from kit.paths import ProjectPaths
from kit.stores.base import Store

__all__ = ["LocalExecutor", "LocalHandle"]

_POLL = 0.1


class LocalHandle:
    """The submitter's end of a run. Losing it stops the run, but for a `detach` before; `cancel` is always heard."""

    def __init__(self, run_id: str, supervisor: subprocess.Popen[bytes], link: socket.socket) -> None:
        self.run_id = run_id
        self._supervisor = supervisor
        self._link = link

    def wait(self, timeout: float | None = None) -> bool:
        try:
            self._supervisor.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._link.close()
        return True

    def cancel(self, *, at_once: bool = False) -> None:
        with contextlib.suppress(OSError):  # it has ended by itself
            self._link.send(CANCEL_NOW if at_once else CANCEL)

    def detach(self) -> None:
        with contextlib.suppress(OSError):
            self._link.send(DETACH)


class LocalExecutor:
    """The executor that needs nothing."""

    def __init__(self, paths: ProjectPaths, store: Store) -> None:
        self._paths = paths
        self._store = store

    def submit(self, launch: Launch, *, interactive: bool = False, attached: bool = True) -> LocalHandle:
        run = self._paths.run(launch.run_id)
        ours, supervisors = socket.socketpair()
        command = [sys.executable, "-P", "-m", "kit.executors._supervisor", str(run.root)]
        if not attached:
            ours.send(DETACH)  # before there is anyone to read it: this process may be killed at any moment
        command += ["--client", str(supervisors.fileno()), *(["--interactive"] if interactive else [])]
        try:
            with run.supervisor_log.open("ab") as log:
                supervisor = subprocess.Popen(
                    command,
                    stdin=None if interactive else subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._paths.root,
                    pass_fds=(supervisors.fileno(),),
                    start_new_session=True,
                )
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise from_os_error(error) from error
            raise
        finally:
            supervisors.close()
        return LocalHandle(launch.run_id, supervisor, ours)

    def logs(self, run_id: str, *, follow: bool = False) -> Iterator[bytes]:
        path = self._paths.run(run_id).log
        position = 0
        while True:
            ended = not follow or self._has_ended(run_id)
            with contextlib.suppress(FileNotFoundError), path.open("rb") as log:
                log.seek(position)
                while data := log.read(1 << 16):
                    position += len(data)
                    yield data
            if ended:
                break
            time.sleep(_POLL)
        for rest in (path.with_suffix(".log.2"), path.with_suffix(".log.1")):
            with contextlib.suppress(FileNotFoundError):
                yield rest.read_bytes()

    def _has_ended(self, run_id: str) -> bool:
        record = self._store.get(run_id)
        if record.status.is_terminal:
            return True
        return record.supervisor is not None and not is_alive(record.supervisor)
