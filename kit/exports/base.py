"""What an exporter is given, and what it has to do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import yaml

from kit.errors import UserError
from kit.exports.ticks import Ticks
from kit.policies import Overlap
from kit.schedule import Schedule

__all__ = [
    "Entry",
    "Exporter",
    "Place",
    "attempts_take",
    "calls_again",
    "header",
    "label",
    "notes_of",
    "refusal",
    "refuse_replacing",
    "to_yaml",
]

_SLACK = 600.0
"""Seconds for what is no attempt: starting a container, fetching its image, telling the tracker."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where schedules are exported to, and from.

    Attributes:
        project: The project's name.
        root: The project's folder, there where its schedules will run.
        command: How kit is called there.
        image: The container image, where there are containers.
        zone: The time zone of the machine whose cron it is; None if nobody knows.
        now: What was due before does not matter.
    """

    project: str
    root: str
    command: tuple[str, ...]
    now: datetime
    image: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule that an exporter can express.

    Attributes:
        ticks: When it is due, if it is cron's to say.
        notes: What will differ from what the schedule's file says, a sentence each.
        after: The schedules that come after it, as far as its exporter has them in one object.
    """

    schedule: Schedule
    ticks: Ticks | None = None
    notes: tuple[str, ...] = ()
    after: tuple[Entry, ...] = ()

    @property
    def expression(self) -> str:
        """For exporters that take nothing but cron."""
        assert self.ticks is not None, self.schedule.name  # noqa: S101 - `check` saw to it
        return self.ticks.expression


class Exporter(Protocol):
    """One system with a clock of its own.

    Attributes:
        title: Its name, as its makers write it.
        command: How kit is called there unless somebody says; empty for this interpreter.
        knows_zones: Whether an expression there has a time zone; else all of them are in UTC.
        follows: Whether a schedule that comes after another can be a part of that one's object.
        is_folder: Whether what it writes is several files, each with its own notes at the top.
        needs_image: Whether nothing can be written without a container image.
    """

    title: str
    command: tuple[str, ...]
    knows_zones: bool
    follows: bool
    is_folder: bool
    needs_image: bool

    def check(self, schedule: Schedule, ticks: Ticks | None, place: Place) -> tuple[str, ...]:
        """What it does differently, a sentence each.

        Args:
            ticks: None for a trigger of one instant.

        Raises:
            UserError: If the result would be wrong.
        """

    def write(self, entries: Sequence[Entry], place: Place) -> Mapping[str, str]:
        """The files' names and what is in them, without the lines at their top."""


def refusal(schedule: Schedule, what: str, fix: str) -> UserError:
    return UserError(what, where=f"schedule {schedule.name}", fix=fix)


def refuse_replacing(schedule: Schedule, *, ends: str = "run") -> None:
    """For systems that end nothing for the sake of what comes later.

    Args:
        ends: What they call it.

    Raises:
        UserError: If the schedule counts on it.
    """
    if schedule.overlap is Overlap.REPLACE:
        raise UserError(
            f"it ends no earlier {ends} for a later one (overlap: replace)",
            fix="Take `skip` or `queue`, or have `kit scheduler` run this one.",
        )


def attempts_take(schedule: Schedule) -> float | None:
    """How many seconds all of a fire's attempts and the waits between them take at most; None if nothing limits it.

    kit itself holds each attempt to its timeout. This is for a system that ends what hangs all the same.
    """
    waits = bool(schedule.slots) or schedule.overlap.value == "queue"
    if schedule.timeout is None or waits:
        return None
    retry = schedule.retry
    pauses = sum(
        min(retry.delay * retry.factor**number * (1 + retry.jitter), retry.max_delay)
        for number in range(retry.attempts - 1)
    )
    return retry.attempts * (schedule.timeout + schedule.grace) + pauses + _SLACK


def calls_again(schedule: Schedule) -> int:
    """How often a system makes a lost call again: for each attempt that may be lost with it.

    What kit has on record is final, so the call after the last of them only says how it ended. And a call can be lost
    before it claims its fire: that, too, is why even a schedule with a single attempt has one.
    """
    return schedule.retry.attempts


def label(*words: str, limit: int = 52) -> str:
    """A name of small letters, digits and `-`, as Kubernetes wants it; 52 is a CronJob's longest."""
    plain = "-".join(words)
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "x"
    if slug == plain and len(slug) <= limit:
        return slug
    mark = hashlib.sha256(plain.encode()).hexdigest()[:6]  # so that `a.b` and `a-b` are two
    return f"{slug[: limit - 7].strip('-')}-{mark}"


def notes_of(entries: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """What the system does differently, each with the names of the schedules it is so for."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in _every(entries):
        for note in entry.notes:
            found[note] = (*found.get(note, ()), entry.schedule.name)
    return found


def _every(entries: Sequence[Entry]) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        yield from _every(entry.after)


def header(entries: Sequence[Entry]) -> str:
    """The same, as comments."""
    return "".join(f"# {', '.join(names)}: {note}\n" for note, names in notes_of(entries).items())


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: scripts line by line, and nothing that refers to another place."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as it is declared
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(*documents: Mapping[str, object]) -> str:
    """One document as it is; of several, each below a `---`."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, explicit_start=len(documents) > 1
    )
