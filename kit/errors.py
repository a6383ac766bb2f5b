"""Every error kit raises on purpose, each with its exit code and a fix.

KitError
├── UserError        2    the user's input: an override, a config, a path, a project that is not one
├── HostError        3    this machine: disk, permissions, a missing program
├── ServiceError     4    tracking or data service: MLflow, a DVC remote
│   └── DataError    4    data that is not what its contract says
└── RunError         1    the run itself
    ├── TimedOut   124    the run was stopped at its time limit
    └── Cancelled  130    the run was stopped on request
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import ClassVar

__all__ = [
    "Cancelled",
    "DataError",
    "ExitCode",
    "HostError",
    "KitError",
    "RunError",
    "ServiceError",
    "Terminated",
    "TimedOut",
    "UserError",
    "from_os_error",
]


class ExitCode(IntEnum):
    """What the process tells its caller; documented in docs/reference/exit-codes.md."""

    OK = 0
    RUN = 1
    USER = 2
    HOST = 3
    SERVICE = 4
    DIFFERENT = 5
    TIMED_OUT = 124
    CANCELLED = 130
    TERMINATED = 143


class KitError(Exception):
    """Something went wrong, and here is what to do about it.

    Args:
        what: One line, what happened, without a full stop.
        where: The file, key or command it happened at, if that helps to find it.
        fix: What to do next, as an imperative; commands in backquotes.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.RUN

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.what} ({self.where})"
        return text if self.fix is None else f"{text}. {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.fix)


def _rebuild(kind: type[KitError], what: str, where: str | None, fix: str | None) -> KitError:
    """Keyword-only arguments need help to survive pickling between processes."""
    return kind(what, where=where, fix=fix)


class UserError(KitError):
    """The input cannot be used as given."""

    exit_code = ExitCode.USER


class HostError(KitError):
    """This machine cannot do it."""

    exit_code = ExitCode.HOST


class ServiceError(KitError):
    """A tracking or data service did not do its part."""

    exit_code = ExitCode.SERVICE


class DataError(ServiceError):
    """The data is not what its contract says, or not there to be checked."""


class RunError(KitError):
    """The run itself failed."""

    exit_code = ExitCode.RUN


class TimedOut(RunError):
    """The run was stopped at its time limit."""

    exit_code = ExitCode.TIMED_OUT


class Cancelled(RunError):
    """The run was stopped on request."""

    exit_code = ExitCode.CANCELLED


class Terminated(KeyboardInterrupt):
    """SIGTERM, which is a machine's word where Ctrl-C is a person's; most commands end in the same way by both."""


_OS_FIXES = {
    errno.ENOSPC: ("the disk is full", "Free some space, then run the command again."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, then run the command again."),
    errno.EROFS: ("the file system is read-only", "Work in a folder that can be written."),
    errno.EACCES: ("permission denied", "Check who owns the path and its mode (`ls -ld`)."),
    errno.EPERM: ("operation not permitted", "Check who owns the path and its mode (`ls -ld`)."),
    errno.EMFILE: ("too many open files", "Raise the limit with `ulimit -n`."),
    errno.ENFILE: ("too many open files on this machine", "End what holds them (`lsof`)."),
    errno.ENOMEM: ("there is not enough memory", "End other programs, or use a machine with more."),
    errno.EAGAIN: ("no more processes can be started", "End other programs, or raise the limit with `ulimit -u`."),
    errno.EIO: ("the disk or its connection failed", "See what the system says: `dmesg`."),
}
_ELSE = "Check that path and this machine, then run the command again."


def from_os_error(error: OSError) -> HostError:
    """Say what the operating system refused, where, and what to do."""
    reason = (error.strerror or str(error)).lower()
    what, fix = _OS_FIXES.get(error.errno or 0, (reason, _ELSE))
    return HostError(what, where=None if error.filename is None else str(error.filename), fix=fix)
