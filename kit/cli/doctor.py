"""`kit doctor`: are this machine and its services fit for work?"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kit.cli._arguments import AsJson
from kit.cli.render import console, print_json, table

if TYPE_CHECKING:
    from kit.doctor import Finding, Report

__all__ = ["doctor", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor")(doctor)


def doctor(*, as_json: AsJson = False) -> int:
    """Is this machine fit for work? Leaves with 3 if it is not, with 4 if a service is not."""
    from kit.doctor import examine

    report = examine(Path.cwd())
    if as_json:
        print_json(_json(report))
    else:
        _show(report)
    return report.code


def _json(report: Report) -> dict[str, Any]:
    return {
        "project": report.project,
        "well": not report.code,
        "findings": [
            {"subject": one.subject, "ok": one.ok, "what": one.what, "fix": one.fix} for one in report.findings
        ],
    }


def _show(report: Report) -> None:
    out = console()
    if not out.is_terminal:
        table(["state", "subject", "what", "fix"], [_row(one) for one in report.findings])
        return
    from rich.text import Text

    width = max(len(one.subject) for one in report.findings)
    for one in report.findings:
        state = Text("ok ", "green") if one.ok else Text("bad", "bold red")
        lines = _wrapped(one.what, out.width - width - 7)
        out.print(Text.assemble(state, f"  {one.subject:<{width}}  {lines[0]}"), soft_wrap=True)
        for line in lines[1:]:
            out.print(" " * (width + 7) + line, soft_wrap=True)
        for line in _wrapped(one.fix or "", out.width - width - 7):
            out.print(Text(" " * (width + 7) + line, "dim"), soft_wrap=True)
    bad = sum(not one.ok for one in report.findings)
    out.print()
    out.print("all is well" if not bad else f"{bad} to mend", style="green" if not bad else "bold red")


def _row(one: Finding) -> tuple[str, str, str, str]:
    return "ok" if one.ok else "bad", one.subject, one.what, one.fix or ""


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 20), break_on_hyphens=False)
