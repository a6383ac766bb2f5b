"""What is kept of a sweep to go on with it: written once, before its first trial; how trials ended the store has."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import filelock
import msgspec

from kit import recovery
from kit._files import write_atomic
from kit._process import is_alive
from kit.config import Search
from kit.errors import UserError, from_os_error
from kit.models import Request, RunRecord, from_json, to_json
from kit.project import Project
from kit.redact import MASK, mask, mask_config
from kit.stores.base import RunQuery
from kit.sweeps._options import Options

__all__ = ["Plan", "ended_by_now", "find", "held", "load", "past", "save"]

_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep as it was asked for, secrets masked.

    Attributes:
        request: What each trial is asked for with; its overrides are the sweep's.
        kind: Who chooses: nobody, kit's search, or a sweeper of Hydra's kind.
        trials: All of them, where nobody chooses.
        search: What the search does, where it chooses.
    """

    sweep_id: str
    request: Request
    options: Options
    kind: Literal["known", "search", "other"]
    trials: tuple[tuple[str, ...], ...] = ()
    search: Search | None = None


def save(project: Project, plan: Plan) -> None:
    """Keep the plan.

    Raises:
        HostError: If the disk refuses.
    """
    request = replace(
        plan.request,
        overrides=_masked(plan.request.overrides),
        note=None if plan.request.note is None else mask(plan.request.note),
        tags=mask_config(dict(plan.request.tags)),
    )
    search = None if plan.search is None else replace(plan.search, fixed=_masked(plan.search.fixed))
    kept = replace(plan, request=request, trials=tuple(map(_masked, plan.trials)), search=search)
    folder = project.paths.sweep(plan.sweep_id)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(folder / "sweep.json", to_json(kept), mode=0o600)
    except OSError as error:
        raise from_os_error(error) from error


def _masked(overrides: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(mask, overrides))


def find(project: Project, name: str) -> str:
    """The sweep that is meant: an id, a beginning that only one has, or `last`.

    Raises:
        UserError: If none is, or several are.
    """
    folders = [path.parent for path in project.paths.sweeps.glob("*/sweep.json")]
    if name == "last" and folders:
        return max(folders, key=lambda folder: (folder / "sweep.json").stat().st_mtime_ns).name
    found = sorted(folder.name for folder in folders if folder.name.removeprefix("sweep-").startswith(_bare(name)))
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{name!r} could be any of {', '.join(found[:3])}", fix="Use more of the id.")
    raise UserError(f"there is no sweep {name!r} to go on with", fix="Start one with `kit run -m`.")


def _bare(name: str) -> str:
    return name.removeprefix("sweep-") or " "


def load(project: Project, sweep_id: str) -> Plan:
    """The plan that was kept.

    Raises:
        UserError: If it is not whole, or had a secret on its command line.
    """
    path = project.paths.sweep(sweep_id) / "sweep.json"
    try:
        plan = from_json(path.read_bytes(), Plan)
    except (OSError, msgspec.MsgspecError) as error:
        where = path.relative_to(project.root).as_posix()
        raise UserError(f"sweep {sweep_id} cannot be read: {error}", where=where, fix="Start another.") from error
    if any(MASK in text for text in plan.request.overrides):
        raise UserError(
            f"sweep {sweep_id} was given a secret on its command line, which is not kept",
            fix="Start another. A secret from the environment, `${oc.env:NAME}`, can be had again.",
        )
    return plan


@contextlib.contextmanager
def held(project: Project, sweep_id: str) -> Iterator[None]:
    """Keep others from the sweep.

    Raises:
        UserError: If another command is at it.
    """
    lock = filelock.FileLock(project.paths.sweep(sweep_id) / "lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(f"sweep {sweep_id} is under way", fix="Wait for it, or stop its command first.") from error
    try:
        yield
    finally:
        lock.release()


def past(project: Project, sweep_id: str) -> dict[int, RunRecord]:
    """The last run of each trial that there was; none is under way when this returns."""
    while True:
        recovery.recover(project)
        found = project.store.runs(RunQuery(parent=sweep_id, descending=False))
        if ended_by_now(found):
            return {record.origin.index: record for record in found if record.origin.index is not None}
        time.sleep(_POLL)  # their command is gone, so their supervisors are ending them


def ended_by_now(records: list[RunRecord]) -> bool:
    """Whether none of them is under way, not even its supervisor, which may still be telling the tracker."""
    return all(
        record.status.is_terminal and (record.supervisor is None or not is_alive(record.supervisor))
        for record in records
    )
