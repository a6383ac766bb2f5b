"""The end of a sweep: what came out, drawn, and told to the tracker as the run above its trials."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kit._files import write_atomic
from kit.executors._telling import tell_tracker_of_sweep
from kit.models import MetricPoint, from_json, to_json
from kit.project import Project, open_project
from kit.states import RunStatus
from kit.sweeps._options import ranked
from kit.sweeps._picture import can_draw, choices_of, draw
from kit.sweeps._work import Board, has_failed, is_pruned
from kit.trackers.base import Artifact, Entry, Metrics, Tags
from kit.tracking import Sent, sent_each

__all__ = ["PICTURE", "finish", "tell", "tell_rest"]

PICTURE = "parallel-coordinates.png"
_SUMMARY = "summary.json"
_TOLD = "told.json"
"""The summary, as the tracker knows it."""


@dataclass(frozen=True, slots=True)
class _Summary:
    """What the tracker is told.

    Attributes:
        experiment: As the tracker names it, `<project>/<experiment>`.
        metrics: Those of the best trial.
        at: When it ended, in seconds since the epoch.
    """

    sweep_id: str
    experiment: str
    status: RunStatus
    reason: str | None
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    at: float = 0.0


def finish(project: Project, board: Board, error: BaseException | None) -> None:
    """Draw the picture, and have the tracker told: by a process of its own, which goes on when this one ends.

    Args:
        error: What stopped the sweep, if something did.
    """
    folder = project.paths.sweep(board.sweep_id)
    goal = board.goal
    found = [] if goal is None else ranked(board.records, goal)
    if goal is not None and len(found) > 1 and error is None and can_draw():
        draw(found, goal, folder / PICTURE)
        board.picture = folder / PICTURE
    if board.records:
        write_atomic(folder / _SUMMARY, to_json(_summary(project, board, error)))
        tell_tracker_of_sweep(project.paths, folder)


def _summary(project: Project, board: Board, error: BaseException | None) -> _Summary:
    status, reason = RunStatus.SUCCEEDED, board.stopped
    if isinstance(error, KeyboardInterrupt):
        status, reason = RunStatus.CANCELLED, "cancelled on request"
    elif error is not None or (board.stopped is not None and board.exit_code):
        status, reason = RunStatus.FAILED, board.stopped or str(error)
    tags = {
        "kit.trials": str(len(board.records)),
        "kit.trials.failed": str(sum(map(has_failed, board.records))),
        "kit.trials.pruned": str(sum(map(is_pruned, board.records))),
    }
    best, goal = board.best, board.goal
    if best is not None and goal is not None:
        chosen = dict(text.partition("=")[::2] for text in best.overrides)
        tags |= {"kit.best.run_id": best.run_id, "kit.best.by": goal.words}
        tags |= {f"kit.best.{key.lstrip('+')}": chosen.get(key, "") for key in choices_of(board.records)}
    return _Summary(
        board.sweep_id,
        f"{project.name}/{board.records[0].experiment}",
        status,
        reason,
        {key: value for key, value in tags.items() if value},
        {} if best is None else best.metrics,
        time.time(),
    )


def tell(folder: Path) -> None:
    """Tell the tracker how the sweep in this folder ended.

    Raises:
        ServiceError: If the tracker does not answer.
    """
    from kit.trackers.mlflow import MlflowTracker

    told = (folder / _SUMMARY).read_bytes()
    summary = from_json(told, _Summary)
    project = open_project(folder)
    tracker = MlflowTracker(project.tracking_uri, locks=project.paths.locks)
    tracker.start_sweep(summary.sweep_id, experiment=summary.experiment)
    points = tuple(MetricPoint(key, value, 0, summary.at) for key, value in summary.metrics.items())
    entries: list[Entry] = [Tags(summary.tags), Metrics(points)]
    if (folder / PICTURE).exists():
        entries.append(Artifact(folder / PICTURE, PICTURE))
    tracker.end(summary.status, summary.reason)  # first: what follows may fail, and this is what matters most
    tracker.send(entries)
    write_atomic(folder / _TOLD, told)


def tell_rest(project: Project) -> Iterator[Sent]:
    """Tell the tracker of every sweep whose end it does not know; what is wrong with one holds up no other."""
    untold = [summary.parent for summary in sorted(project.paths.sweeps.glob(f"*/{_SUMMARY}")) if not _is_told(summary)]
    return sent_each([(folder.name, "sweep", partial(tell, folder)) for folder in untold])


def _is_told(summary: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return summary.with_name(_TOLD).read_bytes() == summary.read_bytes()
    return False
