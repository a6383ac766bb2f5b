"""What runs need around them: a disk with room, MLflow, DVC's remote."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from kit._reach import Answer, tracking
from kit.errors import KitError
from kit.project import Project
from kit.status._check import Check, State, amount, failed, said

__all__ = ["ask_tracking", "check_disk", "check_reach", "check_space"]

_GB = 10**9
_PLENTY = 100 * _GB
_FREE = "Free some space before runs fail; `kit gc` shows what kit can spare."
"""However small a part of the disk it is."""


def check_disk(project: Project) -> Check:
    """The disk that `.kit/` is on."""
    place = project.paths.state if project.paths.state.exists() else project.root
    try:
        disk = shutil.disk_usage(place)
    except OSError as error:
        return failed("disk", error)
    return check_space(disk.free, disk.total)


def check_space(free: int, total: int) -> Check:
    """How a disk is with so many bytes free."""
    share = free / total if total else 0.0
    what = f"{amount(free)} free of {amount(total)} ({share:.0%})"
    values = {"free_bytes": free, "total_bytes": total}
    if free < _GB or (share < 0.02 and free < _PLENTY):
        return Check("disk", State.BAD, what, _FREE, values)
    if share < 0.1 and free < _PLENTY:
        return Check("disk", State.WARNING, what, _FREE, values)
    return Check("disk", State.OK, what, values=values)


def ask_tracking(project: Project) -> Answer:
    """Whether MLflow can be reached."""
    try:
        return tracking(project.tracking_uri)
    except KitError as error:
        return Answer(ok=False, what=said(error), fix=error.fix)


def check_reach(name: str, answer: Callable[[], Answer]) -> Check:
    """What a place said when it was asked."""
    told = answer()
    return Check(name, State.OK if told.ok else State.BAD, told.what, told.fix, {"up": int(told.ok)})
