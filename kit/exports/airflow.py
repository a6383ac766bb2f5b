"""Airflow 3: a DAG for each schedule, with what comes after it as later tasks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from kit.errors import UserError
from kit.exports.base import Entry, Place, attempts_take, calls_again, refuse_replacing
from kit.exports.ticks import Ticks
from kit.policies import CatchUpMode, Overlap
from kit.schedule import Schedule
from kit.triggers import Once

__all__ = ["EXPORTER"]

_TOP = '''\
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:  # where Airflow 3.0 has them
    from airflow.exceptions import AirflowFailException, AirflowSkipException


class KitRun(BashOperator):
    """A failure is final: kit has made the attempts. Airflow tries a lost call again, which goes on where it was."""

    def __init__(self, **kwargs):
        # All but this host's and a service's trouble (3, 4), and a call that was killed (137, 143).
        decided = [code for code in range(1, 256) if code not in (3, 4, 137, 143)]
        super().__init__(skip_on_exit_code=decided, do_xcom_push=False, **kwargs)

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowSkipException as error:
            raise AirflowFailException(str(error).removesuffix(" Skipping.")) from None


# The instant that the DAG's run is for; a run that somebody started is for when it was.
AT = "{{ (dag_run.logical_date or dag_run.run_after).isoformat() }}"
'''
_RUNS = {Overlap.SKIP: 1, Overlap.QUEUE: 16}


class _Airflow:
    title = "Airflow"
    command = ()
    knows_zones = True
    follows = True
    is_folder = False
    needs_image = False

    def check(self, schedule: Schedule, ticks: Ticks | None, place: Place) -> tuple[str, ...]:
        refuse_replacing(schedule)
        if re.search(r"\{[{%#]", f"{place.root} {shlex.join(place.command)}"):
            raise UserError("its templates would read the path otherwise", fix="Give the folder another name.")
        return tuple(_notes(schedule, is_once=ticks is None))

    def write(self, entries: Sequence[Entry], place: Place) -> Mapping[str, str]:
        text = _TOP + "".join(_dag(entry, place) for entry in entries)
        return {f"{_identifier(place.project)}_schedules.py": text}


def _notes(schedule: Schedule, *, is_once: bool) -> list[str]:
    found = []
    if schedule.overlap is Overlap.SKIP and not is_once:
        found.append(
            "Airflow runs the last of what was due while an earlier run was busy once that has ended, instead of "
            "skipping it (overlap: skip)"
        )
    mode = schedule.catch_up.mode
    if mode is not CatchUpMode.LATEST and not is_once:
        found.append(f"Airflow catches up with the last instant, however late (catch_up: {mode})")
    return found


def _dag(entry: Entry, place: Place) -> str:
    schedule = entry.schedule
    if entry.ticks is None:
        assert isinstance(schedule.trigger, Once)  # noqa: S101 - the one trigger that is no cron's
        when = [
            '    schedule="@once",',
            f"    start_date=datetime.fromisoformat({schedule.trigger.at.isoformat()!r}),",
        ]
    else:
        # What was due before the DAG was there is nobody's, as for a new schedule of kit's.
        zone = f"timezone={entry.ticks.timezone!r}, run_immediately=timedelta()"
        when = [f"    schedule=CronTriggerTimetable({entry.expression!r}, {zone}),"]
    lines = [
        "",
        "with DAG(",
        f"    dag_id={f'{place.project}.{schedule.name}'!r},",
        *when,
        "    catchup=False,",
        f"    max_active_runs={_RUNS[schedule.overlap]},",
        f'    tags=["kit", {place.project!r}],',
        "):",
        *_tasks(entry, place),
    ]
    return "\n".join(lines) + "\n"


def _tasks(entry: Entry, place: Place) -> list[str]:
    """One for the schedule and one for each that comes after it, as variables of the DAG's block."""
    every = list(_with_followers(entry, None))
    names = {schedule.name: f"task_{index}" for index, (schedule, _) in enumerate(every)}
    lines = []
    for schedule, upstream in every:
        before = "" if upstream is None else f"{names[upstream.name]} >> "
        lines += [f"    {names[schedule.name]} = {_task(schedule, place)}"]
        lines += [f"    {before}{names[schedule.name]}"] if before else []
    return lines


def _with_followers(entry: Entry, upstream: Schedule | None) -> Iterator[tuple[Schedule, Schedule | None]]:
    yield entry.schedule, upstream
    for after in entry.after:
        yield from _with_followers(after, entry.schedule)


def _task(schedule: Schedule, place: Place) -> str:
    call = f"exec {shlex.join(place.command)} run --schedule {shlex.quote(schedule.name)} --at "
    whole = attempts_take(schedule)
    arguments = [
        f"task_id={schedule.name!r}",
        f"bash_command={f'cd {shlex.quote(place.root)} && {call}'!r} + AT",
        f"retries={calls_again(schedule)}",
        f"retry_delay=timedelta(seconds={schedule.retry.delay:g})",
        *([] if whole is None else [f"execution_timeout=timedelta(seconds={round(whole)})"]),
    ]
    return "KitRun(\n" + "".join(f"        {argument},\n" for argument in arguments) + "    )"


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name)


EXPORTER = _Airflow()
