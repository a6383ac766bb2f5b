"""Runs on this machine: each under a supervisor of its own, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kit._process import is_alive
from kit.errors import from_os_error
from kit.executors.base import CANCEL, CANCEL_NOW, DETACH
from kit.forkserver import _client, _starting
from kit.models import Launch
from kit.paths import ProjectPaths
from kit.stores.base import Store

__all__ = ["LocalExecutor", "LocalHandle"]

_POLL = 0.1
_SUPERVISOR = "kit.executors._supervisor"
_LINK = 3
"""The number of a forked supervisor's end of the link."""


class LocalHandle:
    """The submitter's end of a run. Losing it stops the run, but for a `detach` before; `cancel` is always heard."""

    def __init__(self, run_id: str, supervisor: subprocess.Popen[bytes] | None, link: socket.socket) -> None:
        self.run_id = run_id
        self._supervisor = supervisor
        self._link = link

    def wait(self, timeout: float | None = None) -> bool:
        if self._link.fileno() < 0:
            return True
        # It says nothing: its end of the link is closed when it ends, whoever's child it is.
        if not select.select([self._link], [], [], timeout)[0]:
            return False
        if self._supervisor is not None:
            self._supervisor.wait()
        self._link.close()
        return True

    def cancel(self, *, at_once: bool = False) -> None:
        with contextlib.suppress(OSError):  # it has ended by itself
            self._link.send(CANCEL_NOW if at_once else CANCEL)

    def detach(self) -> None:
        with contextlib.suppress(OSError):
            self._link.send(DETACH)


@contextlib.contextmanager
def _input(*, interactive: bool) -> Iterator[int]:
    """What the run reads from: what this process does, or nothing."""
    if interactive:
        yield 0
        return
    with Path(os.devnull).open("rb") as nothing:
        yield nothing.fileno()


def _begin(arguments: list[str], stdin: int, log: int, link: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _SUPERVISOR, *arguments, "--client", str(link)],
        stdin=stdin,
        stdout=log,
        stderr=log,
        pass_fds=(link,),
        start_new_session=True,
    )


class LocalExecutor:
    """The executor that needs nothing."""

    def __init__(self, paths: ProjectPaths, store: Store) -> None:
        self._paths = paths
        self._store = store

    def submit(self, launch: Launch, *, interactive: bool = False, attached: bool = True) -> LocalHandle:
        run = self._paths.run(launch.run_id)
        ours, supervisors = socket.socketpair()
        if not attached:
            ours.send(DETACH)  # before there is anyone to read it: this process may be killed at any moment
        arguments = [str(run.root), *(["--interactive"] if interactive else [])]
        try:
            with run.supervisor_log.open("ab") as log, _input(interactive=interactive) as stdin:
                supervisor = None
                if launch.pdb or not self._fork(arguments, stdin, log.fileno(), supervisors.fileno()):
                    supervisor = _begin(arguments, stdin, log.fileno(), supervisors.fileno())
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise from_os_error(error) from error
            raise
        finally:
            supervisors.close()
        return LocalHandle(launch.run_id, supervisor, ours)

    def _fork(self, arguments: list[str], stdin: int, log: int, link: int) -> bool:
        """Have the supervisor forked where that can be; else see that it can be the next time."""
        root = self._paths.root
        if _client.unsuited() is not None:
            return False
        if (server := _client.connect(str(root))) is not None:
            with server:
                descriptors = {0: stdin, 1: log, 2: log, _LINK: link}
                command = [_SUPERVISOR, *arguments, "--client", str(_LINK)]
                answer, _ = _client.ask(server, "supervisor", command, os.environ, descriptors)
            return answer == _client.BEGUN
        _starting.start(root)
        return False

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
