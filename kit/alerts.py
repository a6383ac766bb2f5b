"""Alerts: worded, and sent to wherever people want them.

apprise knows the services, a hundred of them; it is loaded only by who sends or checks, best in a process of its own
(`kit.executors._telling.send_alerts`).
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

import filelock

from kit import _zones
from kit.alerting import Alert, AlertKind, OutboxEntry
from kit.errors import KitError, ServiceError
from kit.redact import MASK, mask

__all__ = [
    "Delivered",
    "Outbox",
    "UrlsOf",
    "check_url",
    "compose_message",
    "deliver",
    "deliver_pending",
    "send",
]

UrlsOf = Callable[[str | None], Sequence[str]]
"""The targets of a schedule by its name, everybody's for None. A `KitError` means that they cannot be read now."""

_TIMEOUT = 60.0
"""Seconds for one target, apprise's own pauses between the recipients of one URL included."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(hours=24)
_TRIES = 10
"""At least as many, however old a message is: the machine may have slept."""
_PATIENCE = 3
"""So often may a target fail in one pass; after that it is down, and does not hold up the others."""
_REASON_LENGTH = 500
_PIECE = re.compile(r"[^/:@?&=#,;\s]{3,}")


class Outbox(Protocol):
    """Where messages lie until they are sent."""

    def pending_alerts(self, now: datetime) -> list[OutboxEntry]:
        """Those that it is time to try, the oldest first."""

    def alert_sent(self, entry_id: str, at: datetime) -> None: ...

    def alert_failed(
        self, entry_id: str, at: datetime, error: str, next_try_at: datetime | None, taken: str = ""
    ) -> None:
        """Note a try that failed; without a next one the message is given up."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many messages were sent, could not be, and had nobody to go to."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0


# Wording

_HAPPENED = {
    AlertKind.FAILURE: ("failed", "failed"),
    AlertKind.RECOVERY: ("works again", "succeeded"),
    AlertKind.MISSED: ("was missed", "did not run"),
    AlertKind.LATE: ("is late", "is late"),
}
"""What a title says of the schedule, and a text of the fire."""


def compose_message(
    schedule: str,
    alert: Alert,
    *,
    project: str,
    now: datetime,
    timezone: str | None = None,
    run_id: str | None = None,
) -> tuple[str, str]:
    """Word an alert: what, when, why, and what to type next.

    Args:
        now: When it is told; a message can be on its way for hours.
        timezone: The schedule's; None is this machine's.
        run_id: The run that it is about, if there is one.

    Returns:
        Title and body, plain texts.
    """
    of_schedule, of_fire = _HAPPENED[alert.kind]
    recovered = alert.kind is AlertKind.RECOVERY
    times = f" ({alert.count} times)" if alert.count > 1 and not recovered else ""
    lines = [f"The fire of {_instant(alert.scheduled_at, timezone)} {of_fire}{_after(alert) if recovered else ''}."]
    if alert.reason is not None:
        lines.append(f"Reason: {_shortened(mask(alert.reason))}")
    if times:
        lines.append(f"It is the last of {alert.count}; the others have not been told of.")
    commands = _next_commands(schedule, alert, run_id)
    lines += ["", "Next, in the project:", *(f"  {shlex.join(command)}" for command in commands)]
    lines += ["", f"Written {_instant(now, timezone)}"]
    return f"[{project}] {schedule} {of_schedule}{times}", "\n".join(lines)


def _after(alert: Alert) -> str:
    return f", after {alert.count} that failed" if alert.count > 1 else ", after one that failed"


def _next_commands(schedule: str, alert: Alert, run_id: str | None) -> list[list[str]]:
    history = ["kit", "schedule", "history", schedule]
    match alert.kind:
        case AlertKind.MISSED:
            return [history, ["kit", "run", "--schedule", schedule, "--at", alert.scheduled_at.isoformat()]]
        case AlertKind.LATE:
            return [["kit", "status"], history]
        case _:
            return [history] if run_id is None else [["kit", "logs", run_id], history]


def _instant(instant: datetime, timezone: str | None) -> str:
    """`2026-03-01 03:00 Europe/Berlin (02:00 UTC)`, with the day in UTC where that is another, and seconds if any."""
    utc = instant.astimezone(UTC)
    local = instant.astimezone(None if timezone is None else _zones.zone(timezone))
    time = "%H:%M:%S" if utc.second else "%H:%M"
    if not local.utcoffset():
        return f"{utc:%Y-%m-%d {time}} UTC"
    utc_day = "" if utc.date() == local.date() else f"{utc:%Y-%m-%d} "
    return f"{local:%Y-%m-%d {time}} {timezone or local.tzname()} ({utc_day}{utc:{time}} UTC)"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _REASON_LENGTH else f"{line[: _REASON_LENGTH - 3]}..."


# Sending

_KINDS: dict[str, str] = {AlertKind.RECOVERY: "success", AlertKind.MISSED: "warning", AlertKind.LATE: "warning"}
"""What services show each kind as, in colour or symbol."""


def check_url(url: str) -> str | None:
    """What is wrong with a target's URL, without its secrets, and what to do; None if nothing is. Sends nothing."""
    from kit import _apprise

    problem = _apprise.check(url)
    return None if problem is None else _hidden(problem, url)


def send(urls: Sequence[str], message: OutboxEntry, *, timeout: float = _TIMEOUT) -> None:
    """Send a message to every one of `urls`.

    Args:
        timeout: Seconds that each target gets at most.

    Raises:
        ServiceError: If a target did not take it; the others have it. Names no secret.
    """
    problems = [problem for url in urls if (problem := _attempt(url, message, timeout)) is not None]
    if problems:
        raise ServiceError(
            f"the alert was not taken by {'; '.join(problems)}",
            where="alert.to",
            fix="Check these URLs with `kit schedule validate`, and whether the service can be reached.",
        )


def _attempt(url: str, message: OutboxEntry, timeout: float) -> str | None:
    """Why the target did not take it, named and masked; None if it did."""
    from kit import _apprise

    kind = _KINDS.get(message.kind, "failure")
    problem = _apprise.send(url, message.title, message.body, kind, timeout=timeout)
    return None if problem is None else f"{_name(url)}: {_hidden(problem, url)}"


def _name(url: str) -> str:
    """The target without what may be secret: all but a file's name of it."""
    scheme, separator, _ = url.partition("://")
    if scheme.lower() == "file":
        return url
    return f"{scheme}://{MASK}" if separator else MASK


def _hidden(text: str, url: str) -> str:
    """`text` without any part of the URL that could be a secret: services put their tokens anywhere."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() == "file":
        return mask(text)
    pieces = {piece for whole in (rest, unquote(rest)) for piece in _PIECE.findall(whole)}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, MASK)
    return _shortened(mask(text))


# Delivering


def deliver_pending(outbox: Outbox, urls_of: UrlsOf, *, lock: Path, clock: Callable[[], datetime]) -> None:
    """Send what lies in the outbox, unless another process is at it already.

    Whoever comes second leaves, so whoever came first looks once more when it has let go: nothing lies in between.

    Args:
        lock: A file; its folder exists.
    """
    while outbox.pending_alerts(clock()):
        try:
            with filelock.FileLock(lock, timeout=0):
                deliver(outbox, urls_of, clock())
        except filelock.Timeout:
            return


def deliver(outbox: Outbox, urls_of: UrlsOf, now: datetime, *, timeout: float = _TIMEOUT) -> Delivered:
    """Try every message of the outbox that is due, one after the other. Hold a lock: it does not know of others.

    A message is sent to each of its targets once. If some did not take it, those alone get it again, later and later:
    after a minute at first, and after an hour at most. It is given up when it is a day old and was tried ten times;
    its last error is kept. Only the death of this process between sending and noting it sends a message twice.

    A message that nobody wants any more, its schedule being gone or without URLs, counts as sent.

    Args:
        timeout: Seconds that each target gets at most.
    """
    failures: Counter[str] = Counter()
    sent = failed = dropped = 0
    for entry in outbox.pending_alerts(now):
        try:
            urls = urls_of(entry.schedule)
        except KitError as error:
            _put_off(outbox, entry, mask(str(error)), entry.taken.split(), now)
            failed += 1
            continue
        problems, taken = _try_all(urls, entry, failures, timeout)
        if problems:
            _put_off(outbox, entry, "; ".join(problems), taken, now)
            failed += 1
            continue
        outbox.alert_sent(entry.entry_id, now)
        sent, dropped = (sent + 1, dropped) if urls else (sent, dropped + 1)
    return Delivered(sent, failed, dropped)


def _try_all(
    urls: Sequence[str], entry: OutboxEntry, failures: Counter[str], timeout: float
) -> tuple[list[str], list[str]]:
    """Send to those that do not have it.

    Args:
        failures: How often each target failed in this pass; counted on.

    Returns:
        What went wrong, and the digests of the targets that have it now.
    """
    problems: list[str] = []
    taken = entry.taken.split()
    for url in dict.fromkeys(urls):
        digest = _digest(url, entry)
        if digest in taken:
            continue
        down = failures[url] >= _PATIENCE
        problem = f"{_name(url)}: down, not tried" if down else _attempt(url, entry, timeout)
        if problem is None:
            taken.append(digest)
        else:
            failures[url] += 1
            problems.append(problem)
    return problems, taken


def _digest(url: str, entry: OutboxEntry) -> str:
    """Says which target it is, and to nobody else anything: a URL is a secret."""
    return hashlib.sha256(f"{entry.entry_id} {url}".encode()).hexdigest()[:16]


def _put_off(outbox: Outbox, entry: OutboxEntry, error: str, taken: Collection[str], now: datetime) -> None:
    pause = min(_FIRST_PAUSE * 2 ** min(entry.tries, 16), _LONGEST_PAUSE)
    given_up = entry.tries + 1 >= _TRIES and now - entry.created_at >= _GIVEN_UP_AFTER
    outbox.alert_failed(entry.entry_id, now, error, None if given_up else now + pause, " ".join(taken))
