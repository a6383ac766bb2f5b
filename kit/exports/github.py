"""GitHub Actions: a workflow with a job for each schedule."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence

from kit.errors import UserError
from kit.exports.base import Entry, Place, attempts_take, label, to_yaml
from kit.exports.ticks import Ticks
from kit.policies import CatchUpMode, Overlap
from kit.schedule import Schedule

__all__ = ["EXPORTER"]

_HOURS = 6
"""How long a job of GitHub's own machines takes at most."""
_VARIABLES = ("KIT_STORE", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


class _GitHub:
    title = "GitHub"
    command = ("uv", "run", "kit")
    knows_zones = False
    follows = False
    is_folder = False
    needs_image = False

    def check(self, schedule: Schedule, ticks: Ticks | None, place: Place) -> tuple[str, ...]:  # noqa: ARG002
        if ticks is None:
            raise UserError("a workflow has no year, so it cannot run once", fix="Have `kit scheduler` run this one.")
        if ticks.shortest_gap < 5:
            raise UserError("it runs nothing more often than every five minutes", fix="Give a longer interval.")
        return tuple(_notes(schedule))

    def write(self, entries: Sequence[Entry], place: Place) -> Mapping[str, str]:
        crons = sorted({entry.expression for entry in entries})
        names = [entry.schedule.name for entry in entries]
        chosen = {"type": "choice", "description": "Which one to run now", "required": True, "options": names}
        workflow = {
            "name": "schedules",
            "on": {
                "schedule": [{"cron": cron} for cron in crons],
                "workflow_dispatch": {"inputs": {"schedule": chosen}},
            },
            "permissions": {"contents": "read"},
            "jobs": {_job_id(entry.schedule.name): _job(entry, place) for entry in entries},
        }
        return {"kit-schedules.yml": to_yaml(workflow)}


def _notes(schedule: Schedule) -> list[str]:
    found = [
        "GitHub may start it late, or not at all; the instant is the last one due",
        "GitHub stops after 60 days without a commit",
        "each job begins on an empty machine: without a shared store (the secret KIT_STORE) nobody knows what ran",
    ]
    if schedule.overlap is not Overlap.REPLACE:
        found.append(f"GitHub has one run wait, and drops those before it (overlap: {schedule.overlap})")
    if schedule.catch_up.mode is not CatchUpMode.NONE:
        found.append(f"GitHub catches up with nothing (catch_up: {schedule.catch_up.mode})")
    whole = attempts_take(schedule)
    if whole is None or whole > _HOURS * 3600:
        found.append(f"GitHub's own machines end every job after {_HOURS} hours")
    return found


def _job(entry: Entry, place: Place) -> dict[str, object]:
    schedule = entry.schedule
    whole = attempts_take(schedule)
    limit = {} if whole is None else {"timeout-minutes": math.ceil(whole / 60)}
    run = f"{shlex.join(place.command)} run --schedule {shlex.quote(schedule.name)} --at "
    return {
        "if": f"github.event.schedule == '{entry.expression}' || inputs.schedule == '{schedule.name}'",
        "runs-on": "ubuntu-latest",
        **limit,
        "concurrency": {
            "group": f"kit-{schedule.name}",
            "cancel-in-progress": schedule.overlap is Overlap.REPLACE,
        },
        "env": {name: f"${{{{ secrets.{name} }}}}" for name in _VARIABLES},
        "steps": [
            {"uses": "actions/checkout@v4", "with": {"persist-credentials": False}},
            {"uses": "astral-sh/setup-uv@v6", "with": {"enable-cache": True}},
            {"run": "uv sync --locked"},
            {"run": run + "${{ inputs.schedule && 'now' || 'due' }}"},
        ],
    }


def _job_id(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) else f"run-{label(name)}"


EXPORTER = _GitHub()
