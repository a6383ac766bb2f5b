"""systemd: a timer and a service for each schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

from kit.exports.base import Entry, Place, attempts_take, header, label, refuse_replacing
from kit.exports.ticks import Ticks
from kit.policies import CatchUpMode, Overlap
from kit.schedule import Schedule
from kit.systemd import check_fit, plain, quoted, search_path
from kit.triggers import Once

__all__ = ["EXPORTER", "calendar"]

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


class _Systemd:
    title = "systemd"
    command = ()
    knows_zones = True
    follows = False
    is_folder = True
    needs_image = False

    def check(self, schedule: Schedule, ticks: Ticks | None, place: Place) -> tuple[str, ...]:
        refuse_replacing(schedule)
        check_fit(place.root, search_path(), program=place.command[0])
        return () if ticks is None else tuple(_notes(schedule))

    def write(self, entries: Sequence[Entry], place: Place) -> Mapping[str, str]:
        files = {}
        for entry in entries:
            name = label("kit", place.project, entry.schedule.name, limit=100)
            files[f"{name}.service"] = header([entry]) + _service(entry.schedule, place)
            files[f"{name}.timer"] = header([entry]) + _timer(entry, place)
        return files


def _notes(schedule: Schedule) -> list[str]:
    what = "skipping it (overlap: skip)" if schedule.overlap is Overlap.SKIP else "all of it (overlap: queue)"
    found = [
        "systemd runs the last of what was due while an earlier run was busy once that has ended, instead of " + what
    ]
    mode = schedule.catch_up.mode
    if mode is CatchUpMode.ALL:
        found.append("systemd catches up with the last instant only (catch_up: all); see `kit schedule backfill`")
    return found


def calendar(ticks: Ticks) -> list[str]:
    """`OnCalendar=` for them: one line, or two where either of two days is enough."""
    time = f"{_numbers(ticks.hours, 24)}:{_numbers(ticks.minutes, 60)}:00 {ticks.timezone}"
    months = _numbers(ticks.months, 12)
    date = f"*-{months}-{_numbers(ticks.days, 31)}"
    week = "" if len(ticks.weekdays) == 7 else ",".join(_DAYS[day] for day in sorted(ticks.weekdays)) + " "
    return [f"{date} {time}", f"{week}*-{months}-* {time}"] if ticks.either else [f"{week}{date} {time}"]


def _numbers(found: frozenset[int], all_: int) -> str:
    return "*" if len(found) == all_ else ",".join(f"{number:02}" for number in sorted(found))


def _timer(entry: Entry, place: Place) -> str:
    trigger, ticks = entry.schedule.trigger, entry.ticks
    when = calendar(ticks) if ticks is not None else [_instant(trigger)] if isinstance(trigger, Once) else []
    persistent = "no" if entry.schedule.catch_up.mode is CatchUpMode.NONE else "yes"
    return "\n".join(
        [
            "[Unit]",
            f"Description=When {plain(place.project)} runs {entry.schedule.name}",
            "",
            "[Timer]",
            *(f"OnCalendar={line}" for line in when),
            "AccuracySec=1s",
            f"Persistent={persistent}",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _instant(trigger: Once) -> str:
    return f"{trigger.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _service(schedule: Schedule, place: Place) -> str:
    """kit makes the attempts. systemd starts a call again that was killed; how often, kit says."""
    command = " ".join([quoted(place.command[0]), *(quoted(word.replace("$", "$$")) for word in place.command[1:])])
    whole = attempts_take(schedule)
    delay = max(1, round(schedule.retry.delay))
    return "\n".join(
        [
            "[Unit]",
            f"Description={plain(place.project)} runs {schedule.name}",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=oneshot",
            f"WorkingDirectory={plain(place.root)}",
            f"ExecStart={command} run --schedule {schedule.name} --at due",
            f"Environment={quoted(f'PATH={search_path()}')} PYTHONUNBUFFERED=1",
            "# Secrets, as NAME=VALUE lines; read at each start, if it is there. Keep it to yourself: chmod 600.",
            f"EnvironmentFile=-{plain(place.root)}/.kit/schedules.env",
            "Restart=on-abnormal",
            f"RestartSec={delay}",
            f"TimeoutStartSec={'infinity' if whole is None else round(whole)}",
            "# kit ends its run politely; what is left after that is killed.",
            "KillMode=mixed",
            f"TimeoutStopSec={round(schedule.grace) + 30}",
            "",
        ]
    )


EXPORTER = _Systemd()
