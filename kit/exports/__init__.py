"""Schedules as the objects of systems that have a clock: a CronJob, a DAG, a timer, a crontab, a workflow.

Each of them calls `kit run --schedule NAME --at INSTANT`, so that a fire is claimed as by kit's own scheduler, once,
whoever ticks. Which system can say what is decided here; how it is written, in one module for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module

from kit import _zones
from kit.errors import UserError
from kit.exports.base import Entry, Exporter, Place, header, notes_of, refusal
from kit.exports.ticks import Ticks, in_utc, of_trigger, unsettled_nights
from kit.schedule import Schedule
from kit.triggers import After

__all__ = ["SYSTEMS", "Export", "Place", "export", "exporter"]

SYSTEMS = ("airflow", "kubernetes", "systemd", "cron", "github", "gitlab")


@dataclass(frozen=True, slots=True)
class Export:
    """What exporting came to.

    Attributes:
        files: The files' names and texts; none if nothing could be exported.
        notes: What will differ, each with the schedules that it is so for.
        refused: What could not be exported, and why.
    """

    files: Mapping[str, str]
    notes: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, UserError] = field(default_factory=dict)


def exporter(system: str) -> Exporter:
    """The one of that name, from `SYSTEMS`."""
    found: Exporter = import_module(f"kit.exports.{system}").EXPORTER
    return found


def export(
    system: str, schedules: Mapping[str, Schedule], chosen: Iterable[str], place: Place, *, anyway: bool = False
) -> Export:
    """Write schedules as objects of a system.

    Args:
        schedules: All that there are: one may come after another.
        chosen: The names of those to export.
        anyway: Export also what the system would do at other times on nights when clocks are changed, with a note.
    """
    to = exporter(system)
    entries: list[Entry] = []
    refused: dict[str, UserError] = {}
    with_others = _followed(schedules, chosen) if to.follows else {}
    for name in chosen:
        if name in with_others:
            continue
        try:
            entries.append(_entry(to, schedules, schedules[name], place, anyway=anyway))
        except UserError as error:
            refused[name] = refusal(schedules[name], f"{to.title}: {error.what}", error.fix or "")
    written = {schedule.name for entry in entries for schedule in _schedules(entry)}
    for name in [name for name in with_others if name not in written]:
        why = f"{to.title}: it comes after {with_others[name]}, which cannot be exported"
        refused[name] = refusal(schedules[name], why, "Have `kit scheduler` run both.")
    top = "" if to.is_folder else header(entries)
    files = {name: top + text for name, text in to.write(entries, place).items()} if entries else {}
    return Export(files, notes_of(entries), refused)


def _schedules(entry: Entry) -> list[Schedule]:
    return [entry.schedule, *(schedule for after in entry.after for schedule in _schedules(after))]


def _followed(schedules: Mapping[str, Schedule], chosen: Iterable[str]) -> dict[str, str]:
    """Of the chosen ones, those that come after another chosen one: they are a part of its object."""
    wanted = set(chosen)
    return {
        name: trigger.schedule
        for name in wanted
        if isinstance(trigger := schedules[name].trigger, After) and trigger.schedule in wanted
    }


def _entry(to: Exporter, schedules: Mapping[str, Schedule], schedule: Schedule, place: Place, *, anyway: bool) -> Entry:
    if isinstance(schedule.trigger, After) and to.follows:
        other = schedule.trigger.schedule
        raise UserError(f"it comes after {other} and is a part of that", fix=f"Export {other}, or all of them.")
    ticks = of_trigger(schedule.trigger, place.now)
    notes: tuple[str, ...] = ()
    if ticks is not None:
        if not to.knows_zones:
            ticks = in_utc(ticks, place.now)
        notes = _nights(to, ticks, place.now, anyway=anyway)
    return Entry(schedule, ticks, notes + to.check(schedule, ticks, place), _after(to, schedules, schedule, place))


def _after(to: Exporter, schedules: Mapping[str, Schedule], schedule: Schedule, place: Place) -> tuple[Entry, ...]:
    """What comes after it: the same object's, since it is due at the same instant."""
    if not to.follows:
        return ()
    found = [other for other in schedules.values() if other.trigger == After(schedule.name) and other.enabled]
    return tuple(
        Entry(other, None, to.check(other, None, place), _after(to, schedules, other, place)) for other in found
    )


def _nights(to: Exporter, ticks: Ticks, now: datetime, *, anyway: bool) -> tuple[str, ...]:
    """What may differ when clocks are changed.

    Raises:
        UserError: If something may.
    """
    if to.title == "cron":  # kit's rule is Debian cron's own
        return ()
    nights = unsettled_nights(ticks, now)
    if not nights:
        return ()
    what = " and ".join(_night(night, ticks.timezone) for night in nights)
    if not anyway:
        raise UserError(
            f"{what} in {ticks.timezone}: what runs then differs from kit's own clock",
            fix="Take a time that every day has once, or `timezone: UTC`; or accept that with `--anyway`.",
        )
    return (f"{what} in {ticks.timezone}: what runs then may differ from what `kit schedule next` says",)


def _night(change: _zones.Change, timezone: str) -> str:
    start, end = sorted((change.wall_before, change.wall_after))
    how = "does not exist" if change.is_gap else "comes twice"
    return f"{start:%H:%M} to {end:%H:%M} {how} on {_zones.to_wall(timezone, change.at):%Y-%m-%d}"
