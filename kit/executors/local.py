"""Runs on this machine: each under a supervisor of its own, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kit._process import boot_id, is_alive
from kit.errors import ExitCode, UserError, from_os_error
from kit.executors._logs import read_log
from kit.executors._token import taken_by
from kit.executors.base import CANCEL, CANCEL_NOW, DETACH, GIVE_UP, Word
from kit.forkserver import _client, _starting
from kit.models import Launch, RunRecord
from kit.outcomes import Outcome
from kit.paths import ProjectPaths
from kit.states import RunStatus
from kit.stores.base import Store

__all__ = ["LocalExecutor", "LocalHandle"]

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

    def give_up(self) -> None:
        with contextlib.suppress(OSError):
            self._link.send(GIVE_UP)


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
            with contextlib.closing(server):
                descriptors = {0: stdin, 1: log, 2: log, _LINK: link}
                command = [_SUPERVISOR, *arguments, "--client", str(_LINK)]
                answer, _ = _client.ask(server, "supervisor", command, os.environ, descriptors)
            return answer == _client.BEGUN
        _starting.start(root)
        return False

    def status(self, records: Sequence[RunRecord]) -> dict[str, Word]:
        """Of those that have a supervisor here: who else cannot be seen."""
        lost = Outcome(RunStatus.LOST, ExitCode.RUN, "its supervisor was killed")
        seen = [(record, record.supervisor) for record in records if record.supervisor is not None]
        return {
            record.run_id: Word(str(supervisor.pid), None if is_alive(supervisor) else lost)
            for record, supervisor in seen
            if supervisor.boot == boot_id()
        }

    def again(self, record: RunRecord, job: str | None) -> bool:  # noqa: ARG002 - as the others have it
        """It has no copies: what is gone on with is resumed."""
        return False

    def cancel(self, record: RunRecord, *, at_once: bool = False) -> None:
        supervisor = record.supervisor or taken_by(self._paths.run(record.run_id))
        if supervisor is None or not is_alive(supervisor):
            fix = f"See it with `kit show {record.run_id}`."
            raise UserError(f"run {record.run_id} is not running: {record.status}", fix=fix)
        for _ in range(1 + at_once):
            os.kill(supervisor.pid, signal.SIGTERM)

    def logs(self, run_id: str, *, follow: bool = False) -> Iterator[bytes]:
        return read_log(self._paths.run(run_id), lambda: not follow or self._has_ended(run_id))

    def _has_ended(self, run_id: str) -> bool:
        record = self._store.get(run_id)
        if record.status.is_terminal:
            return True
        return record.supervisor is not None and not is_alive(record.supervisor)
