"""Looking for new versions of data, for the schedules that wait for one."""

from __future__ import annotations

import errno
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType

from kit import _git
from kit._dvc_record import Record, read_commit, read_working_tree
from kit._git_fetch import BoundedGit, fetch
from kit._git_tree import resolve
from kit.errors import KitError, ServiceError, UserError, from_os_error
from kit.project import Project
from kit.redact import mask
from kit.schedule import Schedule
from kit.triggers import OnData

__all__ = ["DataWatch"]

_PATIENCE = 120.0
_CLOSING = 5.0
"""Seconds that git has to end when nobody waits for it any longer."""
_PAUSE = 0.1
"""Seconds between two readings of files that are being written."""
_READINGS = 100


@dataclass(frozen=True, slots=True)
class _Source:
    """Where DVC's files are read from, as `OnData` has it."""

    rev: str | None
    remote: str | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read there; `commit` is None in the working tree."""

    commit: str | None
    record: Record


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One look at one source, for all schedules that want it; its outcome is None while files are being written."""

    source: _Source
    triggers: dict[str, OnData] = field(default_factory=dict)
    outcome: futures.Future[_Seen | None] = field(default_factory=futures.Future)


class DataWatch:
    """Says which versions of data there are; which of them are new is the caller's to know.

    What lies on this machine is looked at at once. Remotes are fetched from in the background, one thread for each, so
    that one that hangs delays nobody; what they have is told by a later call. Nothing here keeps a process from ending.

    Args:
        project: Where.
        patience: Seconds that a remote has to answer.
    """

    def __init__(self, project: Project, *, patience: float = _PATIENCE) -> None:
        self._root = project.root.resolve()
        self._git = BoundedGit(self._root, patience)
        self._looks: list[_Look] = []
        self._looked: dict[str, tuple[OnData, datetime]] = {}
        self._seen: dict[_Source, _Seen] = {}
        self._problems: dict[str, KitError] = {}
        self._threads: list[threading.Thread] = []
        # Also when the process ends without a word: git would go on.
        self._finish = weakref.finalize(self, _stop, self._git.cancelled, self._threads)

    @property
    def problems(self) -> Mapping[str, KitError]:
        """Why the last look for a schedule did not work, by the schedule's name."""
        return MappingProxyType(self._problems)

    def look(self, schedules: Mapping[str, Schedule], now: datetime, *, wait: bool) -> dict[str, str]:
        """Look for every schedule whose last look is long enough ago.

        Args:
            schedules: By name; those that are disabled, or wait for something else than data, are left alone.
            wait: Wait for remotes, too, as long as one has to answer.

        Returns:
            By name, the versions that finished looks have found: this call's, and those that an earlier call began.
            Without a version yet, or with a problem, there is none.
        """
        watched = {
            name: schedule.trigger
            for name, schedule in schedules.items()
            if schedule.enabled and isinstance(schedule.trigger, OnData)
        }
        self._forget_all_but(watched)
        found = self._collect(watched)
        due = _group({name: trigger for name, trigger in watched.items() if self._is_due(name, trigger, now)})
        self._look_here([look for look in due if look.source.remote is None], now, patient=wait)
        for remote in {look.source.remote for look in due} - {None}:
            self._look_far([look for look in due if look.source.remote == remote], now)
        if wait:
            self._wait()
        return found | self._collect(watched)

    def close(self) -> None:
        """End what is under way."""
        self._finish()

    def _forget_all_but(self, watched: Mapping[str, OnData]) -> None:
        sources = {_source(trigger) for trigger in watched.values()}
        self._looked = {name: looked for name, looked in self._looked.items() if name in watched}
        self._problems = {name: error for name, error in self._problems.items() if name in watched}
        self._seen = {source: seen for source, seen in self._seen.items() if source in sources}

    def _is_due(self, name: str, trigger: OnData, now: datetime) -> bool:
        before = self._looked.get(name)
        if before is None or before[0] != trigger:
            return True
        return not 0 <= (now - before[1]).total_seconds() < trigger.every  # a clock set back silences nothing

    def _look_here(self, looks: Iterable[_Look], now: datetime, *, patient: bool) -> None:
        for look in looks:
            _fill(look, partial(_read_here, self._root, look.source, self._seen.get(look.source), patient=patient))
            self._add(look, now)

    def _look_far(self, looks: Sequence[_Look], now: datetime) -> None:
        """Fetch from one remote, unless that is under way: then join what is, and leave the rest due."""
        remote = looks[0].source.remote
        under_way = {look.source: look for look in self._looks if look.source.remote == remote}
        if under_way:
            for look in looks:
                if look.source in under_way:
                    under_way[look.source].triggers.update(look.triggers)
                    self._note(look, now)
            return
        for look in looks:
            self._add(look, now)
        # Not an executor: the interpreter waits for its threads.
        thread = threading.Thread(
            target=_fetch_all, args=(self._git, looks, dict(self._seen)), name=f"kit-watch-{remote}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # so Python says that the machine has none left
            for look in looks:
                look.outcome.set_exception(from_os_error(OSError(errno.EAGAIN, "")))
        else:
            self._threads[:] = [*(other for other in self._threads if other.is_alive()), thread]

    def _add(self, look: _Look, now: datetime) -> None:
        self._looks.append(look)
        self._note(look, now)

    def _note(self, look: _Look, now: datetime) -> None:
        self._looked |= {name: (trigger, now) for name, trigger in look.triggers.items()}

    def _wait(self) -> None:
        futures.wait([look.outcome for look in self._looks], timeout=self._git.patience + _CLOSING)
        for look in self._looks:
            if not look.outcome.done():
                what = mask(f"remote {look.source.remote!r} is not done within {self._git.patience:g} s")
                self._problems |= dict.fromkeys(look.triggers, ServiceError(what, fix="Look again later."))

    def _collect(self, watched: Mapping[str, OnData]) -> dict[str, str]:
        """What finished looks have found, for schedules that still want it."""
        done = [look for look in self._looks if look.outcome.done()]
        self._looks = [look for look in self._looks if look not in done]
        found: dict[str, str] = {}
        for look in done:
            answer = _answer(look)
            if isinstance(answer, _Seen):
                self._seen[look.source] = answer
            for name, trigger in look.triggers.items():
                if watched.get(name) == trigger and (version := self._version(name, trigger, answer)) is not None:
                    found[name] = version
        return found

    def _version(self, name: str, trigger: OnData, answer: _Seen | KitError | None) -> str | None:
        self._problems.pop(name, None)
        if isinstance(answer, _Seen):
            try:
                return answer.record.version(trigger.path)
            except KitError as error:
                answer = error
        if answer is None:  # being written: the next call looks again
            del self._looked[name]
        else:
            self._problems[name] = answer
        return None


def _source(trigger: OnData) -> _Source:
    return _Source(trigger.rev, trigger.remote)


def _group(due: Mapping[str, OnData]) -> list[_Look]:
    looks: dict[_Source, _Look] = {}
    for name, trigger in due.items():
        looks.setdefault(_source(trigger), _Look(_source(trigger))).triggers[name] = trigger
    return list(looks.values())


def _answer(look: _Look) -> _Seen | KitError | None:
    error = look.outcome.exception()
    if error is None or isinstance(error, KitError):
        return error or look.outcome.result()
    raise error


def _fill(look: _Look, read: Callable[[], _Seen | None]) -> None:
    try:
        look.outcome.set_result(read())
    except OSError as error:
        look.outcome.set_exception(from_os_error(error))
    except Exception as error:  # noqa: BLE001  (the call that collects it raises what is no KitError)
        look.outcome.set_exception(error)


def _read_here(root: Path, source: _Source, before: _Seen | None, *, patient: bool) -> _Seen | None:
    if source.rev is None:
        record = _read_settled(root, before.record if before else None, _READINGS if patient else 1)
        return None if record is None else _Seen(None, record)
    git = _git.offline(root)
    return _read_commit(root, resolve(git, source.rev), git, before)


def _read_settled(root: Path, before: Record | None, readings: int) -> Record | None:
    """What the working tree says; None if it says something else each time."""
    found = _read_tree(root, before)
    if isinstance(found, UserError) or found.seen is None:
        for _ in range(readings):
            time.sleep(_PAUSE)
            found, earlier = _read_tree(root), found
            if found == earlier or (isinstance(found, UserError) and str(found) == str(earlier)):
                break
        else:
            return None
    if isinstance(found, UserError):
        raise found
    return found


def _read_tree(root: Path, before: Record | None = None) -> Record | UserError:
    """Half a file may make no sense."""
    try:
        return read_working_tree(root, before)
    except UserError as error:
        return error


def _read_commit(root: Path, commit: str, git: _git.Git, before: _Seen | None) -> _Seen:
    return before if before and before.commit == commit else _Seen(commit, read_commit(root, commit, git))


def _fetch_all(git: BoundedGit, looks: Sequence[_Look], before: Mapping[_Source, _Seen]) -> None:
    """Look at some revisions of one remote; when it cannot be reached for one, then for none."""
    for index, look in enumerate(looks):
        _fill(look, partial(_read_fetched, git, look.source, before.get(look.source)))
        unreachable = look.outcome.exception()
        if isinstance(unreachable, ServiceError):
            for other in looks[index + 1 :]:
                other.outcome.set_exception(unreachable)
            return


def _read_fetched(git: BoundedGit, source: _Source, before: _Seen | None) -> _Seen:
    commit = fetch(git, source.remote or "", source.rev or "HEAD")
    return _read_commit(git.folder, commit, git, before)


def _stop(cancelled: threading.Event, threads: Iterable[threading.Thread]) -> None:
    cancelled.set()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(_CLOSING)
