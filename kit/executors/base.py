"""What an executor does: take a run, planned or not, and have it run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from kit.models import Launch, RunRecord
from kit.outcomes import Outcome

__all__ = ["ADOPT", "CANCEL", "CANCEL_NOW", "DETACH", "FLUSH", "GIVE_UP", "HAND_OVER", "Executor", "Handle", "Word"]

CANCEL, CANCEL_NOW, DETACH, GIVE_UP = b"c", b"k", b"d", b"g"
"""What a submitter says to a supervisor."""

FLUSH, ADOPT, HAND_OVER = b"f", b"l", b"h"
"""What a run asks of its supervisor: to have its output in the log, to keep the limits that are known by now, and to
give the run, which was only planned here, to its engine once this process has ended."""


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

    def give_up(self) -> None:
        """Ask an attached run to stop, as if the submitter had been killed: it has failed, and may be tried again."""


@dataclass(frozen=True, slots=True)
class Word:
    """What an engine says of a run.

    Attributes:
        job: What it calls it; None if it has no such job.
        outcome: How the run ended, as far as the engine can tell; None as long as it waits or runs there.
        again: Whether the run is not to blame, and the engine has it go on only if it is asked: `Executor.again`.
    """

    job: str | None
    outcome: Outcome | None
    again: bool = False


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

    def status(self, records: Sequence[RunRecord]) -> dict[str, Word]:
        """What the engine says of each of these runs, by its id; one that is not in there it says nothing of.

        Raises:
            HostError: If it cannot be asked from here.
        """

    def again(self, record: RunRecord, job: str | None) -> bool:
        """Have the engine start one more copy of the run, after that which was this job; False if it will not.

        Whoever asks, and however often: after one job there is one more.

        Raises:
            HostError: If it cannot be asked from here.
        """

    def cancel(self, record: RunRecord, *, at_once: bool = False) -> None:
        """Ask a run that whoever submitted to stop, as `Handle.cancel` does.

        Raises:
            HostError: If it cannot be asked from here.
        """

    def logs(self, run_id: str, *, follow: bool = False) -> Iterator[bytes]:
        """What the run printed, in pieces; with `follow`, until it ends."""
