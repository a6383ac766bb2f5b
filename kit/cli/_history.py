"""What became of the instants of schedules, on a pipe and on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kit.cli._fires import FIRE_STYLES, lateness, local_and_utc, origin_words, took
from kit.cli.render import console, duration, table
from kit.fires import Fire, Gap

__all__ = ["print_history"]


def print_history(events: Sequence[Fire | Gap], now: datetime, *, names: bool) -> None:
    """A line each; on a terminal, what is not as usual is told below it."""
    out = console()
    if not out.is_terminal:
        headers = ["scheduled_at", "schedule", "status", "attempts", "run", "late", "took", "reason"]
        table(headers, [_cells(event, now) for event in events])
        return
    from rich.padding import Padding
    from rich.text import Text

    lines = [_words(event, now) for event in events]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for event, words in zip(events, lines, strict=True):
        styles = ["", "", FIRE_STYLES[event.status], "", ""]
        cells = [
            (f"{word:<{width}}  ", style)
            for word, width, style in zip(words, widths, styles, strict=True)
            if width and (names or word is not words[1])
        ]
        line = Text.assemble("  ", *cells)
        line.rstrip()
        out.print(line, soft_wrap=True)
        if said := _aside(event):
            out.print(Padding(Text(said, "dim"), (0, 0, 0, 6), expand=False))


def _words(event: Fire | Gap, now: datetime) -> list[str]:
    if isinstance(event, Gap):
        return [local_and_utc(event.last), event.schedule, event.status.value, f"{event.count} times", ""]
    seconds = duration(took(event, now))
    return [local_and_utc(event.scheduled_at), event.schedule, event.status.value, event.run_id or "", seconds]


def _aside(event: Fire | Gap) -> str:
    if isinstance(event, Gap):
        since = f"since {local_and_utc(event.first)}: " if event.count > 1 else ""
        return f"{since}{event.reason}"
    late = lateness(event)
    parts = [
        origin_words(event),
        f"{event.attempt} attempts" if event.attempt > 1 else "",
        f"{duration(late)} late" if late is not None and late >= 60 else "",
        event.reason or "",
    ]
    return "; ".join(filter(None, parts))


def _cells(event: Fire | Gap, now: datetime) -> list[object]:
    if isinstance(event, Gap):
        instants = f"{event.first.isoformat()}/{event.last.isoformat()}"
        return [instants, event.schedule, event.status.value, "", "", "", "", f"{event.count} times: {event.reason}"]
    late, seconds = lateness(event), took(event, now)
    return [
        event.scheduled_at.isoformat(),
        event.schedule,
        event.status.value,
        event.attempt,
        event.run_id or "",
        "" if late is None else f"{late:.1f}",
        "" if seconds is None else f"{seconds:.1f}",
        event.reason or "",
    ]
