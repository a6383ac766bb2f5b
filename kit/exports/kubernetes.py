"""Kubernetes: a CronJob for each schedule."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from kit.errors import UserError
from kit.exports.base import Entry, Place, attempts_take, calls_again, label, to_yaml
from kit.exports.ticks import Ticks
from kit.policies import CatchUpMode, Overlap
from kit.schedule import Schedule

__all__ = ["EXPORTER"]

_CONCURRENCY = {Overlap.SKIP: "Forbid", Overlap.QUEUE: "Allow", Overlap.REPLACE: "Replace"}
_UNDECIDED = [3, 4, 137, 143]
"""Exit codes after which kit may not have decided: this host, a service, and who was killed."""
_KEPT = 2 * 86400
"""Seconds that an ended Job and its log are kept."""


class _Kubernetes:
    title = "Kubernetes"
    command = ("kit",)
    knows_zones = True
    follows = False
    is_folder = False
    needs_image = True

    def check(self, schedule: Schedule, ticks: Ticks | None, place: Place) -> tuple[str, ...]:  # noqa: ARG002
        if ticks is None:
            raise UserError("a CronJob has no year, so it cannot run once", fix="Have `kit scheduler` run this one.")
        return tuple(_notes(schedule))

    def write(self, entries: Sequence[Entry], place: Place) -> Mapping[str, str]:
        text = to_yaml(*(_cron_job(entry, place) for entry in entries))
        return {f"{label(place.project)}-schedules.yaml": text}


def _notes(schedule: Schedule) -> list[str]:
    found = []
    if schedule.overlap is Overlap.SKIP:
        found.append(
            "Kubernetes starts what was due while an earlier run was busy once that has ended, if it is not later than "
            "startingDeadlineSeconds, instead of skipping it (overlap: skip)"
        )
    if schedule.catch_up.mode is CatchUpMode.ALL:
        found.append("Kubernetes catches up with the last instant only (catch_up: all); see `kit schedule backfill`")
    return found


def _deadline(schedule: Schedule) -> int:
    """Kubernetes looks every ten seconds: what must start sooner may never do."""
    catch_up = schedule.catch_up
    return max(10, round(catch_up.tolerance if catch_up.mode is CatchUpMode.NONE else catch_up.window))


def _cron_job(entry: Entry, place: Place) -> dict[str, object]:
    schedule, name = entry.schedule, label(place.project, entry.schedule.name)
    labels = {"app.kubernetes.io/managed-by": "kit", "app.kubernetes.io/part-of": label(place.project)}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": labels, "annotations": {"kit/schedule": schedule.name}},
        "spec": {
            "schedule": entry.expression,
            "timeZone": "Etc/UTC" if entry.ticks is None or entry.ticks.timezone == "UTC" else entry.ticks.timezone,
            "concurrencyPolicy": _CONCURRENCY[schedule.overlap],
            "startingDeadlineSeconds": _deadline(schedule),
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": _job(schedule, name, labels, place)},
        },
    }


def _job(schedule: Schedule, name: str, labels: Mapping[str, str], place: Place) -> dict[str, object]:
    """kit makes the attempts. A new pod is for a call that was lost with its machine: it goes on with the next one."""
    whole = attempts_take(schedule)
    deadline = {} if whole is None else {"activeDeadlineSeconds": round(whole)}
    decided = {"containerName": "kit", "operator": "NotIn", "values": _UNDECIDED}
    return {
        "backoffLimit": calls_again(schedule),
        **deadline,
        "ttlSecondsAfterFinished": _KEPT,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": decided}]},
        "template": {
            "metadata": {"labels": dict(labels)},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": round(schedule.grace) + 30,
                "containers": [_container(schedule, name, place)],
                "volumes": [{"name": "project", "persistentVolumeClaim": {"claimName": label(place.project)}}],
            },
        },
    }


def _container(schedule: Schedule, name: str, place: Place) -> dict[str, object]:
    of_job = {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}}
    return {
        "name": "kit",
        "image": place.image,
        "workingDir": place.root,
        "command": ["sh", "-c", _script(schedule, name, place)],
        "env": [{"name": "JOB", "valueFrom": of_job}],
        "envFrom": [{"secretRef": {"name": label(place.project), "optional": True}}],
        "volumeMounts": [{"name": "project", "mountPath": place.root}],
    }


def _script(schedule: Schedule, name: str, place: Place) -> str:
    """A Job's name ends with the minute that it is for, counted from 1970: pods started later run the same fire."""
    digits = "[0-9]" * 8
    return (
        f'case "$JOB" in\n'
        f'  {name}-{digits}) at=$(date -u -d "@$(( ${{JOB##*-}} * 60 ))" +%Y-%m-%dT%H:%M:%SZ) || exit 3 ;;\n'
        f"  *) at=now ;; # somebody made this Job\n"
        f"esac\n"
        f'exec {shlex.join(place.command)} run --schedule {shlex.quote(schedule.name)} --at "$at"\n'
    )


EXPORTER = _Kubernetes()
