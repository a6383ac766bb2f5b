"""`kit run -m`: many runs from one command, and how they stand."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kit import runs, sweeps
from kit._durations import parse_duration
from kit.cli._board import counted, leaderboard, shown
from kit.cli.render import console, next_steps, number, print_json, record_json, table
from kit.errors import UserError
from kit.project import Project
from kit.redact import mask
from kit.sweeps import Board, OnError, Options, Show

__all__ = ["Asked", "refuse_without_m", "resume", "sweep"]

_ROWS = 20
"""How many trials the table has at the end; `kit runs` has all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a sweep as they were typed; None and empty: not at all."""

    jobs: int | None = None
    on_error: OnError | None = None
    trials: int | None = None
    time_budget: str | None = None
    metric: str | None = None
    maximize: bool | None = None
    slot: Sequence[str] = ()

    def over(self, before: Options) -> Options:
        """The options with what was typed in place of what they had.

        Raises:
            UserError: If a value cannot be used.
        """
        changed = before
        for name in ("jobs", "on_error", "trials", "metric", "maximize"):
            if (value := getattr(self, name)) is not None:
                changed = replace(changed, **{name: value})
        if self.time_budget is not None:
            changed = replace(changed, time_budget=_seconds(self.time_budget))
        return replace(changed, slots=_slots(self.slot)) if self.slot else changed


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UserError(str(error), where="--time-budget", fix="Write it as `10m`, `1h 30m` or seconds.") from error


def _slots(given: Sequence[str]) -> dict[str, int]:
    found = {}
    for text in given:
        name, _, number = text.partition("=")
        if not name or not (number or "1").isdecimal() or int(number or 1) < 1:
            raise UserError(
                f"{text!r} names no slots", where="--slot", fix="Write it as `--slot gpu` or `--slot gpu=2`."
            )
        found[name] = int(number or 1)
    return found


def refuse_without_m(asked: Asked) -> None:
    """Raises:
    UserError: If something was asked for that is only for sweeps.
    """
    options: dict[str, object] = {"--jobs": asked.jobs, "--on-error": asked.on_error, "--trials": asked.trials}
    options |= {"--time-budget": asked.time_budget, "--metric": asked.metric, "--slot": asked.slot or None}
    options |= {"--maximize" if asked.maximize else "--minimize": asked.maximize}
    for option, value in options.items():
        if value is not None:
            what = f"{option} is for the trials of a sweep"
            raise UserError(what, where="command line", fix="Add `-m`, or leave it out.")


def sweep(project: Project, request: runs.Request, asked: Asked, *, dry_run: bool, as_json: bool) -> int:
    """Run a sweep, or say what it would run."""
    options = asked.over(Options())
    if dry_run:
        return _dry(project, request, options, as_json=as_json)
    with _showing(as_json=as_json) as show:
        board = sweeps.sweep(project, request, options, show=show)
    return _end(board, as_json=as_json)


def resume(project: Project, name: str, asked: Asked, *, as_json: bool) -> int:
    """Go on with a sweep."""
    with _showing(as_json=as_json) as show:
        board = sweeps.resume(project, name, asked.over, show=show)
    return _end(board, as_json=as_json)


def _dry(project: Project, request: runs.Request, options: Options, *, as_json: bool) -> int:
    trials = [[mask(text) for text in overrides] for overrides in sweeps.trials(project, request, options)]
    if as_json:
        print_json([{"trial": index, "overrides": overrides} for index, overrides in enumerate(trials)])
    else:
        table(["trial", "overrides"], [(index, shlex.join(overrides)) for index, overrides in enumerate(trials)])
    return 0


@contextlib.contextmanager
def _showing(*, as_json: bool) -> Iterator[Show]:
    """What shows the sweep; when it is stopped, that says how to go on with it."""
    seen: list[str] = []
    try:
        with shown(as_json=as_json) as show:

            def look(board: Board) -> None:
                seen[:] = [board.sweep_id]
                show(board)

            yield look
    except KeyboardInterrupt:
        if seen:
            again = shlex.join(["kit", "run", "-m", "--resume", *seen])
            console(stderr=True).print(f"stopped; what has ended is kept. Go on with it: {again}", soft_wrap=True)
        raise


def _end(board: Board, *, as_json: bool) -> int:
    if as_json:
        print_json(_as_json(board))
    else:
        _report(board)
    return board.exit_code


def _report(board: Board) -> None:
    out, goal, best = console(), board.goal, board.best
    out.print()
    out.print(f"{board.sweep_id}  {counted(board)}" + (f"  ({board.stopped})" if board.stopped else ""), soft_wrap=True)
    if out.is_terminal:
        out.print()
        out.print(leaderboard(board, limit=_ROWS))
    if best is not None and goal is not None:
        out.print()
        name = f"best {goal.words}: {number(best.metrics[goal.metric])}, run {best.run_id}"
        out.print(name, soft_wrap=True)
        out.print(f"  {shlex.join(['kit', 'run', *best.overrides])}", soft_wrap=True)
    if board.picture is not None:
        out.print(f"picture: {os.path.relpath(board.picture)}", soft_wrap=True)
    metric = "METRIC" if goal is None else goal.metric
    steps = [["kit", "runs", "--sweep", board.sweep_id, "--sort", metric]]
    steps.append(["kit", "show", "RUN" if best is None else best.run_id])
    if board.stopped is not None or any(map(sweeps.has_failed, board.records)):
        steps.append(["kit", "run", "-m", "--resume", board.sweep_id])
        if board.stopped is None:
            steps[-1] += ["--on-error", "retry"]
    out.print()
    next_steps(*steps)


def _as_json(board: Board) -> Mapping[str, object]:
    goal, best = board.goal, board.best
    return {
        "sweep": board.sweep_id,
        "stopped": board.stopped,
        "metric": None if goal is None else goal.metric,
        "maximize": None if goal is None else goal.maximize,
        "best": None if best is None else best.run_id,
        "picture": None if board.picture is None else str(board.picture),
        "runs": [record_json(record) for record in board.records],
    }
