"""`kit explain` and `kit bisect`: which change made a metric what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.render import console, json_number, next_steps, number, print_json, table
from kit.errors import ExitCode

if TYPE_CHECKING:
    from kit.bisect import Bisection, Candidate
    from kit.explain import Explanation, Factor, Share
    from kit.project import Project

__all__ = ["bisect", "explain", "register"]

_RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique beginning of it, or last.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; all else goes to stderr.")]
_Here = Annotated[bool, typer.Option("--here", help="Run in this environment, whatever packages the runs had.")]
_SHOWN = 3


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("explain")(explain)
    app.command("bisect")(bisect)


def explain(
    old: _RunName,
    new: _RunName,
    *,
    metric: Annotated[
        str | None, typer.Option("--metric", "-m", help="Which. Default: the first that changed.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=0, help="Runs with other seeds, to see how much the metric varies by itself.")
    ] = 2,
    here: _Here = False,
    as_json: _AsJson = False,
) -> None:
    """Say how much of a metric's change the data, the code, the config, ... are responsible for."""
    from kit import explain as service
    from kit import runs
    from kit.cli._watch import watcher
    from kit.project import open_project

    project = open_project(Path.cwd())
    found = service.explain(
        project,
        runs.find(project, old),
        runs.find(project, new),
        metric=metric,
        seeds=seeds,
        here=here,
        watch=watcher(project, as_json=as_json),
    )
    if as_json:
        print_json(_explanation_json(found))
    else:
        _show_explanation(project, found)


def bisect(
    *,
    good: Annotated[str, typer.Option(metavar="RUN", help="A run with the metric as it should be.")],
    bad: Annotated[str, typer.Option(metavar="RUN", help="A later one with the metric as it should not be.")],
    metric: Annotated[str, typer.Option("--metric", "-m", help="Which.")],
    here: _Here = False,
    as_json: _AsJson = False,
) -> int:
    """Find the commit, or the version of the data, with which a metric broke."""
    from kit import bisect as bisection
    from kit import runs
    from kit.cli._watch import watcher
    from kit.project import open_project

    project = open_project(Path.cwd())
    found = bisection.bisect(
        project,
        runs.find(project, good),
        runs.find(project, bad),
        metric=metric,
        here=here,
        watch=watcher(project, as_json=as_json),
    )
    if as_json:
        print_json(_bisection_json(found))
    else:
        _show_bisection(found)
    return ExitCode.OK


def _show_explanation(project: Project, found: Explanation) -> None:
    from rich.text import Text

    from kit import runs

    out = console()
    old, new = (runs.short(project, record.run_id) for record in (found.old, found.new))
    line = f"  {number(found.before)} → {number(found.after)}  ({found.change:+.6g})  from run {old} to {new}"
    out.print(Text.assemble("\n", (found.metric, "bold"), line))
    if found.noise is not None:
        out.print(f"  with another seed alone it varies by ± {number(found.noise)}")
    out.print()
    if not found.shares:
        out.print("  nothing that was recorded differs: hardware, chance, or something that kit does not see")
    rows = [_share_row(share, found) for share in found.shares]
    if rows:
        table(["changed", "effect", "of it", "what changed"], rows, right=[1, 2])
    for note in found.notes:
        out.print(f"  note: {note}", soft_wrap=True)
    out.print()
    next_steps(["kit", "diff", old, new])


def _share_row(share: Share, found: Explanation) -> list[object]:
    effect = "?" if share.effect is None else f"{share.effect:+.6g}"
    if share.lowest is not None and share.highest is not None and share.lowest != share.highest:
        effect += f" ({share.lowest:+.4g} to {share.highest:+.4g})"
    part = "" if share.effect is None or found.change == 0 else f"{100 * share.effect / found.change:.0f} %"
    return [share.factor.value, effect, part, _some(share.what)]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _show_bisection(found: Bisection) -> None:
    from rich.text import Text

    out = console()
    line = f"  good {number(found.good)}, bad {number(found.bad)}"
    out.print(Text.assemble("\n", (found.metric, "bold"), line))
    out.print(f"  {len(found.tried)} runs for {found.candidates} states of the project")
    for state, reason in found.skipped.items():
        short = state[: state.rfind(" ") + 11]  # the commit at its end; before it may be which part of it alone
        out.print(f"  could not be run: {short}: {reason}", soft_wrap=True)
    if found.first is None or found.before is None:
        out.print("\nneither the code nor the data: the old ones give the bad value with the new run's", style="bold")
        out.print("overrides, seed and packages; `kit explain` says which of them")
        return
    out.print(Text.assemble("\nfirst bad   ", (_state(found.first), "bold red")), soft_wrap=True)
    out.print(f"last good   {_state(found.before)}", soft_wrap=True)
    for factor, names in found.changed.items():
        blamed = "  <- by itself enough" if factor in found.blamed and len(found.changed) > 1 else ""
        out.print(f"  {factor.value:<12}{_some(names)}{blamed}", soft_wrap=True)
    out.print()
    next_steps(["git", "show", found.first.commit[:10]])


def _state(candidate: Candidate) -> str:
    who = f", {candidate.author}" if candidate.author else ""
    return f"{candidate.commit[:10]}  {candidate.title}  ({candidate.at:%Y-%m-%d %H:%M} UTC{who})"


def _explanation_json(found: Explanation) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "old": found.old.run_id,
        "new": found.new.run_id,
        "before": json_number(found.before),
        "after": json_number(found.after),
        "change": json_number(found.change),
        "noise": json_number(found.noise),
        "shares": [asdict(share) for share in found.shares],
        "runs": [record.run_id for record in found.tried],
        "notes": list(found.notes),
    }


def _bisection_json(found: Bisection) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "good": found.good,
        "bad": found.bad,
        "candidates": found.candidates,
        "first": _candidate_json(found.first),
        "before": _candidate_json(found.before),
        "changed": _plain(found.changed),
        "blamed": [factor.value for factor in found.blamed],
        "runs": [record.run_id for record in found.tried],
        "skipped": found.skipped,
    }


def _plain(changed: Mapping[Factor, Sequence[str]]) -> dict[str, list[str]]:
    return {factor.value: list(names) for factor, names in changed.items()}


def _candidate_json(candidate: Candidate | None) -> dict[str, Any] | None:
    if candidate is None:
        return None
    return {
        "commit": candidate.commit,
        "at": candidate.at.isoformat(),
        "title": candidate.title,
        "author": candidate.author,
        "run": candidate.run_id,
        "data": {version.path: version.used for version in candidate.spec.snapshot.data},
    }
