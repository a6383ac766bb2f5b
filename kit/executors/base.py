"""What an executor does: take a run, planned or not, and have it run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from kit.models import Launch

__all__ = ["ADOPT", "CANCEL", "CANCEL_NOW", "DETACH", "FLUSH", "Executor", "Handle"]

CANCEL, CANCEL_NOW, DETACH = b"c", b"k", b"d"
"""What a submitter says to a supervisor."""

FLUSH, ADOPT = b"f", b"l"
"""What a run asks of its supervisor: to have its output in the log, and to keep the limits that are known by now."""


class Handle(Protocol):
    """A submitted run, held by the one who submitted it."""

    @property
    def run_id(self) -> str: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing of the run is left to do; False if `timeout` seconds passed first."""

    def cancel(self, *, at_once: bool = False) -> None:
        """Ask the run to stop: politely, then after its grace by force; `at_once` by force now."""

    def detach(self) -> None:
        """Let the run go on when the submitter is gone."""


class Executor(Protocol):
    """Where runs execute. The run's own folder and its row in the store are there before `submit`."""

    def submit(self, launch: Launch, *, interactive: bool = False, attached: bool = True) -> Handle:
        """Start the run and return at once.

        Args:
            launch: Which run; its folder has the rest.
            interactive: Give the run this process's standard input.
            attached: Whether the run ends when this process dies, as if `Handle.detach` had not been called.

        Raises:
            HostError: If it cannot be started here.
        """

    def logs(self, run_id: str, *, follow: bool = False) -> Iterator[bytes]:
        """What the run printed, in pieces; with `follow`, until it ends."""
