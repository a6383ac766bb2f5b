"""GitLab: a job of the pipeline for each schedule. When they run, a pipeline schedule says, which lies in GitLab."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

from kit.errors import UserError
from kit.exports.base import Entry, Place, attempts_take, calls_again, refuse_replacing, to_yaml
from kit.exports.ticks import Ticks
from kit.policies import CatchUpMode, Overlap
from kit.schedule import Schedule

__all__ = ["EXPORTER"]

_IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
_LOST = ["runner_system_failure", "stuck_or_timeout_failure", "scheduler_failure"]
_MOST_RETRIES = 2


class _GitLab:
    title = "GitLab"
    command = ("uv", "run", "kit")
    knows_zones = True
    follows = False
    is_folder = False
    needs_image = False

    def check(self, schedule: Schedule, ticks: Ticks | None, place: Place) -> tuple[str, ...]:  # noqa: ARG002
        if ticks is None:
            raise UserError(
                "a pipeline schedule has no year, so it cannot run once", fix="Have `kit scheduler` run this one."
            )
        refuse_replacing(schedule, ends="job")
        return tuple(_notes(schedule))

    def write(self, entries: Sequence[Entry], place: Place) -> Mapping[str, str]:
        top = "# These need pipeline schedules (Build > Pipeline schedules), each with its variable:\n"
        rows = "".join(
            f"#   {entry.expression}   zone {entry.ticks.timezone}   RUN_SCHEDULE={entry.schedule.name}\n"
            for entry in entries
            if entry.ticks is not None
        )
        jobs = {f"kit:{entry.schedule.name}": _job(entry, place) for entry in entries}
        return {"kit-schedules.gitlab-ci.yml": top + rows + to_yaml(jobs)}


def _notes(schedule: Schedule) -> list[str]:
    found = [
        "GitLab keeps the times in a pipeline schedule of its own, which is yours to make",
        "GitLab looks at those every few minutes or once an hour; the instant is the last one due",
        "each job begins on an empty machine: without a shared store (the variable KIT_STORE) nobody knows what ran",
    ]
    if schedule.overlap is Overlap.SKIP:
        found.append("GitLab has what is due while an earlier run is busy wait for it (overlap: skip)")
    if schedule.catch_up.mode is not CatchUpMode.NONE:
        found.append(f"GitLab catches up with nothing (catch_up: {schedule.catch_up.mode})")
    if calls_again(schedule) > _MOST_RETRIES:
        found.append(f"GitLab starts a job that was lost again {_MOST_RETRIES} times at most")
    return found


def _job(entry: Entry, place: Place) -> dict[str, object]:
    schedule = entry.schedule
    whole = attempts_take(schedule)
    limit = {} if whole is None else {"timeout": f"{math.ceil(whole / 60)} minutes"}
    return {
        "rules": [{"if": f'$CI_PIPELINE_SOURCE == "schedule" && $RUN_SCHEDULE == "{schedule.name}"'}],
        "image": place.image or _IMAGE,
        **limit,
        "resource_group": f"kit-{schedule.name}",
        "retry": {"max": min(calls_again(schedule), _MOST_RETRIES), "when": _LOST},
        "script": [
            "uv sync --locked",
            f"{shlex.join(place.command)} run --schedule {shlex.quote(schedule.name)} --at due",
        ],
    }


EXPORTER = _GitLab()
