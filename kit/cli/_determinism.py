"""`kit check determinism`: whether an experiment gives the same result each time, and if not, why."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit import _clock
from kit.cli.render import STYLES, console, duration, json_number, next_steps, print_json
from kit.errors import ExitCode

if TYPE_CHECKING:
    from kit._probe import Asked
    from kit.determinism import Cause, Ended, Options, Trial, Verdict
    from kit.project import Project
    from kit.verdicts import Finding

__all__ = ["check_determinism"]

_SHOWN = 5
_HASH = 10
_NARROW = 20
"""Characters of a line of code that are shown at least."""
_VERDICTS = {False: ("identical", "bold green"), True: ("different", "bold red")}
_PROCESSES = (
    "It starts other processes. kit seeds the run's own and they seed themselves: give each its seed, such as "
    "`numpy.random.default_rng([run.seed, number])`."
)


@cache
def _causes() -> Mapping[str, tuple[str, str]]:
    """What each cause is called, and what to do about it."""
    from kit import determinism

    return {
        determinism.GENERATOR: (
            "a generator without a seed",
            "Seed it, by `run.seed`: `numpy.random.default_rng(run.seed)`, `random.Random(run.seed)`.",
        ),
        determinism.TIME: (
            "time: what a clock says is part of the result",
            "Compute nothing from the clock. What a metric measures by it is left out by `--ignore METRIC`.",
        ),
        determinism.THREADS: (
            "threads: the result depends on which of them is first",
            "Put results together in the order in which they were asked for, as `executor.map` gives them.",
        ),
        determinism.NATIVE_THREADS: (
            "thread count: libraries share sums among threads, in no fixed order",
            "Give each library one thread, `OMP_NUM_THREADS=1`; in PyTorch `torch.use_deterministic_algorithms(True)`.",
        ),
        determinism.HASH_ORDER: (
            "hash order: objects in a set are ordered by where they lie, texts by their interpreter's hash seed",
            "Sort a set before you go through it; start other interpreters with this one's PYTHONHASHSEED.",
        ),
        determinism.HASH_SEED: (
            "hash order: with another hash seed a set of texts has another order",
            "Sort a set before you go through it. Until then the seed decides: runs with one seed are the same.",
        ),
        determinism.CONFIG: (
            "config: composing it gives another value each time",
            "Write no value that is made from the time or by chance.",
        ),
        determinism.INPUTS: (
            "files: a run finds what one before it has left in the project",
            "Have the task write to `run.dir`, and keep what others need by `run.artifact`.",
        ),
    }


def check_determinism(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[OVERRIDE]...", help="Hydra overrides: experiment=NAME model.depth=5")
    ] = None,
    *,
    times: Annotated[int, typer.Option("--times", "-n", min=2, help="How often to run it.")] = 3,
    cause: Annotated[bool, typer.Option("--cause/--no-cause", help="Whether to look for the cause.")] = True,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Metrics, parameters, artifacts that may differ; repeatable."),
    ] = None,
    vary_hash: Annotated[
        bool, typer.Option("--vary-hash", help="Run it once more, with another hash seed for sets of texts.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Stop a run after this many seconds.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as JSON; all else goes to stderr.")
    ] = False,
) -> int:
    """Run an experiment several times with one seed: is the result the same, bit for bit? If not, why?"""
    from kit import determinism, runs
    from kit.determinism import Options
    from kit.models import Limits
    from kit.project import open_project

    project = open_project(Path.cwd())
    options = Options(times=times, cause=cause, ignore=tuple(ignore or ()), vary_hash=vary_hash)
    screen = _Screen(project, options, stderr=as_json)
    request = runs.Request(overrides=tuple(overrides or ()), limits=Limits(timeout=timeout))
    found = determinism.check(project, request, options, on_end=screen.ended, on_difference=screen.difference)
    if as_json:
        print_json(_as_json(found))
    else:
        screen.verdict(found)
    return ExitCode.DIFFERENT if found.findings else ExitCode.OK


class _Screen:
    """What is shown while the runs go, and after them."""

    def __init__(self, project: Project, options: Options, *, stderr: bool) -> None:
        self._project = project
        self._options = options
        self._stderr = stderr
        self._runs = 0
        self._advised: set[str] = set()

    def ended(self, ended: Ended) -> None:
        from rich.text import Text

        self._runs += 1
        record = ended.record
        line = Text.assemble(f"{self._runs:>3}  {record.run_id}  ", (f"{record.status:<9}", STYLES[record.status]))
        line.append(f"  {duration(record.duration(_clock.now())):>7}")
        if ended.held:
            line.append(f"  held fixed: {_held(ended.held)}", style="dim")
        self._print(line)

    def difference(self, found: Verdict) -> None:
        self._heading(found)
        self._findings(found)
        if self._options.cause:
            self._print("\nLooking for the cause, by more runs; --no-cause leaves it out.")

    def verdict(self, found: Verdict) -> None:
        from kit import determinism, runs

        if not found.findings or found.varied is not None:
            self._heading(found)
            self._findings(found)
        for cause in found.causes:
            self._cause(found, cause)
        self._print("")
        if found.findings:
            old, new = (runs.short(self._project, ended.record.run_id) for ended in found.pair)
            next_steps(["kit", "diff", old, new], ["kit", "logs", new])
        else:
            next_steps(["kit", "runs", "--tag", f"{determinism.TAG}=determinism"])

    def _heading(self, found: Verdict) -> None:
        from rich.text import Text

        word, style = _VERDICTS[bool(found.findings)]
        first = found.plain[0]
        line = Text.assemble("\n", (word, style), "  ", (first.record.name, "bold"))
        count = f"{len(found.plain)} runs with seed {first.record.seed}"
        if found.findings:
            line.append("  with another hash seed" if found.varied else f"  {count} gave two results")
        else:
            line.append(f"  {count}, bit for bit: {_amount(first)}")
        self._print(line)
        if found.varied is not None and not found.findings:
            self._print("  and with another hash seed")
        if self._options.ignore:
            self._print(f"  not compared: {', '.join(self._options.ignore)}")

    def _findings(self, found: Verdict) -> None:
        from kit import runs

        if not found.findings:
            return
        first, *others = found.findings
        self._print(f"  first in {_where(first)}:")
        for ended, value in zip(found.pair, (first.old, first.new), strict=True):
            self._print(f"    {_value(first, value)}  (run {runs.short(self._project, ended.record.run_id)})")
        if others:
            self._print(f"  then in {_listed([finding.name for finding in others])}")

    def _cause(self, found: Verdict, cause: Cause) -> None:
        from kit import determinism

        names = dict.fromkeys(name for _, name in cause.explains)
        whole = len(found.causes) == 1 and len(names) == len({finding.name for finding in found.findings})
        scope = "" if whole or not names else f" of {_listed(list(names))}"
        self._print("")
        self._prose(f"cause{scope}: {_what(cause)}")
        if cause.kinds and determinism.HASH_SEED not in cause.kinds:
            held = "that" if len(cause.kinds) == 1 else "all of that"
            self._print(f"  with {held} held fixed, {len(cause.run_ids)} runs gave the same")
        self._evidence(found, cause)
        for kind in cause.kinds:
            if kind not in self._advised:
                self._advised.add(kind)
                self._prose(_causes()[kind][1], indent="  ")

    def _evidence(self, found: Verdict, cause: Cause) -> None:
        from kit import determinism
        from kit._probe._threads import PROCESS

        if not cause.kinds:
            for trial in found.trials:
                if trial.failed:
                    self._prose(
                        f"run {trial.run_ids[-1]} with {_held(trial.held)} held fixed: {trial.failed}", indent="  "
                    )
            if cause.places:
                self._print("  What the task asked for that is not the same each time:")
        places = list(_by_line(cause.places).values())
        for same in places[:_SHOWN]:
            kinds = ", ".join(dict.fromkeys(place.kind for place in same))
            self._print(self._place(same[0], "" if cause.kinds else f"  ({kinds})"))
        if (more := len(places) - _SHOWN) > 0:
            self._print(f"  and {more} more places")
        seeds = not cause.kinds or determinism.GENERATOR in cause.kinds
        if seeds and any(place.call == PROCESS for place in cause.places):
            self._prose(_PROCESSES, indent="  ")
        if cause.changed:
            self._print(f"  not the same before both runs: {_listed([suspect.name for suspect in cause.changed])}")

    def _place(self, place: Asked, kind: str) -> str:
        where = f"  {place.file}:{place.line}  "
        more = ("" if place.through is None else f"  (through {place.through})") + kind
        code, room = place.code or place.call, max(_NARROW, console(stderr=self._stderr).width - len(where + more))
        return where + (code if len(code) <= room else f"{code[: room - 3]}...") + more

    def _prose(self, text: str, *, indent: str = "") -> None:
        """Sentences, broken between words."""
        width = console(stderr=self._stderr).width
        for line in textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent or "  "):
            self._print(line)

    def _print(self, line: Any) -> None:  # noqa: ANN401 - a text, or one of rich's
        console(stderr=self._stderr).print(line, soft_wrap=True)


def _amount(ended: Ended) -> str:
    produced = ended.evidence
    counts = {"metric": len(produced.series), "parameter": len(produced.params), "artifact": len(produced.artifacts)}
    words = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items() if count]
    if produced.points > len(produced.series):
        words[0] += f" ({produced.points} points)"
    return ", ".join(words)


def _where(finding: Finding) -> str:
    if finding.kind == "metric":
        return f"{finding.name} at step {finding.step}"
    return "how the runs ended" if finding.kind == "status" else f"{finding.kind} {finding.name}"


def _value(finding: Finding, value: str | float | None) -> str:
    if value is None:
        return "(nothing)"
    if isinstance(value, float):
        return repr(value)
    return f"sha256 {value[:_HASH]}" if finding.kind == "artifact" else value


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _what(cause: Cause) -> str:
    if not cause.kinds:
        return "not known. What usually is to blame was held fixed, and it was no less different."
    return _causes()[cause.kinds[0]][0] if len(cause.kinds) == 1 else f"several together: {', '.join(cause.kinds)}"


def _by_line(places: Iterable[Asked]) -> dict[tuple[str, int], list[Asked]]:
    found: dict[tuple[str, int], list[Asked]] = {}
    for place in places:
        found.setdefault((place.file, place.line), []).append(place)
    return found


def _held(kinds: Sequence[str]) -> str:
    return "everything" if len(kinds) > 2 else " and ".join(kinds)


def _as_json(found: Verdict) -> dict[str, Any]:
    first = found.plain[0]
    return {
        "verdict": _VERDICTS[bool(found.findings)][0],
        "experiment": first.record.experiment,
        "seed": first.record.seed,
        "runs": [ended.record.run_id for ended in found.plain],
        "varied": None if found.varied is None else found.varied.record.run_id,
        "compared": {
            "metrics": len(first.evidence.series),
            "points": first.evidence.points,
            "parameters": len(first.evidence.params),
            "artifacts": len(first.evidence.artifacts),
        },
        "findings": [_finding_json(finding) for finding in found.findings],
        "causes": [_cause_json(cause) for cause in found.causes],
        "trials": [_trial_json(trial) for trial in found.trials],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    values = [json_number(value) if isinstance(value, float) else value for value in (finding.old, finding.new)]
    return {"kind": finding.kind, "name": finding.name, "step": finding.step, "values": values}


def _cause_json(cause: Cause) -> dict[str, Any]:
    return {
        "kinds": list(cause.kinds),
        "known": bool(cause.kinds),
        "explains": _names_json(cause.explains),
        "runs": list(cause.run_ids),
        "places": [asdict(place) for place in cause.places],
        "changed": [asdict(suspect) for suspect in cause.changed],
    }


def _trial_json(trial: Trial) -> dict[str, Any]:
    return {
        "held": list(trial.held),
        "runs": list(trial.run_ids),
        "settled": _names_json(sorted(trial.settled)),
        "failed": trial.failed,
    }


def _names_json(names: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"kind": kind, "name": name} for kind, name in names]
