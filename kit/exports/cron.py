"""cron: a line of a crontab for each schedule."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kit.errors import UserError
from kit.exports.base import Entry, Place, label, refuse_replacing
from kit.exports.ticks import Ticks, minutes_ahead, same_clock, unsettled_nights
from kit.policies import CatchUpMode, Overlap
from kit.schedule import Schedule
from kit.systemd import search_path

__all__ = ["EXPORTER"]

_LONGEST = 998
"""Characters of a command that Debian's cron takes."""


class _Cron:
    title = "cron"
    command = ()
    knows_zones = True
    follows = False
    is_folder = False
    needs_image = False

    def check(self, schedule: Schedule, ticks: Ticks | None, place: Place) -> tuple[str, ...]:
        if ticks is None:
            raise UserError("a crontab has no year, so it cannot run once", fix="Have `kit scheduler` run this one.")
        _on_machine(ticks, place)
        refuse_replacing(schedule)
        command = _command(schedule, place)
        if max(len(command), len(search_path())) > _LONGEST or not command.isprintable():
            raise UserError(
                "its command or PATH is too long for a crontab, or has control characters",
                fix="Give the folder another name, or shorten PATH.",
            )
        return tuple(_notes(schedule))

    def write(self, entries: Sequence[Entry], place: Place) -> Mapping[str, str]:
        lines = [
            f"{_on_machine(entry.ticks, place).expression} {_command(entry.schedule, place)}\n"
            for entry in entries
            if entry.ticks is not None
        ]
        zone = f"# Times are those of {place.zone}: CRON_TZ would not do, since not every cron knows it.\n"
        return {f"{label(place.project)}.crontab": f"{zone}PATH={search_path()}\n{''.join(lines)}"}


def _on_machine(ticks: Ticks, place: Place) -> Ticks:
    """By the machine's clock, as cron goes.

    Raises:
        UserError: If that is another one.
    """
    if place.zone is None:
        raise UserError(
            "the machine's time zone is not known", fix="Name it, as `--timezone Europe/Berlin` or `--timezone UTC`."
        )
    if same_clock(ticks.timezone, place.zone, place.now):
        means_real_time = any(field.startswith("*") for field in ticks.expression.split()[:2])
        if means_real_time != ticks.starred and unsettled_nights(ticks, place.now):
            raise UserError("its minutes cannot be written for every cron", fix="Write them as `*/N` or as a list.")
        return ticks
    shift = minutes_ahead(place.zone, place.now)
    if ticks.is_every_hour and ticks.timezone == "UTC" and shift is not None:
        return replace(ticks, minutes=frozenset((minute + shift) % 60 for minute in ticks.minutes))
    raise UserError(
        f"it goes by the machine's clock, which is that of {place.zone}, and not by that of {ticks.timezone}",
        fix=f"Put it on a machine in that zone (`--timezone {ticks.timezone}`), or have systemd run it.",
    )


def _notes(schedule: Schedule) -> list[str]:
    found = []
    if schedule.catch_up.mode is not CatchUpMode.NONE:
        found.append(f"cron catches up with nothing (catch_up: {schedule.catch_up.mode}); see `kit schedule backfill`")
    found.append("cron does not make a call again that was lost with its machine (retry)")
    return found


def _command(schedule: Schedule, place: Place) -> str:
    """What a line runs; a `%` would end it."""
    name = shlex.quote(schedule.name)
    # Two calls for one schedule wait for each other; a lock makes the second one leave instead.
    lock = f"flock -n -E 0 .kit/cron-{schedule.name}.lock " if schedule.overlap is Overlap.SKIP else ""
    call = f"{lock}{shlex.join(place.command)} run --schedule {name} --at due"
    log = f".kit/cron-{schedule.name}.log"
    return f"cd {shlex.quote(place.root)} && mkdir -p .kit && {call} >>{log} 2>&1".replace("%", "\\%")


EXPORTER = _Cron()
