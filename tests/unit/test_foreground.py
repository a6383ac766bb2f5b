"""One fire, seen through by a process that is there for nothing else; how its runs end is up to the test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from kit import _clock, foreground, runs
from kit._process import ProcessId, identify, this_process
from kit.errors import HostError
from kit.executors.base import Handle
from kit.fires import Fire, FireKey, FireOrigin
from kit.firing import claim
from kit.models import Request
from kit.project import Project, open_project
from kit.schedules import Schedules
from kit.states import FireStatus, RunStatus
from kit.stores.sql import SqlStore
from tests.conftest import write
from tests.scheduling import NOON

TWICE = 'trigger: {cron: "0 * * * *"}\nretry: {attempts: 2, delay: 0 s}\n'
LATER = 'trigger: {cron: "0 * * * *"}\nretry: {attempts: 2, delay: 1 h}\n'


@dataclass
class Held:
    """The handle of a run that ends when somebody asks it to."""

    project: Project
    run_id: str
    asked: list[bool] = field(default_factory=list)

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        record = self.project.store.get(self.run_id)
        return record.status.is_terminal or record.executor is not None

    def cancel(self, *, at_once: bool = False) -> None:
        self.asked.append(at_once)
        self.project.store.transition(self.run_id, RunStatus.CANCELLED, at=_clock.now(), exit_code=130)

    def detach(self) -> None:
        raise AssertionError("nobody asked for that")

    def give_up(self) -> None:
        raise AssertionError("nobody asked for that")


class Place:
    """A project with one schedule, `s`, and one fire of it that was asked for."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project
        self.shown: list[str] = []
        self.ends: list[RunStatus] = []
        self.held: list[Held] = []
        self.on_wait: Callable[[], None] = lambda: None
        monkeypatch.setattr(runs, "launch", self.launch)

    def launch(self, project: Project, run_id: str, request: Request, *, attached: bool) -> Held:
        assert attached
        assert request.origin.parent == "s"
        project.store.attach(run_id, supervisor=this_process())
        self.held.append(Held(project, run_id))
        return self.held[-1]

    def schedule(self, text: str) -> None:
        write(self.project.root, {"conf/schedule/s.yaml": text})

    def ask(self) -> FireKey:
        schedule = Schedules(self.project).find("s")
        (fire,) = claim(self.project, schedule, [NOON], _clock.now(), origin=FireOrigin.REQUEST).fires
        return fire.key

    def drive(self, key: FireKey) -> Fire:
        return foreground.drive(
            self.project, Schedules(self.project), key, foreground.Shown(self._attempt, self._other, self._waits)
        )

    def _attempt(self, fire: Fire, handle: Handle) -> None:
        """The run ends as the test says, or Ctrl-C comes."""
        self.shown.append(f"attempt {fire.attempt}")
        assert handle.run_id == fire.run_id
        if not self.ends:
            raise KeyboardInterrupt
        self.end(handle.run_id, self.ends.pop(0))

    def end(self, run_id: str, status: RunStatus) -> None:
        if self.project.store.get(run_id).status is RunStatus.QUEUED:
            self.project.store.lease(run_id, at=_clock.now(), holder=this_process())
        if status is RunStatus.SUCCEEDED:
            self.project.store.transition(run_id, RunStatus.RUNNING, at=_clock.now())
        code = 0 if status is RunStatus.SUCCEEDED else 7
        self.project.store.transition(run_id, status, at=_clock.now(), exit_code=code, reason="it broke")

    def hand_over(self, handle: Handle) -> None:
        """As its supervisor does when it is planned."""
        self.project.store.hand_over(handle.run_id, "slurm", at=_clock.now(), starter=this_process())

    def _other(self, fire: Fire) -> None:
        self.shown.append(f"other {fire.attempt}")
        if not self.ends:
            raise KeyboardInterrupt
        self.end(fire.run_id or "", self.ends.pop(0))

    def _waits(self, fire: Fire) -> None:
        self.shown.append(f"waits {fire.status}")
        self.on_wait()


@pytest.fixture
def place(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    root = tmp_path / "tiny"
    write(root, {"pyproject.toml": '[tool.kit]\npackage = "tiny"\nmax-runs = 2\n'})
    project = open_project(root)
    project.paths.create_state()
    shutil.copy(empty_store, project.paths.store)
    made = Place(project, monkeypatch)
    made.schedule(TWICE)
    return made


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    SqlStore(folder / "store.db", lock=folder / "lock").close()
    return folder / "store.db"


@pytest.fixture
def dead() -> ProcessId:
    """A process that is not there any more."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        found = identify(process.pid)
    assert found is not None
    return found


def interrupt() -> None:
    raise KeyboardInterrupt


def test_it_tries_again_as_the_schedule_says(place: Place) -> None:
    place.ends = [RunStatus.FAILED, RunStatus.SUCCEEDED]
    fire = place.drive(place.ask())
    assert (fire.status, fire.attempt, fire.reason) == (FireStatus.SUCCEEDED, 2, None)
    assert [said for said in place.shown if said.startswith("attempt")] == ["attempt 1", "attempt 2"]


def test_it_ends_when_the_attempts_are_used_up(place: Place) -> None:
    place.ends = [RunStatus.FAILED, RunStatus.TIMED_OUT]
    fire = place.drive(place.ask())
    assert (fire.status, fire.attempt, fire.reason) == (FireStatus.FAILED, 2, "it broke")


def test_what_cannot_be_started_here_is_said_once_it_is_final(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(*_args: object, **_more: object) -> Held:
        raise HostError("the disk is full", fix="Free some space.")

    monkeypatch.setattr(runs, "launch", launch)
    key = place.ask()
    with pytest.raises(HostError, match="the disk is full"):
        place.drive(key)
    fire = place.project.store.fires.fire(key)
    assert fire is not None
    assert (fire.status, fire.attempt) == (FireStatus.FAILED, 2)
    assert "other 1" not in place.shown, "nobody else runs it"


def test_it_says_once_what_it_waits_for(place: Place) -> None:
    place.schedule(LATER)
    place.ends = [RunStatus.FAILED]
    place.on_wait = interrupt
    fire = place.drive(place.ask())
    assert place.shown == ["attempt 1", "waits retrying"]
    assert fire.status is FireStatus.CANCELLED


def test_stopped_while_it_waits_for_its_turn_the_fire_is_cancelled(place: Place) -> None:
    other = claim(
        place.project, Schedules(place.project).find("s"), [NOON - timedelta(hours=1)], _clock.now(),
        origin=FireOrigin.REQUEST,
    ).fires[0].key  # fmt: skip
    key = place.ask()
    place.ends = []
    place.on_wait = interrupt

    def run_the_other(fire: Fire, _handle: Handle) -> None:
        assert fire.key == other
        waiting = place.drive(key)
        assert waiting.status is FireStatus.CANCELLED
        assert place.project.store.get(waiting.run_id or "").status is RunStatus.CANCELLED
        place.end(fire.run_id or "", RunStatus.SUCCEEDED)

    shown = foreground.Shown(run_the_other, place._other, place._waits)
    fire = foreground.drive(place.project, Schedules(place.project), other, shown)
    assert fire.status is FireStatus.SUCCEEDED
    assert place.shown == ["waits pending"]
    assert len(place.held) == 1


def test_stopped_while_its_run_begins_the_run_is_stopped_and_the_fire_cancelled(place: Place) -> None:
    fire = place.drive(place.ask())
    assert (fire.status, fire.attempt) == (FireStatus.CANCELLED, 1)
    assert place.held[0].asked == [False]
    assert not place.project.store.fires.active()


def test_stopped_while_it_follows_somebody_elses_run_that_goes_on(place: Place) -> None:
    key = place.ask()
    place.ends = [RunStatus.SUCCEEDED]

    def follow_from_elsewhere(fire: Fire, handle: Handle) -> None:
        place.ends = []
        with pytest.raises(KeyboardInterrupt):
            place.drive(key)
        assert place.project.store.get(handle.run_id).status is RunStatus.STARTING
        place.ends = [RunStatus.SUCCEEDED]
        assert place.drive(key).status is FireStatus.SUCCEEDED

    shown = foreground.Shown(follow_from_elsewhere, place._other, place._waits)
    fire = foreground.drive(place.project, Schedules(place.project), key, shown)
    assert fire.status is FireStatus.SUCCEEDED
    assert place.shown == ["other 1", "other 1"]
    assert len(place.held) == 1


def test_an_attempt_that_an_engine_gets_is_followed_there(place: Place) -> None:
    place.ends = [RunStatus.SUCCEEDED]

    def plan(fire: Fire, handle: Handle) -> None:
        place.shown.append(f"attempt {fire.attempt}")
        place.hand_over(handle)

    fire = foreground.drive(
        place.project, Schedules(place.project), place.ask(), foreground.Shown(plan, place._other, place._waits)
    )
    assert (fire.status, place.shown) == (FireStatus.SUCCEEDED, ["attempt 1", "other 1"])


def test_stopped_while_an_engine_has_it_that_goes_on(place: Place) -> None:
    key = place.ask()
    shown = foreground.Shown(lambda _fire, handle: place.hand_over(handle), place._other, place._waits)
    with pytest.raises(KeyboardInterrupt):
        foreground.drive(place.project, Schedules(place.project), key, shown)
    fire = place.project.store.fires.fire(key)
    assert fire is not None
    assert fire.status is FireStatus.RUNNING
    record = place.project.store.get(fire.run_id or "")
    assert (record.status, record.executor) == (RunStatus.QUEUED, "slurm")
    assert place.held[0].asked == []


def test_who_died_before_starting_it_is_not_waited_for(place: Place, dead: ProcessId) -> None:
    """The claim says that it is being started; nobody is there to do so, and none to say so."""
    key = place.ask()
    store = place.project.store
    before = _clock.now() - timedelta(seconds=30)

    def die(*_args: object, **_more: object) -> Held:
        raise SystemExit

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "launch", die)
        patched.setattr(_clock, "now", lambda: before)
        patched.setattr("kit.scheduler.this_process", lambda: dead)
        with pytest.raises(SystemExit):
            place.drive(key)
    fire = store.fires.fire(key)
    assert fire is not None
    assert store.get(fire.run_id or "").status is RunStatus.STARTING
    place.ends = [RunStatus.SUCCEEDED]
    fire = place.drive(key)
    assert (fire.status, fire.attempt) == (FireStatus.SUCCEEDED, 2)
    assert place.shown == ["attempt 2"]


def test_a_schedule_that_is_removed_meanwhile_ends_the_wait(place: Place) -> None:
    place.schedule(LATER)
    place.ends = [RunStatus.FAILED]
    place.on_wait = (place.project.root / "conf/schedule/s.yaml").unlink
    fire = place.drive(place.ask())
    assert (fire.status, fire.reason) == (FireStatus.CANCELLED, "its schedule was removed")
