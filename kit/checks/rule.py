"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kit.checks.tree import Tree

__all__ = ["Finding", "Fix", "Rule", "Severity"]


class Severity(StrEnum):
    """How much a finding matters; INFO never fails a check."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Fix:
    """A safe mend.

    Attributes:
        path: The file, relative to the project.
        text: All that is to be in it.
    """

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a convention is not kept.

    Attributes:
        path: The file, relative to the project, with slashes; empty for the project as a whole.
        message: One line, what is wrong there, without a full stop.
        line: From 1, as `column`.
        hint: What to do about it, as an imperative; commands in backquotes.
        fix: What mends it by itself; only where nothing can be lost.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None
    hint: str = ""
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One convention.

    Attributes:
        code: `KIT301`; it never changes, and is never given to another rule.
        name: What it looks for, `unseeded-randomness`.
        summary: One line, in the present tense, without a full stop.
        check: Finds.
        scope: `file` if what it finds depends on one file alone: only files that are asked for are looked at then.
            `project` for one that always looks at all; of what it finds elsewhere, only errors are told then.
    """

    code: str
    name: str
    summary: str
    severity: Severity
    check: Callable[[Tree], Iterable[Finding]]
    scope: Literal["file", "project"] = "file"
