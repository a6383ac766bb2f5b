"""Whether schedules would work: what they name is looked at, and nothing is run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property

from kit import alerts, data, planning
from kit._durations import format_duration
from kit._dvc_files import read_stages
from kit._near import did_you_mean, nearest
from kit._variables import variables
from kit.config import COMMAND_LINE
from kit.errors import KitError, UserError
from kit.fires import FireQuery
from kit.models import Origin, Request
from kit.policies import CatchUpMode
from kit.project import Project
from kit.schedule import Schedule, masked
from kit.schedules import Loaded
from kit.triggers import Once, OnData, next_after

__all__ = ["problems"]


def problems(
    project: Project,
    loaded: Loaded,
    now: datetime,
    *,
    where: Callable[[str], str],
    names: Collection[str] | None = None,
) -> dict[str, list[KitError]]:
    """What is wrong with schedules, by name: their files, their experiments, and whatever else they name.

    Args:
        where: The file of a schedule, by its name.
        names: Those to look at; None looks at all.
    """
    checks = _Checks(project, now)
    found: dict[str, list[KitError]] = {}
    for name in sorted({*loaded.schedules, *loaded.broken} if names is None else names):
        if name in loaded.broken:
            found[name] = [loaded.broken[name]]
        elif errors := list(checks.of(loaded.schedules[name], where(name))):
            found[name] = errors
    return found


class _Checks:
    """What they look at is read once for all schedules."""

    def __init__(self, project: Project, now: datetime) -> None:
        self._project = project
        self._now = now
        self._drafted: dict[tuple[object, ...], KitError | None] = {}

    def of(self, schedule: Schedule, where: str) -> Iterator[KitError]:
        for check in (self._experiment, self._repro, self._data, self._slots, self._once, self._alert):
            try:
                yield from check(schedule, where)
            except KitError as error:
                yield error

    def _experiment(self, schedule: Schedule, where: str) -> Iterator[KitError]:
        """Its runs have a config; the same request is composed once."""
        key = (schedule.arguments, schedule.limits, schedule.executor)
        if key not in self._drafted:
            self._drafted[key] = self._draft(schedule)
        error = self._drafted[key]
        if error is not None:
            command = shlex.join(masked(schedule).command)
            place = where if error.where in {None, COMMAND_LINE} else f"{error.where}, by way of {where}"
            yield type(error)(f"`{command}` says: {error.what}", where=place, fix=error.fix)

    def _draft(self, schedule: Schedule) -> KitError | None:
        at = next_after(schedule.trigger, self._now) or self._now
        origin = Origin("schedule", schedule.name, 1, at)
        try:
            with variables(planning.schedule_environment(origin)):
                planning.draft(
                    self._project,
                    Request(
                        overrides=schedule.arguments,
                        limits=schedule.limits,
                        origin=origin,
                        executor=schedule.executor,
                    ),
                )
        except KitError as error:
            return error
        return None

    @cached_property
    def _stages(self) -> set[str]:
        return read_stages(self._project.root.resolve())

    def _repro(self, schedule: Schedule, where: str) -> Iterator[KitError]:
        for stage in schedule.repro:
            if not _is_among(stage.removeprefix("dvc.yaml:"), self._stages):
                known = sorted(name for name in self._stages if not name.endswith((".dvc", "dvc.yaml")))
                listed = f"The stages: {', '.join(known[:10])}." if known else "There is no stage in any dvc.yaml."
                fix = did_you_mean(nearest(stage, known)) or listed
                yield UserError(f"repro: no stage {stage!r} in dvc.yaml", where=where, fix=fix)

    def _data(self, schedule: Schedule, where: str) -> Iterator[KitError]:
        """DVC knows the path. A revision that is fetched from a remote is looked at when it has been fetched."""
        trigger = schedule.trigger
        if isinstance(trigger, OnData) and trigger.remote is None:
            try:
                data.recorded(self._project.root, trigger.path, rev=trigger.rev)
            except UserError as error:
                yield UserError(f"trigger.data: {error.what}", where=where, fix=error.fix)

    def _slots(self, schedule: Schedule, where: str) -> Iterator[KitError]:
        for name, number in schedule.slots.items():
            size = self._project.settings.slots.get(name, 1)
            if number > size:
                fix = f"Take fewer, or make the pool larger: `slots = {{{name} = {number}}}` under [tool.kit]."
                yield UserError(f"slots: {number} of {name!r}, which has {size}", where=where, fix=fix)

    def _once(self, schedule: Schedule, where: str) -> Iterator[KitError]:
        """It is to come, or not too long ago to be caught up with, or was."""
        trigger, policy = schedule.trigger, schedule.catch_up
        if not isinstance(trigger, Once) or not schedule.enabled:
            return
        late = policy.tolerance if policy.mode is CatchUpMode.NONE else policy.window
        if trigger.at < self._now - timedelta(seconds=late) and not self._has_fired(schedule.name):
            yield UserError(
                f"trigger.once: {trigger.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC is past, and more than the "
                f"{format_duration(late)} ago that catch_up goes back: it never runs",
                where=where,
                fix="Give an instant to come, or set `enabled: false`.",
            )

    def _alert(self, schedule: Schedule, where: str) -> Iterator[KitError]:
        for url, shown in zip(schedule.alert.to, masked(schedule).alert.to, strict=True):
            if (problem := alerts.check_url(url)) is not None:
                what, _, fix = problem.partition(". ")
                yield UserError(f"alert.to: {shown}: {what}", where=where, fix=fix or "Mend the URL.")

    def _has_fired(self, name: str) -> bool:
        known = self._project.store_server is not None or self._project.paths.store.exists()  # looking makes none
        return known and bool(self._project.store.fires.fires(FireQuery(schedule=name, limit=1)))


def _is_among(stage: str, stages: Collection[str]) -> bool:
    """Whether DVC would know it; one of a group whose members only DVC can name is taken for one."""
    group = stage.rpartition("@")[0]
    return stage in stages or (group in stages and not any(name.startswith(f"{group}@") for name in stages))
