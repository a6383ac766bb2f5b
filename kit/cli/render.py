"""How things look on a terminal, and on a pipe."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from kit.states import RunStatus

if TYPE_CHECKING:
    from rich.console import Console

    from kit.errors import KitError
    from kit.models import RunRecord

__all__ = [
    "STYLES",
    "ago",
    "console",
    "duration",
    "heading",
    "json_number",
    "key_values",
    "next_steps",
    "number",
    "print_error",
    "print_json",
    "record_json",
    "table",
]

STYLES = {
    RunStatus.QUEUED: "dim",
    RunStatus.STARTING: "cyan",
    RunStatus.RUNNING: "cyan",
    RunStatus.SUCCEEDED: "green",
    RunStatus.FAILED: "red",
    RunStatus.TIMED_OUT: "red",
    RunStatus.CANCELLED: "yellow",
    RunStatus.LOST: "red",
}


@cache
def console(*, stderr: bool = False) -> Console:
    """The console on standard output, or on standard error. A pipe is not wrapped at 80 columns.

    Texts are printed as they are, whatever brackets or colons they hold: what is to have a style is a rich `Text`.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 10_000
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


def print_error(error: KitError) -> None:
    """One line: what happened, where, and what to do."""
    from rich.text import Text

    line = Text("error: ", style="bold red")
    line.append(_one_line(error.what), style="default")
    if error.where is not None:
        line.append(f" ({_one_line(error.where)})", style="dim")
    if error.fix is not None:
        line.append(f". {_one_line(error.fix)}", style="default")
    console(stderr=True).print(line, soft_wrap=True)


def _one_line(text: str) -> str:
    return " ".join(part.strip() for part in text.splitlines())


def print_json(value: object) -> None:
    """Machines read this: one document, with a line end."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, allow_nan=False) + "\n")


def record_json(record: RunRecord) -> dict[str, Any]:
    """A record as JSON data; numbers that JSON does not know are texts."""
    from kit.models import to_json

    plain: dict[str, Any] = json.loads(to_json(record))
    plain["metrics"] = {key: json_number(value) for key, value in record.metrics.items()}
    return plain


def json_number(value: float | None) -> float | str | None:
    """The number, or its name as a text where JSON has none for it."""
    return value if value is None or math.isfinite(value) else repr(value)


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[int] = (),
    whole: Collection[int] = (),
) -> None:
    """Print a table: aligned on a terminal, tabs on a pipe.

    Args:
        headers: The columns' names.
        rows: Texts, or rich's texts.
        right: The columns to align to the right.
        whole: The columns that are never folded, as ids are to be copied.
    """
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not out.is_terminal:
        for row in (headers, *rows):  # rich would make blanks of the tabs
            sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for index, header in enumerate(headers):
        justify: Literal["left", "right"] = "right" if index in right else "left"
        grid.add_column(Text(header), justify=justify, overflow="fold", no_wrap=index in whole)
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    out.print(grid)


def number(value: float | None) -> str:
    """Six significant digits; nothing for nothing."""
    return "" if value is None else f"{value:.6g}"


def duration(seconds: float | None) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 5 min`; nothing for nothing."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def ago(instant: datetime, now: datetime) -> str:
    """`just now`, `5 min ago`, `3 h ago`, `2 d ago`."""
    seconds = (now - instant).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"


def key_values(pairs: Mapping[str, object]) -> None:
    """Print names and values under each other, the names aligned; empty values left out."""
    shown = {name: str(value) for name, value in pairs.items() if value not in (None, "", {}, ())}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        console().print(f"{name:<{width}}  {value}", soft_wrap=True)


def heading(record: RunRecord, *more: str) -> None:
    """Print the line that says which run this is and how it stands."""
    from rich.text import Text

    status = (record.status.value, STYLES[record.status])
    rest = "".join(f"  {text}" for text in more if text)
    console().print(Text.assemble((record.name, "bold"), f"  {record.run_id}  ", status, rest), soft_wrap=True)


def next_steps(*commands: Sequence[str]) -> None:
    """Print what can be typed now."""
    from rich.text import Text

    steps = [Text(shlex.join(command), "bold") for command in commands]
    console().print(Text("next: ") + Text("  or  ").join(steps), soft_wrap=True)
