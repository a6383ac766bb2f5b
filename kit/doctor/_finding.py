"""What a look at one thing comes to, and where is looked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kit.errors import ExitCode, KitError, from_os_error
from kit.project import Project

__all__ = ["Finding", "Place", "failed", "one_line"]


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is.

    Attributes:
        subject: What was looked at.
        what: One line, without secrets.
        fix: The command that mends it; None if nothing is to be done.
        code: What it leaves with if it is not well.
    """

    subject: str
    ok: bool
    what: str
    fix: str | None = None
    code: ExitCode = ExitCode.HOST


@dataclass(frozen=True, slots=True)
class Place:
    """Where is looked.

    Attributes:
        folder: Where the command was given.
        project: The one that it lies in, if there is one that can be opened.
    """

    folder: Path
    project: Project | None = None


def failed(subject: str, error: KitError | OSError) -> Finding:
    """What an error says, as a finding."""
    told = from_os_error(error) if isinstance(error, OSError) else error
    what = one_line(told.what if told.where is None else f"{told.what} ({told.where})")
    return Finding(subject, ok=False, what=what, fix=told.fix and one_line(told.fix), code=told.exit_code)


def one_line(text: str) -> str:
    return " ".join(text.split())
