"""Turns of the scheduler, over a real store and real files; what a turn starts is told to the test instead."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kit import recovery, runs
from kit import scheduler as module
from kit._process import ProcessId, identify, this_process
from kit.errors import HostError, UserError
from kit.fires import Fire, FireKey, FireOrigin, FireQuery, SchedulerRecord
from kit.firing import claim
from kit.models import Request
from kit.outcomes import NEVER_STARTED
from kit.policies import CatchUp, CatchUpMode
from kit.project import Project, open_project
from kit.schedule import Schedule
from kit.scheduler import ADHOC, Fixed, Scheduler
from kit.schedules import Schedules
from kit.states import FireStatus, RunStatus
from kit.stores.sql import SqlStore
from kit.triggers import Cron
from tests.conftest import git, write
from tests.scheduling import NOON, hourly, minute

PENDING, RUNNING, RETRYING = FireStatus.PENDING, FireStatus.RUNNING, FireStatus.RETRYING
SUCCEEDED, FAILED, CANCELLED = FireStatus.SUCCEEDED, FireStatus.FAILED, FireStatus.CANCELLED
HOURLY = 'trigger: {cron: "0 * * * *"}\n'
LAUNCH = runs.launch
CRON = Schedule(f"{ADHOC}ab12", Cron("0 * * * *"), catch_up=CatchUp(CatchUpMode.NONE))


@dataclass
class Started:
    """A run that was started, and who holds it."""

    run_id: str
    request: Request
    attached: bool
    ended: bool = False
    asked: list[bool] = field(default_factory=list)
    interrupts: int = 0

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None and self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        self.ended = self.ended or timeout is None
        return self.ended

    def cancel(self, *, at_once: bool = False) -> None:
        self.asked.append(at_once)

    def detach(self) -> None:
        raise AssertionError("nobody asked for that")

    def give_up(self) -> None:
        raise AssertionError("nobody asked for that")


class Place:
    """A project, and what its schedulers did in it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.started: list[Started] = []
        self.supervisor = this_process()
        self._open = ExitStack()

    def scheduler(self, source: module.Source | None = None, **options: Any) -> Scheduler:
        made = Scheduler(self.project, source or Schedules(self.project), **options)
        return self._open.enter_context(closing(made))

    def launch(self, project: Project, run_id: str, request: Request, *, attached: bool) -> Started:
        project.store.attach(run_id, supervisor=self.supervisor)
        self.started.append(Started(run_id, request, attached))
        return self.started[-1]

    def schedule(self, name: str, text: str | None = HOURLY) -> None:
        """Write a schedule's file, or remove it."""
        if text is None:
            (self.project.root / "conf" / "schedule" / f"{name}.yaml").unlink()
        else:
            write(self.project.root, {f"conf/schedule/{name}.yaml": text})

    def fires(self, name: str = "s") -> dict[float, FireStatus]:
        """How each fire of a schedule stands, by minutes after noon."""
        found = self.project.store.fires.fires(FireQuery(schedule=name))
        return {(fire.scheduled_at - NOON).total_seconds() / 60: fire.status for fire in reversed(found)}

    def fire(self, at: float, name: str = "s") -> Fire:
        found = self.project.store.fires.fire((name, minute(at)))
        assert found is not None
        return found

    def end(self, at: float, status: RunStatus = RunStatus.SUCCEEDED, name: str = "s", **how: Any) -> None:
        """End the run of a fire, as its supervisor would."""
        run_id = self.fire(at, name).run_id or ""
        if status is RunStatus.SUCCEEDED:
            self.project.store.transition(run_id, RunStatus.RUNNING, at=NOON)
        self.project.store.transition(run_id, status, at=minute(at + 1), **how)
        for run in self.started:
            run.ended = run.ended or run.run_id == run_id

    def ask(self, at: float, name: str = "s") -> FireKey:
        """Ask for a fire as `kit run --schedule` does."""
        (fire,) = claim(self.project, hourly(name), [minute(at)], minute(9999), origin=FireOrigin.REQUEST).fires
        return fire.key

    def close(self) -> None:
        self._open.close()


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    SqlStore(folder / "store.db", lock=folder / "lock").close()
    return folder / "store.db"


@pytest.fixture
def make(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Place]]:
    """Makes the project, with these settings."""
    made: list[Place] = []

    def new(settings: str = "max-runs = 10") -> Place:
        root = tmp_path / "tiny"
        write(root, {"pyproject.toml": f'[tool.kit]\npackage = "tiny"\n{settings}\n'})
        project = open_project(root)
        project.paths.create_state()
        shutil.copy(empty_store, project.paths.store)
        made.append(Place(project))
        monkeypatch.setattr(runs, "launch", made[0].launch)
        return made[0]

    yield new
    for place in made:
        place.close()


@pytest.fixture
def place(make: Callable[..., Place]) -> Place:
    found = make()
    found.schedule("s")
    return found


@pytest.fixture
def dead() -> ProcessId:
    """A process that is not there any more."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        found = identify(process.pid)
    assert found is not None
    return found


# What is due


def test_what_is_due_is_claimed_and_started_and_what_was_before_is_nobodys(place: Place) -> None:
    scheduler = place.scheduler()
    first = scheduler.turn(minute(30))
    assert (place.fires(), first.next_at, bool(first.moves)) == ({}, minute(60), True)
    assert scheduler.turn(minute(59.9)).next_at == minute(60)
    turn = scheduler.turn(minute(60))
    assert place.fires() == {60: RUNNING}
    assert [fire.key for fire in turn.moves.start] == [("s", minute(60))]
    assert (turn.at, turn.failed, turn.next_at) == (minute(60), {}, minute(120))
    assert [run.run_id for run in place.started] == [place.fire(60).run_id]
    assert place.project.store.get(place.started[0].run_id).starter == this_process()


def test_a_run_is_started_with_what_its_schedule_says(place: Place) -> None:
    place.schedule(
        "s", f"{HOURLY}experiment: deep\noverrides: [lr=0.1, steps=2]\nrepro: [months]\ntimeout: 90\ngrace: 5\n"
    )
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    (run,) = place.started
    assert run.request.overrides == ("experiment=deep", "lr=0.1", "steps=2")
    assert (run.request.name, run.request.repro) == ("s", ("months",))
    assert (run.request.limits.timeout, run.request.limits.grace) == (90, 5)
    origin = run.request.origin
    assert (origin.kind, origin.parent, origin.index, origin.scheduled_at) == ("schedule", "s", 1, minute(60))
    assert not run.attached


def test_a_turn_without_anything_to_do_does_not_write(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    fires = place.project.store.fires
    monkeypatch.setattr(fires, "act", lambda *_args, **_more: pytest.fail("it wrote"))
    for number in range(31, 60):
        assert not scheduler.turn(minute(number)).moves


def test_a_retry_waits_for_its_time(place: Place) -> None:
    place.schedule("s", f"{HOURLY}retry: {{attempts: 2, delay: 10 m, jitter: 0}}\n")
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    place.end(60, RunStatus.FAILED, exit_code=1, reason="it broke")
    scheduler.turn(minute(61))
    assert place.fires() == {60: RETRYING}
    scheduler.turn(minute(70.9))
    assert len(place.started) == 1
    scheduler.turn(minute(71))
    assert place.fires() == {60: RUNNING}
    assert [run.request.origin.index for run in place.started] == [1, 2]


def test_what_comes_after_a_success_is_due_at_the_same_instant(place: Place) -> None:
    place.schedule("report", "trigger: {after: s}\n")
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    place.end(60)
    scheduler.turn(minute(65))
    assert place.fires("report") == {60: RUNNING}
    assert [run.request.origin.parent for run in place.started] == ["s", "report"]


def test_pools_and_the_number_of_runs_are_those_of_the_project(make: Callable[..., Place]) -> None:
    place = make("max-runs = 3\n[tool.kit.slots]\ngpu = 2")
    for name in ("a", "b", "c"):
        place.schedule(name, f"{HOURLY}slots: gpu\n")
    for name in ("d", "e"):
        place.schedule(name)
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    assert [run.request.origin.parent for run in place.started] == ["a", "b", "d"]
    place.end(60, name="d")
    scheduler.turn(minute(61))
    assert [run.request.origin.parent for run in place.started[3:]] == ["e"]


# Files that change while it runs


def test_a_schedule_that_comes_later_counts_from_then_on(place: Place) -> None:
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    place.schedule("late")
    scheduler.turn(minute(61))
    scheduler.turn(minute(121))
    assert place.fires("late") == {120: RUNNING}


def test_a_changed_clock_counts_from_then_on(place: Place) -> None:
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    place.schedule("s", 'trigger: {cron: "15 * * * *"}\n')
    assert scheduler.turn(minute(31)).next_at == minute(75)
    scheduler.turn(minute(61))
    scheduler.turn(minute(75))
    assert place.fires() == {75: RUNNING}


def test_one_that_is_removed_or_disabled_is_due_no_more(place: Place) -> None:
    place.schedule("off")
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    place.schedule("s", None)
    place.schedule("off", f"{HOURLY}enabled: false\n")
    assert scheduler.turn(minute(31)).next_at is None
    scheduler.turn(minute(61))
    assert (place.fires(), place.fires("off")) == ({}, {})


def test_what_waits_for_another_try_is_given_up_with_its_schedule(place: Place) -> None:
    place.schedule("s", f"{HOURLY}retry: {{attempts: 2, delay: 10 h, max_delay: 10 h}}\n")
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    place.end(60, RunStatus.FAILED, exit_code=1, reason="it broke")
    scheduler.turn(minute(61))
    place.schedule("s", None)
    scheduler.turn(minute(62))
    assert place.fires() == {60: CANCELLED}


def test_a_broken_file_is_told_of_and_once_it_is_mended_its_schedule_catches_up(place: Place) -> None:
    place.schedule("other")
    scheduler = place.scheduler()
    assert scheduler.turn(minute(30)).problems == {}
    place.schedule("s", f"{HOURLY}overlp: skip\n")
    turn = scheduler.turn(minute(61))
    assert "Did you mean 'overlap'?" in str(turn.problems["s"])
    assert (place.fires(), place.fires("other")) == ({}, {60: RUNNING})
    place.schedule("s")
    turn = scheduler.turn(minute(62))
    assert turn.problems == {}
    assert place.fires() == {60: RUNNING}
    assert place.fire(60).origin is FireOrigin.CLOCK


def test_what_has_begun_goes_on_while_its_file_is_broken(place: Place) -> None:
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    place.schedule("s", "trigger: [\n")
    place.end(60)
    scheduler.turn(minute(61))
    assert place.fires() == {60: SUCCEEDED}


def test_a_folder_that_cannot_be_read_is_the_hosts_fault_and_nothing_is_half_done(place: Place) -> None:
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    folder = place.project.root / "conf" / "schedule"
    folder.rename(folder.with_name("away"))
    folder.write_text("no folder")
    with pytest.raises(HostError):
        scheduler.turn(minute(60))
    folder.unlink()
    folder.with_name("away").rename(folder)
    scheduler.turn(minute(60.5))
    assert place.fires() == {60: RUNNING}


# Data

VERSION = "outs:\n- md5: {}{}\n  size: 3\n  hash: md5\n  path: data\n"


def new_version(place: Place, letter: str) -> None:
    """What `dvc add data` leaves behind."""
    write(place.project.root, {"data.dvc": VERSION.format(letter * 31, 0), ".dvc/config": ""})


@pytest.fixture
def watched(make: Callable[..., Place]) -> Place:
    place = make()
    git(place.project.root, "init", "--quiet")
    place.schedule("s", "trigger: {data: data, every: 1 d}\n")
    new_version(place, "a")
    return place


def test_a_new_version_makes_a_schedule_due_once(watched: Place) -> None:
    scheduler = watched.scheduler()
    scheduler.turn(minute(0), wait=True)
    assert watched.fires() == {0: FireStatus.SKIPPED}
    new_version(watched, "b")
    scheduler.turn(minute(1), wait=True)
    assert watched.fires() == {0: FireStatus.SKIPPED}  # it looks once a day
    scheduler.turn(minute(1441), wait=True)
    scheduler.turn(minute(2890), wait=True)
    assert watched.fires() == {0: FireStatus.SKIPPED, 1441: RUNNING}


def test_what_was_seen_is_not_lost_when_the_store_cannot_be_written(
    watched: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = watched.scheduler()
    fires = watched.project.store.fires
    act = fires.act
    with monkeypatch.context() as patched:
        patched.setattr(fires, "act", lambda *_args, **_more: (_ for _ in ()).throw(HostError("locked")))
        with pytest.raises(HostError, match="locked"):
            scheduler.turn(minute(0), wait=True)
    monkeypatch.setattr(fires, "act", act)
    scheduler.turn(minute(1), wait=True)
    assert watched.fires() == {1: FireStatus.SKIPPED}
    scheduler.turn(minute(2), wait=True)
    assert watched.fires() == {1: FireStatus.SKIPPED}  # and not seen again


def test_data_that_nobody_tracks_is_a_problem(watched: Place) -> None:
    watched.schedule("s", "trigger: {data: raw, every: 1 d}\n")
    turn = watched.scheduler().turn(minute(0), wait=True)
    assert "raw" in str(turn.problems["s"])


# Runs that cannot be started, and runs that are to stop


def test_a_run_that_cannot_be_started_has_failed_and_the_next_turn_settles_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "launch", LAUNCH)
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    folder = place.project.paths.run("x").root.parent
    folder.rmdir()
    folder.write_text("no folder")
    turn = scheduler.turn(minute(60))
    (error,) = turn.failed.values()
    assert isinstance(error, HostError)
    run = place.project.store.get(place.fire(60).run_id or "")
    assert (run.status, run.exit_code, run.reason) == (RunStatus.FAILED, 3, str(error))
    assert scheduler.handles == {}
    scheduler.turn(minute(61))
    assert place.fire(60).status is FAILED
    assert place.fire(60).reason == str(error)


def test_one_that_cannot_be_started_keeps_no_other_from_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.schedule("t")

    def launch(project: Project, run_id: str, request: Request, *, attached: bool) -> Started:
        if request.origin.parent == "s":
            raise OSError(errno.EMFILE, "Too many open files")
        return place.launch(project, run_id, request, attached=attached)

    monkeypatch.setattr(runs, "launch", launch)
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    turn = scheduler.turn(minute(60))
    assert [error.what for error in turn.failed.values()] == ["too many open files"]
    assert [run.request.origin.parent for run in place.started] == ["t"]


def test_one_that_was_cancelled_while_it_could_not_be_started_stays_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(project: Project, run_id: str, request: Request, *, attached: bool) -> Started:
        project.store.transition(run_id, RunStatus.CANCELLED, at=NOON)
        raise HostError("the disk is full")

    monkeypatch.setattr(runs, "launch", launch)
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    scheduler.turn(minute(61))
    assert place.fires() == {60: CANCELLED}


@pytest.fixture
def replacing(place: Place) -> Place:
    place.schedule("s", f"{HOURLY}overlap: replace\n")
    return place


def test_a_run_that_is_replaced_is_asked_to_stop_once(replacing: Place) -> None:
    scheduler = replacing.scheduler()
    for number in (30, 60, 120, 121, 122):
        scheduler.turn(minute(number))
    assert replacing.fires() == {60: RUNNING, 120: PENDING}
    assert replacing.started[0].asked == [False]  # a second word would mean at once
    replacing.end(60, RunStatus.CANCELLED, reason="cancelled on request")
    scheduler.turn(minute(123))
    assert replacing.fires() == {60: CANCELLED, 120: RUNNING}
    assert list(scheduler.handles) == [replacing.started[1].run_id]


def test_one_that_another_scheduler_started_is_stopped_too(replacing: Place) -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as supervisor:
        named = identify(supervisor.pid)
        assert named is not None
        replacing.supervisor = named
        first = replacing.scheduler()
        first.turn(minute(30))
        first.turn(minute(60))
        first.close()
        replacing.scheduler().turn(minute(120))
        assert supervisor.wait() == -signal.SIGTERM


@pytest.mark.parametrize("error", [UserError("it is not running"), ProcessLookupError(errno.ESRCH, "no such process")])
def test_one_that_ends_while_it_is_asked_is_asked_again(
    replacing: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    first = replacing.scheduler()
    first.turn(minute(30))
    first.turn(minute(60))
    asked: list[str] = []

    def cancel(_project: Project, run_id: str) -> None:
        asked.append(run_id)
        raise error

    monkeypatch.setattr(runs, "cancel", cancel)
    second = replacing.scheduler()
    second.turn(minute(120))
    second.turn(minute(121))
    assert asked == [replacing.fire(60).run_id] * 2


# Recovering


def test_it_looks_for_runs_that_are_gone_first_and_every_two_seconds(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[datetime] = []
    monkeypatch.setattr(recovery, "recover", lambda _project, now, **_: looked.append(now))
    scheduler = place.scheduler()
    seconds = (0, 0.5, 1.9, 2, 3.9, 4, -3600, -3599)  # the clock is set back
    for second in seconds:
        scheduler.turn(minute(second / 60))
    assert looked == [minute(second / 60) for second in (0, 2, 4, -3600)]


def test_engines_are_asked_by_a_process_of_its_own_and_one_at_a_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that does not answer keeps nothing waiting that is due here."""
    asking: list[subprocess.Popen[bytes]] = []

    def ask(_paths: object) -> subprocess.Popen[bytes]:
        asking.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return asking[-1]

    monkeypatch.setattr(module, "ask_engines", ask)
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    fire = place.fire(60)
    scheduler.turn(minute(61))
    assert asking == [], "no engine has any run"
    place.project.store.hand_over(fire.run_id or "", "slurm", at=minute(61), starter=this_process())
    scheduler.turn(minute(61.1))
    assert asking == [], "it was heard of just now"
    for number in (62, 63, 64):
        scheduler.turn(minute(number))
    assert len(asking) == 1
    asking[0].communicate(b"\n")
    scheduler.turn(minute(65))
    scheduler.turn(minute(65.1))
    assert len(asking) == 2
    asking[1].communicate(b"\n")


def test_what_was_claimed_and_never_started_is_tried_again(place: Place, dead: ProcessId) -> None:
    first = place.scheduler()
    first.turn(minute(30))
    first.turn(minute(60))
    lost = place.started[0].run_id
    recovery.lose(place.project, place.project.store.get(lost), NEVER_STARTED)
    second = place.scheduler()
    second.turn(minute(62))
    assert place.fires() == {60: RUNNING}
    assert [run.request.origin.index for run in place.started] == [1, 2]


# Schedules that are in no file


@pytest.fixture
def left(place: Place) -> Place:
    """What `kit run --cron` leaves behind that is killed while one fire runs and another one waits."""
    place.project.store.fires.beat(SchedulerRecord("cron", CRON.name, "box", this_process(), NOON, NOON))
    scheduler = place.scheduler(Fixed(CRON), only=CRON.name, attached=True)
    scheduler.turn(minute(30))
    scheduler.turn(minute(60))
    claim(place.project, CRON, [minute(50)], minute(61), origin=FireOrigin.REQUEST)
    assert place.fires(CRON.name) == {50: PENDING, 60: RUNNING}
    assert [run.attached for run in place.started] == [True]
    return place


def test_it_has_no_name_of_its_own(left: Place) -> None:
    assert left.started[0].request.name is None


def test_it_is_its_own_process_s_as_long_as_that_lives(left: Place) -> None:
    left.end(60, name=CRON.name)
    left.scheduler().turn(minute(61))
    assert left.fires(CRON.name) == {50: PENDING, 60: RUNNING}


@pytest.mark.parametrize(("end", "status"), [(RunStatus.SUCCEEDED, SUCCEEDED), (RunStatus.FAILED, FAILED)])
def test_after_that_somebody_else_settles_it(left: Place, dead: ProcessId, end: RunStatus, status: FireStatus) -> None:
    left.end(60, end, name=CRON.name)
    left.project.store.fires.beat(SchedulerRecord("cron", CRON.name, "box", dead, NOON, NOON))
    scheduler = left.scheduler()
    scheduler.turn(minute(61))
    assert left.fires(CRON.name) == {50: CANCELLED, 60: status}
    assert not left.project.store.fires.active()


def test_what_still_runs_there_is_waited_for(left: Place, dead: ProcessId) -> None:
    left.project.store.fires.beat(SchedulerRecord("cron", CRON.name, "box", dead, NOON, NOON, stopped_at=minute(60)))
    scheduler = left.scheduler()
    scheduler.turn(minute(61))
    assert left.fires(CRON.name) == {50: CANCELLED, 60: RUNNING}
    left.end(60, RunStatus.FAILED, name=CRON.name, reason="the command that showed it was killed")
    scheduler.turn(minute(62))
    assert left.fires(CRON.name)[60] is FAILED


def test_a_run_that_has_ended_and_is_not_settled_takes_nobodys_place(make: Callable[..., Place]) -> None:
    place = make("max-runs = 1")
    place.schedule("s")
    cron = place.scheduler(Fixed(CRON), only=CRON.name, attached=True)
    cron.turn(minute(30))
    cron.turn(minute(60))
    key = place.ask(10)
    alone = place.scheduler(only="s", attached=key, looks_at_clock=False)
    alone.turn(minute(61))
    assert place.fires() == {10: PENDING}
    place.end(60, RunStatus.FAILED, name=CRON.name, reason="killed")
    alone.turn(minute(62))
    assert place.fires() == {10: RUNNING}


# The end of what is attached


def test_who_leaves_takes_its_runs_along_and_leaves_nothing_that_waits(left: Place) -> None:
    scheduler = left.scheduler(Fixed(CRON), only=CRON.name, attached=True)
    scheduler.turn(minute(61))
    mine = Started(left.started[0].run_id, left.started[0].request, attached=True)
    scheduler.handles[mine.run_id] = mine
    left.end(60, RunStatus.CANCELLED, name=CRON.name, reason="cancelled on request")
    turn = scheduler.end_attached()
    assert mine.asked == [False]
    assert left.fires(CRON.name) == {50: CANCELLED, 60: CANCELLED}
    assert len(left.started) == 1, "what became due meanwhile is not begun"
    assert turn.moves.start == []
    assert scheduler.handles == {}


def test_who_is_asked_again_while_leaving_makes_its_runs_end(left: Place) -> None:
    scheduler = left.scheduler(Fixed(CRON), only=CRON.name, attached=True)
    scheduler.turn(minute(61))
    mine = Started(left.started[0].run_id, left.started[0].request, attached=True, interrupts=1)
    scheduler.handles[mine.run_id] = mine
    left.end(60, RunStatus.CANCELLED, name=CRON.name, reason="cancelled on request")
    scheduler.end_attached()
    assert mine.asked == [False, True]
    assert not left.project.store.fires.active()


# Whoever is there for one fire


def test_who_is_there_for_one_fire_starts_no_other_and_settles_what_it_sees(place: Place) -> None:
    place.schedule("report", "trigger: {after: s}\n")
    place.schedule("other")
    place.ask(10)
    key, other = place.ask(20), place.ask(10, "other")
    alone = place.scheduler(only="s", attached=key, looks_at_clock=False)
    alone.turn(minute(61))
    assert place.fires() == {10: PENDING, 20: RUNNING}
    assert place.fires("other") == {10: PENDING}
    assert [run.attached for run in place.started] == [True]
    place.end(20)
    alone.turn(minute(62))
    assert place.fires() == {10: PENDING, 20: SUCCEEDED}
    assert place.fires("report") == {20: PENDING}  # known to be due, and somebody else's to start
    assert place.project.store.fires.fire(other) is not None
    alone.turn(minute(63))
    assert len(place.started) == 1


# Alerts


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started to send alerts; each fails as a whole."""
    found: list[subprocess.Popen[bytes]] = []

    def send(_paths: object) -> subprocess.Popen[bytes]:
        found.append(subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"]))
        return found[-1]

    monkeypatch.setattr(module, "send_alerts", send)
    return found


def test_a_sender_that_fails_is_not_started_again_at_once(place: Place, senders: list[subprocess.Popen[bytes]]) -> None:
    place.schedule("s", f"{HOURLY}alert: json://localhost\n")
    scheduler = place.scheduler()
    scheduler.turn(minute(30))
    assert senders == []
    scheduler.turn(minute(60))
    place.end(60, RunStatus.FAILED, exit_code=1, reason="it broke")
    scheduler.turn(minute(61))
    (message,) = place.project.store.fires.messages()
    assert (message.kind, message.title) == ("failure", "[tiny] s failed")
    assert place.started[0].run_id in message.body
    senders[0].wait()
    scheduler.turn(minute(61.5))
    assert len(senders) == 1
    scheduler.turn(minute(62))
    assert len(senders) == 2
    senders[1].wait()


# Nothing is held on to


def test_nothing_is_left_open(place: Place) -> None:
    def store_files() -> list[str]:
        links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return [link for link in links if link.startswith(str(place.project.paths.state))]

    place.project.store.fires.states()
    before = store_files()
    scheduler = Scheduler(place.project, Schedules(place.project))
    scheduler.turn(minute(30))
    scheduler.close()
    scheduler.close()
    assert store_files() == before


def test_rules_know_what_the_project_says(make: Callable[..., Place]) -> None:
    project = make("max-runs = 7\n[tool.kit.slots]\ngpu = 2").project
    rules = module.rules_of(project, Schedules(project).load())
    assert (rules.project, rules.max_runs, rules.pools) == ("tiny", 7, {"gpu": 2})
    assert rules.starter == this_process()
    settings = replace(project.settings, max_runs=None)
    assert module.rules_of(replace(project, settings=settings), Schedules(project).load()).max_runs >= 1
