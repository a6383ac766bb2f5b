"""The process between a run and everyone else: it starts the run, outlives its submitter and records the end.

    python -P -m kit.executors._supervisor RUN_FOLDER [--client FD] [--interactive]

A run cannot report its own death, so this process does. It holds no library that could fail: it copies output, keeps
time, and writes a few rows. In a session of its own it survives the terminal; as a subreaper it sees every descendant
of the run, also one that forked twice.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from kit import _clock
from kit._process import ProcessId, become_subreaper, descendants, identify, signal_processes, this_process
from kit.errors import HostError, KitError, from_os_error
from kit.executors import base
from kit.executors._console import ConsoleLog
from kit.executors._interpreter import borrowed
from kit.executors._lease import Lease
from kit.executors._process import Process, begin, reap_and_count, run_environment
from kit.executors._telling import tell_tracker
from kit.executors._token import take, taken_by
from kit.forkserver._child import end
from kit.models import Launch, RunRecord, from_json
from kit.outcomes import Outcome, Result, Stop, judge
from kit.paths import ProjectPaths, RunPaths
from kit.redact import mask
from kit.settings import Settings
from kit.states import IllegalTransition, RunStatus
from kit.stores.base import RUN_PATIENCE, Store

__all__ = ["main"]

_CHUNK = 1 << 16
_HEARTBEAT = 5.0
_BEAT_PATIENCE = 0.5
_STORE_PAUSES = (1.0, 5.0, 15.0, 60.0)
_ORPHAN_GRACE = 1.0
_TELL_SECONDS = 120.0
"""How long telling the tracker of a run that could not do it itself may take."""


class Supervisor:
    """One run from its start to its recorded end."""

    def __init__(
        self,
        run: RunPaths,
        launch: Launch,
        *,
        client: socket.socket | None = None,
        interactive: bool = False,
        lease: Lease | None = None,
    ) -> None:
        self._run = run
        self._run_id = launch.run_id
        self._limits = launch.limits
        self._python = launch.python or sys.executable
        self._folder = launch.worktree or launch.project_root
        self._project = ProjectPaths(Path(launch.project_root))
        self._client = client
        self._lease = lease
        self._attached = client is not None
        self._interactive = interactive
        self.stopped: Stop | None = None
        self.warned = False
        self._only_planned = False
        self._deadline = float("inf")
        self._kill_at = float("inf")
        self._hurried = False
        self._pulse: Store | None = None
        self._settings: Settings | None = None
        self._process: ProcessId | None = None
        self._complaints: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._output: int | None = None
        self._wakeup, wakeup = socket.socketpair()
        os.set_blocking(wakeup.fileno(), False)
        signal.set_wakeup_fd(wakeup.fileno())
        self._wakeup_out = wakeup  # the descriptor lives as long as this object
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGCHLD,
            *([signal.SIGUSR1] if lease else []),
        ):
            signal.signal(number, lambda _number, _frame: None)

    def supervise(self) -> None:
        """Start the run, see it through, record how it ended."""
        become_subreaper()
        try:
            with ConsoleLog(self._run.log, limit=self._limits.log_bytes) as log:
                process, control = self._start()
                self._watch(process, control, log)
                self._end_orphans(log)
        finally:  # whatever went wrong here, nothing runs on without being watched
            signal_processes(descendants(os.getpid()), signal.SIGKILL)
        with closing(self._open_store()) as store:
            self._record(store, process.returncode or 0)
        if self._client is not None:
            self._client.close()  # who waits need not wait for this process to be taken apart

    def _start(self) -> tuple[Process, socket.socket]:
        output, into = os.pipe()
        os.set_blocking(output, False)
        control, childs = socket.socketpair()
        environment = run_environment(dict(os.environ)) | {
            "KIT_CONTROL_FD": str(childs.fileno()),
            "KIT_SUPERVISOR": str(os.getpid()),
            "KIT_RUN_ID": self._run_id,  # also of what leaves the session and the group: `recovery` finds it by that
        }
        if self._python != sys.executable:
            environment |= borrowed(Path(self._python), self._project)
        stdin = 0 if self._interactive else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        process = begin(
            [self._python, "-P", "-m", "kit._worker", str(self._run.root)],
            streams=(stdin, into, into),
            folder=self._folder,
            environment=environment,
            keep=(childs.fileno(),),
        )
        if stdin:
            os.close(stdin)
        os.close(into)
        childs.close()
        self._output = output
        self._process = identify(process.pid)
        return process, control

    def _open_store(self, *, patience: float = RUN_PATIENCE) -> Store:
        # After the run was started: it loads while this is imported. And never for long while the run is watched.
        from kit.stores.opening import open_store, read_settings

        if self._settings is None:  # once: pyproject.toml may be anything by the time that the run ends
            self._settings = read_settings(self._project)
        return open_store(self._project, self._settings, patience=patience)

    def _watch(self, process: Process, control: socket.socket, log: ConsoleLog) -> None:
        self._set_deadline()
        beat = time.monotonic()
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._on_signal)
        self._selector.register(control, selectors.EVENT_READ, lambda: self._on_control(control, log))
        if self._output is not None:
            self._selector.register(self._output, selectors.EVENT_READ, lambda: self._copy(log))
        if (client := self._client) is not None:
            self._selector.register(client, selectors.EVENT_READ, lambda: self._on_client(client))
        while process.poll() is None:
            self._wait(min(self._deadline, beat, self._kill_at))
            now = time.monotonic()
            if now >= self._deadline:
                self._deadline = float("inf")
                self._ask_to_stop(Stop.TIMEOUT)
            if now >= self._kill_at:
                self._kill_at = now + 1.0  # whoever is born while being killed is met again
                signal_processes(descendants(os.getpid()), signal.SIGKILL)
            if now >= beat:
                beat = now + _HEARTBEAT
                self._beat()
        if self._lease is not None:  # an engine signals a whole run at once: it may have ended before this was heard
            self._wait(time.monotonic())
        self._copy(log)

    def _set_deadline(self) -> None:
        timeout = self._limits.timeout
        self._deadline = float("inf") if timeout is None else time.monotonic() + timeout

    def _beat(self) -> None:
        """Say that the run is watched, and by whom. A store that is busy now is told the next time.

        A run that was given up, since this process could not be heard, is ended: there may be another in its place.
        """
        if self._lease is not None:
            self._renew(self._lease)
            return
        with contextlib.suppress(KitError):
            if self._pulse is None:
                self._pulse = self._open_store(patience=_BEAT_PATIENCE)
            if self._is_mine():
                self._pulse.attach(
                    self._run_id, supervisor=this_process(), process=self._process, heartbeat_at=_clock.now()
                )
            if self.stopped is None and (not self._is_mine() or self._pulse.get(self._run_id).status.is_terminal):
                self.stopped = Stop.ABANDONED
                self._kill_at = time.monotonic()

    def _renew(self, lease: Lease) -> None:
        """As `_beat`, where there may be other copies of the run."""
        if lease.is_cancelled and self.stopped is None:
            self._cancel(at_once=False)
        held = True
        try:
            if self._pulse is None:
                self._pulse = self._open_store(patience=_BEAT_PATIENCE)
            held = lease.is_held(self._pulse, self._process)
        except (KitError, OSError) as error:
            self._complain(str(error))
        if not held or lease.has_run_out():
            self.stopped = Stop.FENCED
            self._kill_at = time.monotonic()

    def _is_mine(self) -> bool:
        """Whether nobody else has the run: it may have been given up, and resumed under another supervisor."""
        return taken_by(self._run) in {None, this_process()}

    def _wait(self, until: float) -> None:
        pause = None if until == float("inf") else max(0.0, until - time.monotonic())
        for key, _ in self._selector.select(pause):
            handle: Callable[[], None] = key.data
            handle()

    def _on_signal(self) -> None:
        received = self._wakeup.recv(64)
        asked = sum(number in {signal.SIGTERM, signal.SIGINT, signal.SIGHUP} for number in received)
        self.warned |= signal.SIGUSR1 in received  # the job is near its time limit
        if self._lease is not None and (asked or self.warned) and not self._lease.means_cancel(asked=bool(asked)):
            self._ask_to_stop(Stop.INTERRUPTED)
        elif asked:
            self._cancel(at_once=self.stopped is not None or asked > 1)

    def _on_client(self, client: socket.socket) -> None:
        try:
            said = client.recv(1)
        except ConnectionError:
            said = b""
        match said:
            case base.CANCEL | base.CANCEL_NOW:
                self._cancel(at_once=said == base.CANCEL_NOW)
            case base.GIVE_UP:
                self._ask_to_stop(Stop.ABANDONED)
            case base.DETACH:
                self._attached = False
            case _:
                self._selector.unregister(client)
                if self._attached:
                    self._ask_to_stop(Stop.ABANDONED)

    def _on_control(self, control: socket.socket, log: ConsoleLog) -> None:
        """The run asks for one of the things that `base` lists; it waits until that is done."""
        with contextlib.suppress(ConnectionError):
            if asked := control.recv(1):
                if asked == base.ADOPT:
                    self._limits = from_json(self._run.launch.read_bytes(), Launch).limits
                    self._set_deadline()
                elif asked == base.HAND_OVER:
                    self._only_planned = True
                else:
                    self._copy(log)
                control.send(asked)
                return
        self._selector.unregister(control)

    def _copy(self, log: ConsoleLog) -> None:
        """Move what the run printed into its log; a full disk loses the rest of the output, not the run."""
        while self._output is not None:
            try:
                data = os.read(self._output, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._selector.unregister(self._output)
                os.close(self._output)
                self._output = None
                return
            try:
                log.write(data)
            except OSError as error:
                self._complain(f"console output lost: {error}")

    def _complain(self, text: str) -> None:
        """Say it once, where there is room to: this process's own log may lie on the disk that is full."""
        if text not in self._complaints:
            self._complaints.add(text)
            with contextlib.suppress(OSError):
                print(text, file=sys.stderr, flush=True)  # noqa: T201

    def _cancel(self, *, at_once: bool) -> None:
        self._hurried = True
        self._ask_to_stop(Stop.CANCELLED)
        if at_once:
            self._kill_at = time.monotonic()

    def _ask_to_stop(self, why: Stop) -> None:
        if self.stopped is None:
            self.stopped = why
            self._kill_at = time.monotonic() + self._limits.grace
            signal_processes(descendants(os.getpid()), signal.SIGTERM)

    def _end_orphans(self, log: ConsoleLog) -> None:
        """What the run left behind is ended with it: asked once, then made to."""
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            left = descendants(os.getpid())
            if number is not None:
                signal_processes(left, number)
            until = time.monotonic() + _ORPHAN_GRACE
            while reap_and_count() and time.monotonic() < until:
                self._wait(min(until, time.monotonic() + 0.05))
        self._copy(log)

    def _record(self, store: Store, returncode: int) -> None:
        if not self._is_mine():
            return
        if self._only_planned and returncode == 0 and self.stopped is None:
            self._hand_over(store)
            return
        result = None
        with contextlib.suppress(FileNotFoundError):
            result = from_json(self._run.result.read_bytes(), Result)
        why = None
        with contextlib.suppress(OSError):
            why = self._run.cancelled.read_text()
        outcome = judge(returncode, result, self.stopped, timeout=self._limits.timeout, why=why)
        if self._is_left_to_others(outcome):
            return
        tracked = result is not None and result.tracked and outcome.exit_code == result.exit_code
        record = self._persist(store, outcome, tracked=tracked)
        if record is None:
            return
        if record.commit is None and not self._run.spec.exists():
            from kit.executors._unplanned import close_unplanned

            close_unplanned(self._project, store, record)
            return
        if tracked:
            return
        # A run that came to track and says it could not is for `recovery` to bring up later: asking again now would
        # keep its user waiting. One that was rejected is none.
        could_not = result is not None and record.started_at is not None
        rejected = result is not None and result.rejected
        if self.stopped is not None or not (could_not or rejected):
            self._tell_tracker()

    def _hand_over(self, store: Store) -> None:
        """Give the run to its engine. Who asked meanwhile that it stop is heard after that."""
        from kit.executors._handing_over import hand_over

        assert self._settings is not None  # noqa: S101 - for the type checker: the store was opened with them
        try:
            handed = hand_over(self._project, store, self._settings, self._run)
        except IllegalTransition as given_up:
            self._complain(str(given_up))
        except (KitError, OSError) as caught:
            error = from_os_error(caught) if isinstance(caught, OSError) else caught
            self._complain(str(error))
            self._persist(store, Outcome(RunStatus.FAILED, error.exit_code, mask(error.what)), tracked=False)
            self._tell_tracker()
        else:
            self._wait(time.monotonic())
            handed.withdraw_if(cancelled=self.stopped is Stop.CANCELLED)

    def _is_left_to_others(self, outcome: Outcome) -> bool:
        """Whether this is not the end of the run, or not for this copy to say."""
        if outcome.status is not RunStatus.SUCCEEDED and self.stopped is Stop.INTERRUPTED:
            return True
        self.stopped = None if self.stopped is Stop.INTERRUPTED else self.stopped
        return self.stopped is Stop.FENCED

    def _persist(self, store: Store, outcome: Outcome, *, tracked: bool) -> RunRecord | None:
        """Write how the run ended. Nobody else can know it, so a store that is busy is asked again.

        Gives the run as it is then; None if it is another copy's.
        """
        from kit.trackers.spool import last_metrics, params_of

        run_id = self._run_id
        for pause in (*_STORE_PAUSES, None):
            try:
                return store.finish(
                    run_id,
                    outcome,
                    at=_clock.now(),
                    metrics=last_metrics(self._run.spool),
                    params=params_of(self._run.spool),
                    token=None if self._lease is None else self._lease.token,
                    tracked=tracked,
                )
            except IllegalTransition as error:  # it was given up while this process could not be heard
                self._complain(str(error))
                if self._lease is not None:
                    self.stopped = Stop.FENCED
                    return None
                return store.get(run_id)
            except HostError as error:
                if pause is None:
                    raise
                self._complain(str(error))
                time.sleep(pause)
        raise AssertionError

    def _tell_tracker(self) -> None:
        """Wait for it, so that who asked for the run finds all of it there; not after a second word that says go."""
        telling = tell_tracker(self._run, self._project.root)
        self._hurried = False
        deadline = time.monotonic() + _TELL_SECONDS
        while telling.poll() is None and not self._hurried and (now := time.monotonic()) < deadline:
            self._wait(min(deadline, now + 0.1))


def main(arguments: list[str] | None = None) -> int:
    """Supervise the run in the folder named."""
    parser = argparse.ArgumentParser(prog="kit.executors._supervisor")
    parser.add_argument("run", type=Path)
    parser.add_argument("--client", type=int)
    parser.add_argument("--interactive", action="store_true")
    options = parser.parse_args(arguments)
    run = RunPaths(options.run)
    launch = from_json(run.launch.read_bytes(), Launch)
    os.chdir(launch.project_root)
    client = None if options.client is None else socket.socket(fileno=options.client)
    supervisor = Supervisor(run, launch, client=client, interactive=options.interactive)
    if take(run, this_process()):  # after that it is heard, and takes signals
        supervisor.supervise()
    elif taken_by(run) is None:  # it was given up before it began: nobody comes for what it was asked for with
        run.request.unlink(missing_ok=True)  # it may hold secrets
    return 0


if __name__ == "__main__":
    end(lambda: sys.exit(main()))
