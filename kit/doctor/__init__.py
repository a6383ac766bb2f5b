"""Is this machine fit for work, and are the services that it works with? Nothing is changed, started or made."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kit.doctor._clock import look_at_clock
from kit.doctor._dvc import look_at_dvc
from kit.doctor._environment import look_at_environment
from kit.doctor._finding import Finding, Place, failed
from kit.doctor._gpu import look_at_gpu
from kit.doctor._machine import look_at_disk, look_at_git, look_at_python
from kit.doctor._mlflow import look_at_mlflow
from kit.doctor._state import look_at_forkserver, look_at_permissions
from kit.doctor._store import look_at_scheduler, look_at_store
from kit.errors import ExitCode, KitError
from kit.known_secrets import KnownSecrets
from kit.project import open_project

__all__ = ["Finding", "Report", "examine"]

_Look = Callable[[Place], Iterable[Finding]]
_LOOKS: dict[str, _Look] = {
    "python": look_at_python,
    "environment": look_at_environment,
    "git": look_at_git,
    "gpu": look_at_gpu,
    "disk": look_at_disk,
    "clock": look_at_clock,
    "permissions": look_at_permissions,
    "store": look_at_store,
    "scheduler": look_at_scheduler,
    "forkserver": look_at_forkserver,
    "mlflow": look_at_mlflow,
    "dvc remote": look_at_dvc,
}
"""In the order in which they are told."""
_SERVICES = {"mlflow", "dvc remote"}
_PATIENCE = 25.0
"""Seconds for all of them together; what asks others has less of its own."""
_PATIENCE_OF_STORE = 3.0


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        project: Its name; None outside of one.
    """

    project: str | None
    findings: tuple[Finding, ...]

    @property
    def code(self) -> ExitCode:
        """Of what is wrong, what is nearest counts: the input, then this machine, then the services it asks."""
        return min((finding.code for finding in self.findings if not finding.ok), default=ExitCode.OK)


def examine(folder: Path) -> Report:
    """Look at everything at once, each look in a thread of its own that nobody waits for without end."""
    place, first = _place(folder)
    asked = [(name, _begin(look, place)) for name, look in _LOOKS.items()]
    end = time.monotonic() + _PATIENCE
    findings = list(first)
    for name, answer in asked:
        findings += answer(name, max(0.0, end - time.monotonic()))
    secrets = KnownSecrets.of({}, environment=os.environ)
    shown = tuple(replace(one, what=secrets.mask(one.what), fix=one.fix and secrets.mask(one.fix)) for one in findings)
    return Report(None if place.project is None else place.project.name, shown)


def _place(folder: Path) -> tuple[Place, list[Finding]]:
    try:
        project = open_project(folder, patience=_PATIENCE_OF_STORE)
    except KitError as error:
        if "not a kit project" in error.what:
            found = Finding("project", ok=True, what="none here: the machine is looked at, and no more")
            return Place(folder), [found]
        return Place(folder), [failed("project", error)]
    except OSError as error:
        return Place(folder), [failed("project", error)]
    return Place(folder, project), [Finding("project", ok=True, what=f"{project.name} ({project.root})")]


def _begin(look: _Look, place: Place) -> Callable[[str, float], list[Finding]]:
    found: list[Finding] = []
    broken: list[Exception] = []

    def work() -> None:
        try:
            found.extend(look(place))
        except Exception as error:  # noqa: BLE001 - the other looks are worth telling all the same
            broken.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return partial(_answer, thread, found, broken)


def _answer(
    thread: threading.Thread, found: list[Finding], broken: list[Exception], name: str, seconds: float
) -> list[Finding]:
    thread.join(seconds)
    told = list(found)
    code = ExitCode.SERVICE if name in _SERVICES else ExitCode.HOST
    if thread.is_alive():
        fix = "See what holds it up; the disk or the network may hang."
        told.append(Finding(name, ok=False, what=f"no answer for {_PATIENCE:.0f} s", fix=fix, code=code))
    for error in broken:
        if isinstance(error, KitError | OSError):
            told.append(failed(name, error))
        else:
            what = f"it could not be looked at: {type(error).__name__}: {error}"
            told.append(Finding(name, ok=False, what=what, fix="Report this, please.", code=code))
    return told
