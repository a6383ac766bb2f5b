"""What a user wants of a project's forkserver: to know of it, and to be rid of it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kit.forkserver import _client

__all__ = ["Status", "status", "stop"]


@dataclass(frozen=True, slots=True)
class Status:
    """A server as it is now.

    Attributes:
        modules: How many it has imported.
        peak_bytes: The memory that it took at most, most of which its children share.
        forked: How many processes came out of it.
        commands: How many of them are commands that still go on.
        skipped: Modules that it does not import, and why.
    """

    pid: int
    since: datetime
    modules: int
    peak_bytes: int
    forked: int
    commands: int
    skipped: dict[str, str]


def status(root: Path) -> Status | None:
    """The server of the project at `root` for this environment; None if there is none."""
    return _ask(root, "status")


def stop(root: Path) -> Status | None:
    """Have it fork nothing more, and leave when the commands that it forked have ended; None if there is none."""
    return _ask(root, "stop")


def _ask(root: Path, what: str) -> Status | None:
    link = _client.connect(str(root))
    if link is None:
        return None
    with closing(link):
        kind, text = _client.ask(link, what, [], {}, {})
    if kind != _client.TOLD:
        return None
    said: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for line in text.split("\n"):
        name, value, *rest = line.split("\t")
        if name == "skipped":
            skipped[value] = rest[0]
        else:
            said[name] = value
    return Status(
        pid=int(said["pid"]),
        since=datetime.fromtimestamp(float(said["since"]), UTC),
        modules=int(said["modules"]),
        peak_bytes=int(said["kilobytes"]) * 1024,
        forked=int(said["forked"]),
        commands=int(said["commands"]),
        skipped=skipped,
    )
