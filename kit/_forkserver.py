"""The process that others are forked from. One thread; it waits, forks, and tells how what it forked has ended.

python -P -m kit._forkserver PROJECT [ROOM]
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import filelock

from kit.forkserver import _child, _wire
from kit.forkserver._client import FORKED, folder_of, own_name
from kit.forkserver._identity import Identity
from kit.forkserver._pages import in_large_pages
from kit.forkserver._peer import Peer, peer_of
from kit.forkserver._preload import LEARNED, Preloaded, ThreadStarted, preload, state_of
from kit.forkserver._starting import ROOM as _ROOM
from kit.warming import is_cold, warm

__all__ = ["main"]

_IDLE = 30 * 60.0
"""Seconds without a request after which it leaves."""
_LOOKS = 60.0
"""Seconds after which it looks whether it can still be of use."""
_SETTLED = 5.0
"""The same, after which it imports what runs have imported beyond that."""
_SLOW = 2.0
"""Seconds that a request may take to come whole."""
_JUST_NOW = 1.0
"""Seconds within which what is installed is not looked at again."""
_WAITING = 64
_GO = b"g"
_OUT_OF_THE_WAY = 64
"""A descriptor's number that nobody wants."""
_UNSAFE = "KIT_FORKSERVER_UNSAFE"
"""What a server has found not to cross a fork, for the one that takes its place."""


class Server:
    """One project's, for one environment."""

    def __init__(
        self,
        root: Path,
        preloaded: Preloaded,
        unsafe: Sequence[str],
        since: float,
        listening: socket.socket,
        lock: filelock.BaseFileLock,
    ) -> None:
        self._root = root
        self._list = Path(folder_of(str(root))) / LEARNED
        self._socket = self._list.with_name(own_name())
        self._preloaded = preloaded
        self._unsafe = unsafe
        self._since = since
        self._identity = Identity(root, preloaded, since)
        self._listening = listening
        self._lock = lock
        self._selector = selectors.DefaultSelector()
        self._commands: dict[int, socket.socket] = {}
        self._began = time.time()
        self._forked = 0
        self._looked = 0.0
        self._asked = time.monotonic()
        self._wakeup, self._wakeup_out = socket.socketpair()
        for end in (self._wakeup, self._wakeup_out):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_out.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def serve(self) -> None:
        """Until nobody has asked for a while, it is told to stop, or what it has imported is not what is there.

        Raises:
            ThreadStarted: If what runs have imported meanwhile has started a thread.
        """
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._on_signal)
        while self._listening.fileno() >= 0 or self._commands:
            outgrown = not self._commands and self._is_outgrown()
            ready = self._selector.select(_SETTLED if outgrown else _LOOKS)
            for key, _ in ready:
                handle: Callable[[], None] = key.data
                handle()
            if not ready and outgrown:
                self._grow()
            elif not ready and not self._commands and self._is_of_no_use():
                self._stop()

    def _is_of_no_use(self) -> bool:
        """Whether nobody has asked for long, or nobody can any more: the project was removed, say."""
        return time.monotonic() - self._asked > _IDLE or not self._socket.exists()

    def _is_outgrown(self) -> bool:
        """Whether there is more to do ahead than was done."""
        return state_of(str(self._list)) != self._preloaded.list_state or is_cold(self._root)

    def _grow(self) -> None:
        """Import what runs have imported beyond what is here, and do ahead what can be by now."""
        own = _child.open_descriptors()
        try:
            preload(self._list, self._unsafe, found=self._preloaded)
            warm(self._root)
        except ThreadStarted:
            self._stop()
            raise
        _settle(own)
        self._identity = Identity(self._root, self._preloaded, self._since)

    def _stop(self) -> None:
        """Fork nothing more; who was forked has its end told."""
        if self._listening.fileno() >= 0:
            self._selector.unregister(self._listening)
            with contextlib.suppress(OSError):
                self._socket.unlink()
            self._listening.close()
            self._lock.release()  # another may take its place, though commands of this one go on

    def _on_signal(self) -> None:
        numbers = self._wakeup.recv(256)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stop()
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if (link := self._commands.pop(pid, None)) is not None:
                    self._tell_end(link, os.waitstatus_to_exitcode(status))

    def _tell_end(self, link: socket.socket, code: int) -> None:
        self._selector.unregister(link)
        with contextlib.suppress(OSError), link:
            _wire.answer(link, _wire.EXITED if code >= 0 else _wire.KILLED, abs(code))

    def _accept(self) -> None:
        link, _ = self._listening.accept()
        self._asked = time.monotonic()
        link.settimeout(_SLOW)
        descriptors: list[int] = []
        try:
            peer = peer_of(link)
            if peer is None:
                link.close()
                return
            request, descriptors = _wire.receive(link)
            self._answer(link, peer, request, descriptors)
        except (OSError, ValueError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            link.close()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _answer(self, link: socket.socket, peer: Peer, request: _wire.Request, descriptors: list[int]) -> None:
        if request.kind in {"status", "stop"}:
            _wire.answer(link, _wire.TOLD, self._status())
            link.close()
            if request.kind == "stop":
                self._stop()
            return
        if (why := self._unsuited(peer, request)) is not None:
            _wire.answer(link, _wire.COLD, why)
            link.close()
            return
        # It becomes what was asked for while its server looks whether that may be.
        waiting, permission = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(permission)
            self._be(link, peer, request, descriptors, waiting)
        os.close(waiting)
        why = self._why_outdated(peer)
        if why is None:
            with contextlib.suppress(BrokenPipeError):  # it could not become that, and says so
                os.write(permission, _GO)
        os.close(permission)
        if why is not None:
            _wire.answer(link, _wire.COLD, why)
            link.close()
            return
        self._forked += 1
        if request.kind == "command":
            self._commands[pid] = link
            self._selector.register(link, selectors.EVENT_READ, lambda: self._client_left(pid, link))
        else:
            _wire.answer(link, _wire.BEGUN, pid)
            link.close()

    def _unsuited(self, peer: Peer, request: _wire.Request) -> str | None:
        if request.kind not in _MAINS:
            return f"the forkserver knows nothing of {request.kind!r}"
        if request.executable != sys.executable:
            return "the interpreter is another"
        return peer.differs() or self._identity.differs(request.environment)

    def _why_outdated(self, peer: Peer) -> str | None:
        """What has changed since it was imported; None if nothing has."""
        # A command that was forked a moment ago asks for its supervisor.
        if peer.is_child_of(os.getpid()) and time.monotonic() - self._looked < _JUST_NOW:
            return None
        if (why := self._identity.changed()) is not None:
            self._stop()  # who is told this starts another
        self._looked = time.monotonic()
        return why

    def _client_left(self, pid: int, link: socket.socket) -> None:
        """Who asked was killed, else it would have waited: so is the command that it was."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._selector.unregister(link)
        link.close()
        del self._commands[pid]

    def _be(
        self, link: socket.socket, peer: Peer, request: _wire.Request, descriptors: list[int], waiting: int
    ) -> NoReturn:
        """In the child, which does nothing that anybody could see before it is let."""
        is_command = request.kind == "command"

        def main() -> None:
            os.setsid()
            self._selector.close()
            _child.close_others(waiting, *descriptors, *([link.fileno()] if is_command else []))
            peer.be_like_it()
            permitted = fcntl.fcntl(waiting, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
            os.close(waiting)
            _place(descriptors, request.targets)
            environment = self._identity.with_added(request.environment)
            shown = [sys.executable, *_SHOWN[request.kind], *request.arguments[0 if is_command else 1 :]]
            _child.become(request.arguments, environment, shown=shown, ignored=peer.ignored, blocked=peer.blocked)
            if os.read(permitted, 1) != _GO:
                os._exit(0)
            os.close(permitted)
            if is_command:  # said here, so that nothing it says of its end can come before
                _wire.answer(link, _wire.BEGUN, os.getpid())
            _MAINS[request.kind]()

        def tell(code: int) -> None:
            # The server may be gone by then.
            if is_command:
                _wire.answer(link, _wire.EXITED, code)

        _child.end(main, tell)

    def _status(self) -> str:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        skipped = [f"skipped\t{name}\t{why}" for name, why in self._preloaded.skipped.items()]
        lines = [f"pid\t{os.getpid()}", f"since\t{self._began}", f"modules\t{len(sys.modules)}", f"kilobytes\t{used}"]
        return "\n".join([*lines, f"forked\t{self._forked}", f"commands\t{len(self._commands)}", *skipped])


def _load_commands() -> None:
    from kit.cli.app import load_ahead

    load_ahead(FORKED)


def _command() -> None:
    from kit.cli._main import main

    sys.exit(main(sys.argv[1:]))


_MAINS: dict[str, Callable[[], None]] = {
    "command": _command,
    "supervisor": lambda: _child.run_as_main("kit.executors._supervisor"),
}
_SHOWN = {"command": (), "supervisor": ("-P", "-m", "kit.executors._supervisor")}


def _place(descriptors: list[int], targets: list[int]) -> None:
    """Give each the number that it is wanted under."""
    # Out of the way first: a number that is wanted may be another's.
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, max(targets, default=0) + 1) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, target in zip(high, targets, strict=True):
        os.dup2(descriptor, target, inheritable=target <= 2)
        os.close(descriptor)


def main(arguments: list[str] | None = None) -> int:
    """Import, and serve until nobody asks any more."""
    root = Path((arguments or sys.argv[1:])[0])
    since = time.time()
    folder = Path(folder_of(str(root)))
    name = own_name()
    with contextlib.ExitStack() as stack:
        # Whoever comes second leaves: one is enough.
        lock = filelock.FileLock(folder / f"{name}.lock", timeout=0)
        try:
            stack.enter_context(lock)
        except filelock.Timeout:
            return 0
        unsafe = os.environ.pop(_UNSAFE, "").split()
        os.environ.pop(_ROOM, None)
        environment, own = dict(os.environ), _child.open_descriptors()
        try:
            preloaded = preload(folder / LEARNED, unsafe)
            _load_commands()
            warm(root)
            _settle(own)
            Server(root, preloaded, unsafe, since, _listen(folder, name), lock).serve()
        except ThreadStarted as error:
            lock.release()
            _begin_again([*unsafe, error.module], environment)
    return 0


def _settle(own: set[int]) -> None:
    """Have what was imported be as it is to be in every child. `own` are the descriptors that they do not keep."""
    _child.libraries_are_open(own)
    gc.collect()
    gc.freeze()  # so that a child's collector leaves the pages shared
    in_large_pages()


def _listen(folder: Path, name: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (folder / name).unlink(missing_ok=True)  # of one that was killed
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    listening.bind(f"/proc/self/fd/{descriptor}/{name}")
    os.close(descriptor)
    listening.listen(_WAITING)
    return listening


def _begin_again(unsafe: list[str], environment: dict[str, str]) -> NoReturn:
    environment = environment | {_UNSAFE: " ".join(unsafe), _ROOM: " " * _child.PADDING}
    os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
