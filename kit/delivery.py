"""A project's alerts, from its outbox to whoever its schedules name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kit import _clock
from kit.alerts import UrlsOf, deliver_pending
from kit.project import Project, open_project
from kit.schedules import Schedules

__all__ = ["deliver_alerts", "targets_of"]


def deliver_alerts(root: Path) -> None:
    """Send what waits in the outbox of the project at `root`, unless another process does.

    Raises:
        UserError: If there is no project.
        HostError: If its store cannot be used.
    """
    project = open_project(root)
    deliver_pending(project.store.fires, targets_of(project), lock=project.paths.alerts_lock, clock=_clock.now)


def targets_of(project: Project) -> UrlsOf:
    """Whom a schedule tells, read from its file each time: a URL that was mended is used at once."""
    source = Schedules(project)

    def urls_of(name: str | None) -> Sequence[str]:
        loaded = source.load()
        if name is None:
            return [url for schedule in loaded.schedules.values() for url in schedule.alert.to]
        if name in loaded.broken:
            raise loaded.broken[name]
        return loaded.schedules[name].alert.to if name in loaded.schedules else ()

    return urls_of
