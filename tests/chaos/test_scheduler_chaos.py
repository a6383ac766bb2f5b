"""Schedules go on whatever is killed, stopped, filled up or set wrong: everything due is run once, or known why not."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from kit import _clock, firing
from kit.fires import FireOrigin, FireQuery
from kit.outcomes import NEVER_STARTED
from kit.schedules import Schedules
from kit.states import FireStatus, RunStatus
from tests.chaos.production import KIT, Production, running_production, unshared
from tests.conftest import TINY_PROJECT
from tests.support import kit, until

# One seed each time; all of them before a release.
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (1, 2, 3))]

BUSY = {
    "often": "trigger: {interval: 1 s}\nexperiment: works\nretry: {attempts: 5, delay: 0.3 s}",
    "queue": "trigger: {interval: 12 s}\nexperiment: daemons\noverlap: queue\nretry: {attempts: 5, delay: 0.3 s}",
    "replace": "trigger: {interval: 7 s}\nexperiment: works\noverlap: replace\nretry: 2\ncatch_up: none",
    "follow": "trigger: {after: often}\nexperiment: works\nretry: {attempts: 5, delay: 0.3 s}",
    "broken": "trigger: {interval: 25 s}\nexperiment: fails\ncatch_up: all",
}

ONE_AT_A_TIME = {"pyproject.toml": TINY_PROJECT["pyproject.toml"] + "        max_runs = 1\n"}


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def kill(process: psutil.Process) -> bool:
    """Whether it was there to be killed."""
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    return True


class Killer:
    """Kills a scheduler and its supervisors, at moments that a seed chooses, and starts the scheduler again."""

    def __init__(self, production: Production, seed: int) -> None:
        self.hits: Counter[str] = Counter()
        self.scheduler = production.start()
        self._production = production
        self._moments = random.Random(seed)

    def strike(self) -> None:
        victim = self._moments.choice(("scheduler", "supervisor", "supervisor", "both"))
        if victim != "scheduler":
            # From the first instant of a run to well into it, or past its end.
            until(lambda: self._production.processes("supervisor"), "a run")
        wait(self._moments.uniform(0, 3 if victim == "supervisor" else 1.2))
        supervisors = self._production.processes("supervisor")
        if victim != "scheduler" and supervisors and kill(self._moments.choice(supervisors)):
            self.hits["supervisor"] += 1
        if victim != "supervisor":
            self._restart()

    def _restart(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait()
        self.hits["scheduler"] += 1
        if self._moments.random() < 0.2:
            wait(self._moments.uniform(0, 3))
        before = len(self._production.said())
        self.scheduler = self._production.start()
        if self._moments.random() < 0.8:  # else it may be killed before it has done anything
            until(lambda: len(self._production.said()) > before, "the scheduler")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_is_killed_at_any_moment_every_fire_is_accounted_for(tmp_path: Path, seed: int) -> None:
    """kill -9 of the scheduler, of a supervisor, or of both: 100 moments in all."""
    with running_production(tmp_path, BUSY) as production:
        production.meet()
        killer = Killer(production, seed)
        for _ in range(25):
            killer.strike()
        production.remove("queue")
        production.settle(killer.scheduler)
        account = production.account()
    print(f"\nseed {seed}: killed {dict(killer.hits)}; {account}")  # noqa: T201


# Schedulers that are stopped, or are two


STOPS_BETWEEN = """
import os
import signal
import sys
from pathlib import Path

from kit import _clock
from kit.project import open_project
from kit.scheduler import Scheduler
from kit.schedules import Schedules


class Stopped(Scheduler):
    def _start(self, *claimed):
        os.kill(os.getpid(), signal.SIGSTOP)  # the claim is committed, and nothing is started
        return super()._start(*claimed)


project = open_project(Path.cwd())
scheduler = Stopped(project, Schedules(project))
while not scheduler.handles:
    scheduler.turn(_clock.now())
"""


def workers_below(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The runs that a scheduler started, and that end with the namespace that it is the first process of."""
    found = []
    for below in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "kit._worker" in below.cmdline():
                found.append(below)
    return found


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


@pytest.mark.slow
def test_a_scheduler_that_is_stopped_between_its_commit_and_its_starts_starts_nothing_twice(tmp_path: Path) -> None:
    """Past the lease another one gives its run up and tries again; when it goes on, it finds the run taken."""
    schedules = {"often": "trigger: {interval: 1 s}\nexperiment: works"}
    with running_production(tmp_path, schedules) as production:
        production.meet()
        stopped = production.start_unlocked(script=STOPS_BETWEEN)
        until(lambda: is_stopped(stopped), "the scheduler to have claimed a fire")
        production.disable()
        [fire] = [item.fire for item in production.project.store.fires.active()]
        with production.scheduler() as scheduler:
            scheduler.turn(_clock.now() + timedelta(seconds=30))
            assert production.get(fire).attempt == 1  # a lease is held for a minute
            scheduler.turn(_clock.now() + timedelta(seconds=61))
            assert production.project.store.get(fire.run_id or "").reason == NEVER_STARTED
            scheduler.turn(_clock.now() + timedelta(seconds=62))
        assert production.get(fire).attempt == 2
        stopped.send_signal(signal.SIGCONT)
        stopped.wait(60)
        production.settle()
        account = production.account()
    assert [run.status for run in account.runs_of(fire)] == [RunStatus.LOST, RunStatus.SUCCEEDED]
    assert [execution.attempt for execution in account.executions if execution.scheduled_at == fire.scheduled_at] == [2]
    print(f"\n{account}")  # noqa: T201


@pytest.mark.slow
def test_a_supervisor_that_is_stopped_is_waited_for_and_ends_its_run_when_it_goes_on(tmp_path: Path) -> None:
    """It lives, so nothing else is begun in its place; its timeout is enforced as soon as it goes on."""
    schedules = {"often": "trigger: {interval: 1 s}\nexperiment: works\noverrides: [+seconds=3600]\ntimeout: 20 s"}
    with running_production(tmp_path, schedules) as production:
        production.meet()
        scheduler = production.start()
        [execution] = until(production.executions, "a run in the middle")
        [supervisor] = production.processes("supervisor")
        supervisor.suspend()
        began = time.monotonic()
        production.disable()
        with production.scheduler() as other:
            for minutes in (2, 60, 480):
                other.turn(_clock.now() + timedelta(minutes=minutes))
        until(lambda: time.monotonic() - began > 20, "its time to be up")
        assert production.project.store.get(execution.run_id).status is RunStatus.RUNNING
        supervisor.resume()
        production.settle(scheduler)
        account = production.account()
    [run] = [run for run in account.runs if run.run_id == execution.run_id]
    assert (run.status, run.reason) == (RunStatus.TIMED_OUT, "stopped at its time limit of 20 s")
    assert len(account.executions) == 1
    print(f"\n{account}")  # noqa: T201


RECOVERS = """
from datetime import timedelta
from pathlib import Path

from kit import _clock
from kit.project import open_project
from kit.recovery import recover

print(len(recover(open_project(Path.cwd()), _clock.now() + timedelta(seconds=61))))
"""


@pytest.mark.slow
def test_a_supervisor_that_was_given_up_while_it_was_stopped_ends_its_run(tmp_path: Path) -> None:
    """From another container it can only be heard: after a minute of silence the fire is tried again."""
    elsewhere = unshared("--pid", "--fork", "--mount-proc", "--kill-child")
    retry = "retry: {attempts: 2, delay: 0 s}\noverrides: [+seconds=25]"
    schedules = {"often": f"trigger: {{interval: 1 s}}\nexperiment: works\n{retry}"}
    with running_production(tmp_path, schedules) as production:
        production.meet()
        scheduler = production.start()
        [first] = until(production.executions, "a run in the middle")
        [supervisor] = production.processes("supervisor")
        [worker] = production.processes("worker")
        supervisor.suspend()
        production.disable()
        recovering = production.start_unlocked(*elsewhere, script=RECOVERS)
        assert recovering.wait(120) == 0, production.said()
        until(lambda: len(production.executions()) == 2, "the second attempt")
        supervisor.resume()
        until(lambda: not worker.is_running(), "the first attempt to be ended")
        production.settle(scheduler)
        account = production.account()
    fire = next(fire for fire in account.fires if fire.scheduled_at == first.scheduled_at)
    assert [run.status for run in account.runs_of(fire)] == [RunStatus.LOST, RunStatus.SUCCEEDED]
    print(f"\n{account}")  # noqa: T201


def schedulers_elsewhere(production: Production) -> set[str]:
    """Those that ever took their turns without the lock file."""
    return {record.scheduler_id for record in production.project.store.fires.schedulers() if record.scope}


@pytest.mark.slow
def test_two_schedulers_race_as_on_two_hosts(tmp_path: Path) -> None:
    """They do not see each other's processes; one of them is killed, with all that it started, and started again.

    Each has more to do than it may at a time, so that there is always something for the other.
    """
    elsewhere = unshared("--pid", "--fork", "--mount-proc", "--kill-child")
    schedules = {
        **{f"often{number}": "trigger: {interval: 1 s}\nexperiment: works\nretry: 5" for number in range(3)},
        "queue": "trigger: {interval: 9 s}\nexperiment: works\noverlap: queue\nretry: 5",
    }
    with running_production(tmp_path, schedules, files=ONE_AT_A_TIME) as production:
        production.meet()
        here = production.start()
        there = production.start_unlocked(*elsewhere)
        until(lambda: len(production.executions()) >= 3, "some runs")
        until(lambda: workers_below(there), "a run over there")
        there.kill()
        there.wait()
        until(lambda: len(production.executions()) >= 6, "some more")
        known = schedulers_elsewhere(production)
        there = production.start_unlocked(*elsewhere)
        # Earlier the signal would do nothing to what is the first process of its namespace.
        until(lambda: schedulers_elsewhere(production) > known, "it to listen")
        until(lambda: len(production.executions()) >= 8, "yet more")
        production.disable()
        until(production.disabled, "it to be seen that nothing is due any more")
        [scheduler] = psutil.Process(there.pid).children()  # `unshare` itself ignores the signal
        scheduler.terminate()
        assert there.wait(120) == 0, production.said()
        production.turn(_clock.now() + timedelta(seconds=61))  # what was killed there is silent
        production.settle(here)
        account = production.account()
    print(f"\n{account}")  # noqa: T201


# A clock that jumps


HOURLY = {
    "latest": "trigger: {interval: 1 h}\nexperiment: works",
    "all": "trigger: {interval: 1 h}\nexperiment: works\ncatch_up: {mode: all, count: 2}",
}
ON_TIME, LATE = FireOrigin.CLOCK, FireOrigin.CATCH_UP


@pytest.mark.exhaustive
def test_a_clock_that_jumps_and_a_machine_that_sleeps(tmp_path: Path) -> None:
    """2 h forward, 2 h back, 8 h of sleep: each instant is a fire once, or passed over once."""
    with running_production(tmp_path, HOURLY) as production:
        production.meet()
        hour = _clock.now().replace(minute=0, second=0, microsecond=0)
        origins: dict[str, list[tuple[float, FireOrigin]]] = {}
        with production.scheduler() as scheduler:
            # The clock in hours: on time; 2 h forward; 2 h back, and through the same hours again; asleep for 8 h.
            for clock in (1, 1.01, 3.5, 3.6, 1.6, 2.01, 3.01, 3.55, 4, 12.5, 12.6, 12.7):
                scheduler.turn(hour + timedelta(hours=clock))
                for handle in [*scheduler.handles.values()]:
                    handle.wait()
            scheduler.turn(hour + timedelta(hours=12.8))
        for fire in production.project.store.fires.fires(FireQuery()):
            at = (fire.scheduled_at - hour) / timedelta(hours=1)
            origins.setdefault(fire.schedule, []).insert(0, (at, fire.origin))
        production.disable()
        production.turn(hour + timedelta(hours=12.9))
        production.tell_all()
        account = production.account()
    assert origins == {
        "latest": [(1, ON_TIME), (3, LATE), (4, ON_TIME), (12, LATE)],
        "all": [(1, ON_TIME), (2, LATE), (3, LATE), (4, ON_TIME), (11, LATE), (12, LATE)],
    }
    assert {fire.status for fire in account.fires} == {FireStatus.SUCCEEDED}
    assert len(account.executions) == len(account.fires) == 10
    print(f"\n{account}")  # noqa: T201


def fake_clock(offset: Path) -> dict[str, str]:
    """An environment in which the clock is as far off as a file says, in seconds, at any time."""
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not found:
        pytest.skip("libfaketime is not installed (Debian: libfaketime)")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.slow
def test_a_real_scheduler_whose_clock_is_set_forward_and_back(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    faked = fake_clock(offset)
    offset.write_text("+0\n")
    schedules = {
        "often": "trigger: {interval: 1 s}\nexperiment: works",
        "hourly": "trigger: {interval: 1 h}\nexperiment: works",
    }
    with running_production(tmp_path, schedules) as production:
        production.meet()
        scheduler = production.start(**faked)
        until(production.executions, "a run")
        offset.write_text("+7200\n")
        later = _clock.now() + timedelta(hours=1)
        until(lambda: {e.schedule for e in production.executions() if e.scheduled_at > later} == set(schedules), "more")
        offset.write_text("+0\n")
        until(lambda: not production.project.store.fires.active(), "what was begun to be over")
        known = production.project.store.fires.fires(FireQuery())
        wait(5)
        assert production.project.store.fires.fires(FireQuery()) == known, "what was due is due again"
        assert scheduler.poll() is None, production.said()
        production.settle(scheduler)
        account = production.account()
    print(f"\n{account}")  # noqa: T201


# A store that cannot be used


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Somebody else writes to it, and takes their time."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.slow
def test_a_locked_store_keeps_the_scheduler_waiting_and_runs_go_on(tmp_path: Path) -> None:
    schedules = {"often": "trigger: {interval: 1 s}\nexperiment: works\nretry: 3"}
    with running_production(tmp_path, schedules) as production:
        production.meet()
        scheduler = production.start_unlocked(patience=0.5)
        until(lambda: production.processes("supervisor"), "a run that begins")
        with locked(production.store):
            until(lambda: production.said().count("database is locked") >= 2, "the scheduler to say so, and again")
            wait(6)
        production.settle(scheduler)
        account = production.account()
    assert "Traceback" not in production.said()
    assert RunStatus.LOST not in {run.status for run in account.runs}
    print(f"\n{account}")  # noqa: T201


@pytest.mark.slow
def test_a_scheduler_can_be_stopped_while_its_store_is_locked(tmp_path: Path) -> None:
    with running_production(tmp_path, {"often": "trigger: {interval: 1 s}\nexperiment: works"}) as production:
        production.meet(mlflow=False)
        scheduler = production.start_unlocked(patience=0.5)
        until(lambda: production.processes("supervisor"), "a run that begins")
        with locked(production.store):
            until(lambda: "database is locked" in production.said(), "the scheduler to find out")
            scheduler.terminate()
            scheduler.wait(60)
        production.settle()
        account = production.account()
    print(f"\n{account}")  # noqa: T201


def damage(store: Path) -> None:
    """Write over what is there, as a dying disk does, header and all, and what is not yet in the file itself."""
    for path in (store, store.with_name("store.db-wal")):
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            file.write(b"\xa5" * path.stat().st_size)


@pytest.mark.slow
def test_a_damaged_store_is_refused_with_the_fix_which_works(tmp_path: Path) -> None:
    with running_production(tmp_path, {"often": "trigger: {interval: 1 s}\nexperiment: works"}) as production:
        production.meet()
        scheduler = production.start()
        until(production.executions, "a run")
        scheduler.kill()
        scheduler.wait()
        until(lambda: not production.processes("supervisor"), "the run to have ended")
        damage(production.store)
        for command in (["scheduler"], ["scheduler", "--once"], ["runs"]):
            refused = kit(production.root, *command, env=production.env, code=3)
            assert "Traceback" not in refused.err
            fix = f"mv {production.store} {production.store}.damaged"
            assert fix in " ".join(refused.err.split())
        subprocess.run(fix.split(), check=True)
        production.forget()
        scheduler = production.start()
        until(production.executions, "a run, as if nothing had been")
        production.begun_anew()
        production.settle(scheduler)
        account = production.account()
    print(f"\n{account}")  # noqa: T201


@pytest.mark.slow
def test_a_store_that_is_damaged_under_a_scheduler_ends_it(tmp_path: Path) -> None:
    """Trying again helps with what is locked or full, not with that."""
    with running_production(tmp_path, {"often": "trigger: {interval: 1 s}\nexperiment: works"}) as production:
        production.meet(mlflow=False)
        scheduler = production.start()
        until(lambda: production.processes("supervisor"), "a run that begins")
        damage(production.store)
        assert scheduler.wait(120) == 3, production.said()
        assert "damaged" in production.said()
        assert "Traceback" not in production.said()


READ_ONLY = """
mount --bind "$PWD" "$PWD" && mount -o remount,ro,bind "$PWD" && cd "$PWD" && exec "$0" scheduler"""


@pytest.mark.slow
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    mounted = unshared("--mount")
    with running_production(tmp_path, {"often": "trigger: {interval: 1 s}\nexperiment: works"}) as production:
        for known in (False, True):
            if known:
                production.meet(mlflow=False)
            for arguments in ("", " --once"):
                refused = production.start_command([*mounted, "sh", "-c", READ_ONLY + arguments, str(KIT)])
                assert refused.wait(120) == 3, production.said()
        said = production.said()
    assert "Traceback" not in said
    assert said.count("error: the file system is read-only") == 2, said  # there is no store yet, and cannot be one
    assert said.count("error: the run store cannot be used") == 2, said
    assert said.count("that the folder can be written") == 2, said


@pytest.mark.slow
def test_sigterm_twice_stops_a_scheduler_once(tmp_path: Path) -> None:
    """Its run goes on, and the next scheduler settles it."""
    schedules = {"often": "trigger: {interval: 1 s}\nexperiment: works\noverrides: [+seconds=2]"}
    with running_production(tmp_path, schedules) as production:
        production.meet()
        for number, pause in enumerate((0.0, 0.001, 0.02, 0.2)):
            scheduler = production.start()
            until(lambda: production.said().count("scheduler of tiny started") > number, "the scheduler")  # noqa: B023
            until(lambda: production.processes("supervisor"), "a run")
            scheduler.terminate()
            wait(pause)
            with contextlib.suppress(ProcessLookupError):
                scheduler.terminate()
            # The second word may find it after everything is done, about to leave the interpreter.
            assert scheduler.wait(60) in {0, 130, -signal.SIGTERM}, production.said()
            record = production.project.store.fires.schedulers()[0]
            assert record.process.pid == scheduler.pid
            assert record.stopped_at is not None
            assert record.reason is None
        production.settle()
        account = production.account()
    assert "Traceback" not in production.said()
    assert {run.status for run in account.runs} == {RunStatus.SUCCEEDED}
    print(f"\n{account}")  # noqa: T201


# A full disk


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Make the folder a file system of its own."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here (not root?)")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Filler:
    """Leaves so many bytes free on a disk."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "filler"

    def leave(self, free: int) -> None:
        self._path.unlink(missing_ok=True)
        with self._path.open("wb") as file:
            for _ in range(100):  # whoever else writes may be quicker
                room = os.statvfs(self._path.parent)
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), 0, max(room.f_bavail * room.f_frsize - free, 1))
                    return

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_a_disk_that_is_full_at_any_write(tmp_path: Path, seed: int) -> None:
    """Code, git, both stores, logs: all on one small disk, that is filled up to so and so many pages, and freed."""
    moments = random.Random(seed)
    left = [number * 4096 for number in range(0, 100, 6)]
    moments.shuffle(left)
    schedules = {
        "often": "trigger: {interval: 1 s}\nexperiment: works\nretry: {attempts: 3, delay: 1 s}",
        "broken": "trigger: {interval: 5 s}\nexperiment: fails",
    }
    with small_disk(tmp_path / "tiny", 64), running_production(tmp_path, schedules) as production:
        production.meet()
        scheduler = production.start()
        until(lambda: "started" in production.said(), "the scheduler")
        filler = Filler(production.root)
        for free in left:
            filler.leave(free)
            wait(moments.uniform(0.3, 1.2))
            filler.clear()
            if moments.random() < 0.4:
                wait(moments.uniform(0, 3))
            assert scheduler.poll() is None, production.said()
        production.settle(scheduler)
        account = production.account()
        assert "Traceback" not in production.said()
    print(f"\nseed {seed}: full {len(left)} times; {account}")  # noqa: T201


# Runs that are a nuisance


HOSTILE = """
    import os
    import resource
    import signal
    import threading
    from pathlib import Path

    import kit
    from tiny.work import note


    def ignores(cfg: dict, run: kit.Run) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note(run)
        while True:
            threading.Event().wait(1)



    def prints(cfg: dict, run: kit.Run) -> None:
        note(run)
        for _ in range(1024):
            os.write(1, b"x" * (1 << 20))


    def fills(cfg: dict, run: kit.Run) -> None:
        note(run)
        if (group := os.environ.get("MEMORY_GROUP")) is None:
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        else:
            Path(group, "cgroup.procs").write_text(str(os.getpid()))
        kept = []
        while True:
            kept.append(b"x" * (1 << 24))


    def never_ends(cfg: dict, run: kit.Run) -> None:
        note(run)
        threading.Event().wait()
    """
NUISANCES = ("ignores", "daemons", "prints", "fills", "never_ends")


@contextmanager
def memory_group(megabytes: int) -> Iterator[dict[str, str]]:
    """A control group in which the kernel kills what takes more; nothing where there is none to be had."""
    group = Path("/sys/fs/cgroup/memory", f"kit-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(megabytes << 20))
    except OSError:
        yield {}
        return
    try:
        yield {"MEMORY_GROUP": str(group)}
    finally:
        group.rmdir()


@pytest.mark.exhaustive
def test_runs_that_are_a_nuisance_are_bounded_ended_recorded_and_told(tmp_path: Path) -> None:
    told = tmp_path / "alerts"
    rest = f"grace: 1 s\nalert: ['file://{told}']"
    # Masking what was printed is part of a run, and takes a while.
    limits = dict.fromkeys(NUISANCES, 60) | {"prints": 300}
    schedules = {
        name: f"trigger: {{interval: 1 d}}\nexperiment: {name}\ntimeout: {limits[name]} s\n{rest}" for name in NUISANCES
    }
    files = {
        "src/tiny/hostile.py": HOSTILE,
        "pyproject.toml": TINY_PROJECT["pyproject.toml"] + f"        max_runs = {len(NUISANCES)}\n",
        **{
            f"conf/experiment/{name}.yaml": f"# @package _global_\ntask: tiny.hostile.{name}\n"
            for name in NUISANCES
            if name != "daemons"
        },
    }
    with memory_group(600) as group, running_production(tmp_path, schedules, files=files, **group) as production:
        production.meet()
        now = _clock.now()
        for name in NUISANCES:
            schedule = Schedules(production.project).find(name)
            firing.claim(production.project, schedule, [now], now, origin=FireOrigin.REQUEST)
        production.settle()
        until(lambda: told.exists() and told.read_text().count("Reason:") == 3, "three alerts")
        account = production.account()
        ends = {run.name: (run.status, run.reason) for run in account.runs}
        sizes = [log.stat().st_size for log in production.root.glob(".kit/runs/*/console.log*")]
    time_up = (RunStatus.TIMED_OUT, "stopped at its time limit of 60 s")
    memory = "killed by SIGKILL (out of memory?)" if group else "MemoryError"
    assert ends == {
        "ignores": time_up,
        "daemons": (RunStatus.SUCCEEDED, None),
        "prints": (RunStatus.SUCCEEDED, None),
        "fills": (RunStatus.FAILED, memory),
        "never_ends": time_up,
    }
    assert max(sizes) <= 65 << 20
    assert sum(sizes) <= 130 << 20
    assert len(account.executions) == len(NUISANCES)
    assert all(f"[tiny] {name} failed" in told.read_text() for name in ("ignores", "fills", "never_ends"))
    print(f"\n{account}\n{ends}")  # noqa: T201
