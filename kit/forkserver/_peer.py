"""Whoever asks, as the kernel knows it: a forked process has to be as one that it started itself would be."""

from __future__ import annotations

import os
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Peer", "peer_of"]

_CREDENTIALS = struct.Struct("iii")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_SAME = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapEff")
_KINDS = (*_SAME, *(f"{name} namespace" for name in _NAMESPACES), "control group", "score for running out of memory",
          "scheduling policy", "root folder")  # fmt: skip
_LIMITS = [value for name, value in vars(resource).items() if name.startswith("RLIMIT_")]


def peer_of(link: socket.socket) -> Peer | None:
    """Who is at the other end; None if it is another user."""
    said = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(said)
    return Peer(pid) if uid == os.getuid() else None


class Peer:
    """A process that waits for an answer, and so does not change meanwhile.

    Raises:
        OSError: If it is gone.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._status = _status(pid)

    def differs(self) -> str | None:
        """What of it a process forked here could not have; None if it could be one of its own."""
        own = Peer(os.getpid())
        for what, mine, its in zip(_KINDS, own._nature(), self._nature(), strict=True):
            if mine != its:
                return f"its {what} is another"
        if os.getpriority(os.PRIO_PROCESS, self._pid) < os.getpriority(os.PRIO_PROCESS, 0):
            return "it is served before others"
        higher = any(_is_more(hard, resource.getrlimit(limit)[1]) for limit, _, hard in self._limits())
        return "it may use more than others" if higher else None

    def _nature(self) -> list[str]:
        """What a process is born with, or cannot get back."""
        here = f"/proc/{self._pid}"
        spaces = [os.readlink(f"{here}/ns/{name}") for name in _NAMESPACES]
        files = [Path(here, name).read_text("ascii", "replace") for name in ("cgroup", "oom_score_adj")]
        policy = str(os.sched_getscheduler(self._pid))
        return [*(self._status.get(name, "") for name in _SAME), *spaces, *files, policy, os.readlink(f"{here}/root")]

    def is_child_of(self, pid: int) -> bool:
        return self._status["PPid"] == str(pid)

    def be_like_it(self) -> None:
        """Take over what a child has of its parent: folder, mask, limits, niceness, cores, ignored signals.

        Raises:
            OSError: If one of them cannot be had.
        """
        folder = os.open(f"/proc/{self._pid}/cwd", os.O_PATH | os.O_DIRECTORY)
        os.fchdir(folder)
        os.close(folder)
        os.umask(int(self._status["Umask"], 8))
        for limit, soft, hard in self._limits():
            if resource.getrlimit(limit) != (soft, hard):
                resource.setrlimit(limit, (soft, hard))
        if (nice := os.getpriority(os.PRIO_PROCESS, self._pid)) != os.getpriority(os.PRIO_PROCESS, 0):
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        if (cores := os.sched_getaffinity(self._pid)) != os.sched_getaffinity(0):
            os.sched_setaffinity(0, cores)

    @property
    def ignored(self) -> frozenset[int]:
        """The signals that it ignores."""
        return _signals(self._status["SigIgn"])

    @property
    def blocked(self) -> frozenset[int]:
        return _signals(self._status["SigBlk"])

    def _limits(self) -> Iterator[tuple[int, int, int]]:
        for limit in _LIMITS:
            yield limit, *resource.prlimit(self._pid, limit)


def _status(pid: int) -> dict[str, str]:
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _signals(mask: str) -> frozenset[int]:
    bits = int(mask, 16)
    return frozenset(number + 1 for number in range(64) if bits >> number & 1)


def _is_more(one: int, other: int) -> bool:
    return other != resource.RLIM_INFINITY and (one == resource.RLIM_INFINITY or one > other)
