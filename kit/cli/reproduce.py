"""`kit reproduce`: repeat a run, and say whether the result is the same."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.render import console, json_number, next_steps, print_json, table
from kit.errors import ExitCode, UserError

if TYPE_CHECKING:
    from kit.project import Project
    from kit.reproduce import Champion, Options, Reproduction
    from kit.runs import Watch
    from kit.verdicts import Finding, Suspect

__all__ = ["register", "reproduce"]

_STYLES = {"identical": "bold green", "equal": "bold green", "different": "bold red"}
_SHOWN = 12
_HASH = 10


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("reproduce")(reproduce)


def reproduce(
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's id, a unique beginning of it, or last.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[OVERRIDE]...", help="What is to be otherwise, as for `kit run`.")
    ] = None,
    *,
    here: Annotated[
        bool, typer.Option("--here", help="Run in this environment, whatever packages the run had.")
    ] = False,
    repeats: Annotated[
        int, typer.Option(min=1, help="How often to run at most, where nothing recorded explains another result.")
    ] = 2,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(metavar="[METRIC=]VALUE", help="How far a metric may be off: auc=0.001 or 1%; repeatable."),
    ] = None,
    all_best: Annotated[
        bool, typer.Option("--all-best", help="Repeat the runs that made the registered models called champion.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as JSON; all else goes to stderr.")
    ] = False,
) -> int:
    """Repeat a run from its snapshot, data, environment, config and seed, and compare the results."""
    from kit import reproduce as service
    from kit import runs
    from kit.cli._watch import watcher
    from kit.project import open_project
    from kit.reproduce import Options
    from kit.verdicts import Verdict, parse_tolerance

    project = open_project(Path.cwd())
    if (name is None) is not all_best:
        raise UserError("name a run, or use --all-best", where="command line", fix="See `kit runs`.")
    options = Options(
        overrides=tuple(overrides or ()),
        here=here,
        repeats=repeats,
        tolerances=dict(map(parse_tolerance, tolerance or ())),
    )
    watch = watcher(project, as_json=as_json)
    if name is None:
        return _champions(project, options, watch, as_json=as_json)
    found = service.reproduce(project, runs.find(project, name), options, watch=watch)
    if as_json:
        print_json(_as_json(found))
    else:
        _show(project, found)
    return ExitCode.DIFFERENT if found.verdict is Verdict.DIFFERENT else ExitCode.OK


def _champions(project: Project, options: Options, watch: Watch, *, as_json: bool) -> int:
    from kit import reproduce as service
    from kit.verdicts import Verdict

    found = []
    for champion in service.champions(project, options, watch=watch):
        found.append(champion)
        if champion.reproduction is not None and not as_json:
            _show(project, champion.reproduction)
    if as_json:
        print_json([_champion_json(champion) for champion in found])
    elif found:
        console().print()
        rows = [[c.model, c.run_id or "", str(c.error) if c.error else _verdict(c)] for c in found]
        table(["champion", "run", "verdict"], rows)
    else:
        console().print("no registered model is called champion")
    if any(_verdict(champion) == Verdict.DIFFERENT for champion in found):
        return ExitCode.DIFFERENT
    return next((champion.error.exit_code for champion in found if champion.error is not None), ExitCode.OK)


def _verdict(champion: Champion) -> str | None:
    return None if champion.reproduction is None else champion.reproduction.verdict.value


def _champion_json(champion: Champion) -> dict[str, Any]:
    return {
        "model": champion.model,
        "run": champion.run_id,
        "verdict": _verdict(champion),
        "error": None if champion.error is None else str(champion.error),
        "reproduction": None if champion.reproduction is None else _as_json(champion.reproduction),
    }


def _show(project: Project, found: Reproduction) -> None:
    from rich.text import Text

    from kit import runs

    out = console()
    old, new = (runs.short(project, record.run_id) for record in (found.old, found.new[0]))
    heading = Text.assemble("\n", (found.verdict.value, _STYLES[found.verdict]), f"  run {old} ({found.old.name}) ")
    out.print(heading + Text(f"repeated as {' and '.join(runs.short(project, r.run_id) for r in found.new)}"))
    same = _same(found)
    if same:
        out.print(f"  the same, bit for bit: {same}", soft_wrap=True)
    _show_suspects(found)
    for note in found.notes:
        out.print(f"  note: {note}", soft_wrap=True)
    if found.findings:
        out.print()
        table(["", "name", old, new, ""], [_row(finding) for finding in found.findings[:_SHOWN]], right=[2, 3])
        if (more := len(found.findings) - _SHOWN) > 0:
            out.print(f"  and {more} more: `kit reproduce --json`, or `kit diff {old} {new}`")
    out.print()
    next_steps(["kit", "diff", old, new], ["kit", "show", new])


def _show_suspects(found: Reproduction) -> None:
    from kit.verdicts import Verdict

    if not found.suspects:
        return
    out = console()
    first, *rest = found.suspects
    if found.verdict is Verdict.DIFFERENT:
        out.print(f"  first suspicion: {_suspicion(first)}", soft_wrap=True, style="red")
    else:
        rest = list(found.suspects)
    for suspect in rest[:_SHOWN]:
        out.print(
            f"  not the same either: {_suspicion(suspect)}" if found.findings else f"  although: {_suspicion(suspect)}",
            soft_wrap=True,
        )
    if (more := len(rest) - _SHOWN) > 0:
        out.print(f"  and {more} more")


def _suspicion(suspect: Suspect) -> str:
    if suspect.old is None and suspect.new is None:
        return f"{suspect.kind.value}: {suspect.name}"
    return f"{suspect.kind.value}: {suspect.name}: {suspect.old or '(none)'} → {suspect.new or '(none)'}"


def _same(found: Reproduction) -> str:
    """How much was compared and is the same, in words."""
    produced = found.compared
    other = {kind: {f.name for f in found.findings if f.kind == kind} for kind in ("metric", "parameter", "artifact")}
    series = {name: points for name, points in produced.series.items() if name not in other["metric"]}
    counts = {
        "metric": len(series),
        "parameter": len(produced.params.keys() - other["parameter"]),
        "artifact": len(produced.artifacts.keys() - other["artifact"]),
    }
    words = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items() if count]
    points = sum(map(len, series.values()))
    if series and points > len(series):
        words[0] += f" ({points} points)"
    return ", ".join(words)


def _row(finding: Finding) -> list[object]:
    notes = []
    if finding.step is not None:
        notes.append(f"first at step {finding.step}")
    if finding.tolerance is not None:
        notes.append(f"{'within' if finding.tolerated else 'not within'} {finding.tolerance}")
    return [finding.kind, finding.name, _value(finding, finding.old), _value(finding, finding.new), ", ".join(notes)]


def _value(finding: Finding, value: str | float | None) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, float):
        return repr(value)
    return value[:_HASH] if finding.kind == "artifact" else value


def _as_json(found: Reproduction) -> dict[str, Any]:
    def plain(finding: Finding) -> dict[str, Any]:
        values = {side: getattr(finding, side) for side in ("old", "new")}
        numbers = {side: json_number(value) if isinstance(value, float) else value for side, value in values.items()}
        return asdict(finding) | numbers

    return {
        "verdict": found.verdict.value,
        "old": found.old.run_id,
        "new": [record.run_id for record in found.new],
        "suspects": [asdict(suspect) for suspect in found.suspects],
        "findings": [plain(finding) for finding in found.findings],
        "notes": list(found.notes),
        "compared": {
            "metrics": len(found.compared.series),
            "points": found.compared.points,
            "parameters": len(found.compared.params),
            "artifacts": len(found.compared.artifacts),
        },
    }
