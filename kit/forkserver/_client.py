"""Asking a project's forkserver for a process. Little is imported: this is all that a warm command costs."""

from __future__ import annotations

import _socket
import os
import sys
import zlib

from kit.forkserver import _wire
from kit.forkserver._wire import BEGUN, COLD, TOLD

__all__ = [
    "BEGUN",
    "COLD",
    "FORKED",
    "OFF",
    "TOLD",
    "ask",
    "connect",
    "folder_of",
    "own_name",
    "run_command",
    "unsuited",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Mapping, Sequence
    from types import FrameType
    from typing import NoReturn

OFF = "KIT_FORKSERVER"
"""Set to `off`, every process is started anew."""

FORKED = ("run", "runs", "show", "logs", "status", "schedule", "check")
"""The commands that are."""
_NOT_FORKED = ["check", "determinism"]
"""Below one that is; it varies what an interpreter is started with."""

_PATIENCE = 10.0
"""Seconds: a server forks at once, or is stopped, or the machine is out of memory."""
_NOT_WARM = ("--pdb", "--cron", "--cold", "--profile", "--help", "-h")
_RELAYED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGALRM")


def folder_of(root: str) -> str:
    """Where the servers of the project at `root` are found."""
    return os.path.join(root, ".kit", "forkserver")


def own_name() -> str:
    """What the server is called there that could fork a process like this one: for its environment, its container and
    its session, since what is forked lives and dies with them. A request is compared in full, should two have one name.

    Raises:
        OSError: If there is no /proc.
    """
    with open("/proc/self/cgroup", "rb") as file:
        group = file.read()
    place = os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(os.fsencode(f'{sys.prefix}:{place}:') + group):08x}"


def unsuited() -> str | None:
    """Why this very process could not be replaced by a forked one, whatever the server is like."""
    if os.environ.get(OFF) == "off":
        return f"{OFF} is off"
    if not sys.platform.startswith("linux"):
        return f"forking is not safe with the system libraries of {sys.platform}"
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return "a debugger or a profiler looks on"
    return None


def connect(root: str) -> socket | None:
    """A link to the project's server; None if there is none.

    Through the folder's descriptor, since a socket's path cannot be long.
    """
    try:
        folder = os.open(folder_of(root), os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    # Of C alone: what Python puts above it takes as long to load as everything else here.
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        link.settimeout(_PATIENCE)
        link.connect(f"/proc/self/fd/{folder}/{own_name()}")
    except OSError:
        link.close()
        return None
    finally:
        os.close(folder)
    return link


def ask(
    link: socket,
    kind: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Mapping[int, int],
) -> tuple[bytes, str]:
    """Ask for a process, and hear whether it began.

    Args:
        kind: What it is to be.
        arguments: Its `sys.argv`.
        environment: All of it.
        descriptors: The number that each has there, and the one that it has here.

    Returns:
        `BEGUN` with its pid, or `COLD` with the reason why there is none.
    """
    request = _wire.Request(kind, sys.executable, list(arguments), dict(environment), list(descriptors))
    try:
        _wire.send(link, request, list(descriptors.values()))
        kind_of_answer, text = _wire.listen_for(link)
    except (OSError, ValueError) as error:
        return COLD, f"the forkserver does not answer: {error}"
    return (kind_of_answer, text) if kind_of_answer else (COLD, "the forkserver is gone")


def run_command(arguments: Sequence[str]) -> None:
    """Have a forked process be the command that this one was started as, and leave as it did.

    Returns:
        If this process has to do it itself.
    """
    if not _is_for_a_fork(arguments):
        return
    why = unsuited()
    if why is None and (root := _find_project()) is not None:
        link = connect(root)
        if link is None:
            why = "there is no forkserver yet"
        else:
            kind, text = ask(link, "command", sys.argv, os.environ, {0: 0, 1: 1, 2: 2})
            if kind == BEGUN:
                _leave(_stand_in(link, int(text)))
            link.close()
            why = text
    if why is not None and "--verbose" in arguments:
        sys.stderr.write(f"starting cold: {why}\n")


def _leave(code: int) -> NoReturn:
    """There is nothing here to be taken apart."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _is_for_a_fork(arguments: Sequence[str]) -> bool:
    if not arguments or arguments[0] not in FORKED or sys.argv[1:] != list(arguments):
        return False
    if list(arguments[:2]) == _NOT_FORKED:
        return False
    return not any(argument.partition("=")[0] in _NOT_WARM for argument in arguments)


def _find_project() -> str | None:
    """As `kit.paths.find_project` does, without what that needs."""
    try:
        folder = os.getcwd()
    except OSError:
        return None
    while True:
        try:
            with open(os.path.join(folder, "pyproject.toml"), "rb") as file:
                if any(line.startswith((b"[tool.kit]", b"[tool.kit.")) for line in file):
                    return folder
        except OSError:
            pass
        if folder == (above := os.path.dirname(folder)):
            return None
        folder = above


def _stand_in(link: socket, pid: int) -> int:
    """Be for everyone outside what the forked process is: its signals, its stops and its end."""
    import signal  # while that begins

    try:
        _relay(os.pidfd_open(pid))
    except ProcessLookupError:
        pass  # it has ended already, as the answer will say
    link.settimeout(None)
    kind, text = _wire.listen_for(link)
    if kind == _wire.EXITED:
        return int(text)
    number = int(text) if kind == _wire.KILLED else signal.SIGKILL
    # Whoever waits for this process is told what became of that one.
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def _relay(process: int) -> None:
    """Pass on what this process is asked, but for what it ignores, as under `nohup`."""
    import signal

    def relay(number: int, _frame: FrameType | None) -> None:
        try:
            signal.pidfd_send_signal(process, number)
        except ProcessLookupError:
            pass  # it has just ended

    def stop(_number: int, frame: FrameType | None) -> None:
        relay(signal.SIGSTOP, frame)
        os.kill(os.getpid(), signal.SIGSTOP)
        relay(signal.SIGCONT, frame)

    for name in (*_RELAYED, "SIGTSTP"):
        number = getattr(signal, name)
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop if name == "SIGTSTP" else relay)
