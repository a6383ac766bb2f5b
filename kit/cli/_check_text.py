"""What `kit check` found, for people."""

from __future__ import annotations

import itertools
import re
import sys
import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from kit.checks.rule import Severity
from kit.cli.render import console, next_steps, table

if TYPE_CHECKING:
    from kit.checks.engine import Found, Report
    from kit.checks.rule import Rule

__all__ = ["place", "show", "show_page", "show_rules"]

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "blue"}
_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_INDENT = "    "
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""In a file's name: no name may write on the screen what it likes."""
_NARROWEST = 30


def show(report: Report) -> None:
    """Findings, file by file, and the sum of them."""
    out = console()
    for mended in report.mended:
        out.print(f"mended {mended.path}: {_counted(mended.codes)}", soft_wrap=True)
    if report.mended:
        out.print()
    for _, found in itertools.groupby(report.found, key=lambda one: one.finding.path):
        for one in found:
            _show_one(one)
        out.print()
    out.print(_sum(report), style=None if report.found else "green", soft_wrap=True)
    if out.is_terminal and report.found:
        mends = [["kit", "check", "--fix"]] if any(one.finding.fix is not None for one in report.found) else []
        next_steps(["kit", "check", "--explain", _worst(report).rule.code], *mends)


def place(one: Found) -> str:
    """`src/tiny/train.py:12:5`; `project` for what is nowhere in particular."""
    finding = one.finding
    numbers = [str(number) for number in (finding.line, finding.column) if number is not None]
    return ":".join([_CONTROL.sub("?", finding.path) or "project", *numbers])


def _show_one(one: Found) -> None:
    from rich.text import Text

    out, width = console(), max(console().width, _NARROWEST)
    beginning = f"{place(one)}: {one.rule.code} "
    lines = _folded(beginning + one.finding.message, width, "")
    if lines[0].startswith(beginning.rstrip()):
        at = len(place(one)) + 2
        first = Text(lines[0])
        first.stylize("bold", 0, at - 2)
        first.stylize(_STYLES[one.rule.severity], at, at + len(one.rule.code))
        out.print(first, soft_wrap=True)
    else:  # on a narrow screen, a long path has its line to itself
        out.print(lines[0], soft_wrap=True)
    for line in lines[1:]:
        out.print(line, soft_wrap=True)
    for line in _folded(one.finding.hint, width, _INDENT):
        out.print(Text(line, "dim"), soft_wrap=True)


def _folded(text: str, width: int, first: str) -> list[str]:
    """Broken between words, all but the first line indented; paths and commands stay whole."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=_INDENT, break_on_hyphens=False, break_long_words=False
    )


def _sum(report: Report) -> str:
    looked = f"{_number(len(report.rules), 'rule')}, {_number(report.files, 'file')}"
    excepted = f", {report.excepted} excepted" if report.excepted else ""
    if not report.found:
        return f"all is well: {looked}{excepted}"
    counts = [_number(count, word) for kind, word in _WORDS.items() if (count := report.count(kind))]
    return f"{', '.join(counts)} ({looked}{excepted})"


def _worst(report: Report) -> Found:
    return min(report.found, key=lambda one: list(Severity).index(one.rule.severity))


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _counted(codes: Sequence[str]) -> str:
    counts = {code: codes.count(code) for code in sorted(set(codes))}
    return ", ".join(code if count == 1 else f"{code} ({count} times)" for code, count in counts.items())


def show_rules(rules: Sequence[Rule], on: Collection[str]) -> None:
    """Every rule: on a terminal with its summary below it, on a pipe a line for each."""
    from rich.text import Text

    out = console()
    if not out.is_terminal:
        rows = [(one.code, one.name, one.severity, "on" if one.code in on else "off", one.summary) for one in rules]
        table(["code", "name", "severity", "state", "summary"], rows)
        return
    for one in rules:
        line = Text.assemble((one.code, _STYLES[one.severity]), "  ", (one.name, "bold"), f"  {one.severity}")
        if one.code not in on:
            line.append("  off", "dim")
        out.print(line, soft_wrap=True)
        for part in _folded(one.summary, out.width - 8, ""):
            out.print(f"        {part.strip()}", soft_wrap=True)


def show_page(text: str) -> None:
    """A page of Markdown: as it is on a pipe."""
    out = console()
    if not out.is_terminal:
        sys.stdout.write(text)
        return
    from rich.markdown import Markdown

    out.print(Markdown(text))
