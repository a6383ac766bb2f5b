"""What every executor must do, with real runs. Another executor joins by a `Place` in `PLACES`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kit import _clock, runs
from kit._process import is_alive
from kit.executors._copies import folder_of
from kit.executors.base import Executor, Handle
from kit.executors.local import LocalExecutor, LocalHandle
from kit.forkserver._control import status
from kit.models import Limits, RunRecord, masked
from kit.planning import write_plan
from kit.project import Project, open_project
from kit.states import RunStatus
from tests.engines import Ray, Slurm
from tests.support import environment, forkserver, new_project, processes_of, until

FILES = {
    "src/tiny/tasks.py": """
        import os
        import sys
        import threading

        import kit


        def speaks(cfg: dict, run: kit.Run) -> dict[str, float]:
            print("one")
            print("two", file=sys.stderr)
            os.write(1, b"\\xff no text\\n")
            return {"score": 0.5}


        def asks(cfg: dict) -> dict[str, float]:
            return {"bytes": float(len(sys.stdin.read()))}


        def waits(cfg: dict, run: kit.Run) -> None:
            print("started", flush=True)
            try:
                threading.Event().wait()
            finally:
                print("tidied up", flush=True)


        def goes_on(cfg: dict, run: kit.Run) -> None:
            print("started", flush=True)
            gate = threading.Event()
            while not (run.dir / "go").exists():
                gate.wait(0.05)


        def floods(cfg: dict) -> None:
            for number in range(20_000):
                print(f"line {number:06}")
        """,
} | {
    f"conf/experiment/{name}.yaml": f"# @package _global_\ntask: tiny.tasks.{name}\n"
    for name in ("speaks", "asks", "waits", "goes_on", "floods")
}


@dataclass
class Place:
    """A project whose runs an executor takes."""

    project: Project
    executor: Executor
    forks: bool
    name: str | None = None

    def submit(self, name: str, limits: Limits | None = None, *, attached: bool = True) -> Handle:
        """What `runs.start` does, on this executor."""
        # Some libraries are imported differently where it is set, which has a run started cold.
        os.environ.pop("PYTEST_CURRENT_TEST", None)
        given = limits or Limits(timeout=200, grace=20)
        request = runs.Request(overrides=(f"experiment={name}",), limits=given, executor=self.name)
        spec = runs.plan(self.project, request)
        self.project.paths.run(spec.run_id).root.mkdir(exist_ok=True)
        launch = write_plan(self.project, spec)
        public = masked(spec)
        record = replace(RunRecord.queued(public, at=_clock.now(), params={}), status=RunStatus.STARTING)
        self.project.store.create(public, record)
        handle = self.executor.submit(launch, attached=attached)
        if self.name is None:
            assert isinstance(handle, LocalHandle)
            assert (handle._supervisor is None) == self.forks
        return handle

    def record(self, handle: Handle) -> RunRecord:
        return self.project.store.get(handle.run_id)

    def release(self, run_id: str) -> None:
        """Let a run go on that waits for it."""
        token = self.project.store.get(run_id).token
        run = self.project.paths.run(run_id)
        ((run if token is None else folder_of(run, token)).root / "go").touch()

    def log(self, handle: Handle) -> bytes:
        return b"".join(self.executor.logs(handle.run_id))

    def started(self, handle: Handle) -> None:
        until(lambda: b"started" in self.log(handle), "the task to start")


ENGINES = ("slurm", "ray")
PLACES = {"local": False, "forkserver": True, "slurm": False, "ray": False}
"""Whether supervisors and runs come out of a forkserver."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


# Slow ones are not measured for coverage, and who is measured is not forked.
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("forkserver", "slurm")]
# Two minutes of processor time: before a release. What each change is held against is in `test_ray`.
OTHERS.append(pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.exhaustive]))


@pytest.fixture(scope="module", params=["local", *OTHERS])
def where(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def root(where: str, tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Path]:
    root = new_project(tmp_path_factory.mktemp("executors") / "tiny", FILES)
    if not PLACES[where]:
        yield root
        return
    with forkserver(root, environment(home)):
        yield root


@pytest.fixture
def place(
    root: Path, where: str, home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    project = open_project(root)
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    forks = status(root) is not None
    if forks:
        monkeypatch.delenv("KIT_FORKSERVER")
    if where in ENGINES:
        cluster: Slurm | Ray = request.getfixturevalue(where)
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        yield Place(project, runs.executor_of(project, where), forks, where)
    else:
        yield Place(project, LocalExecutor(project.paths, project.store), forks)
    until(lambda: processes_of(root) == [], "nothing to be left of any run")


def test_a_run_goes_through_and_is_recorded(place: Place) -> None:
    handle = place.submit("speaks")
    assert handle.wait(200)
    record = place.record(handle)
    assert (record.status, record.exit_code, record.metrics) == (RunStatus.SUCCEEDED, 0, {"score": 0.5})
    assert record.tracked
    assert record.supervisor is not None
    assert record.process is not None
    assert not is_alive(record.process)
    assert handle.wait()  # asked again, it says so again
    assert place.log(handle) == b"one\ntwo\n\xff no text\n"
    assert b"".join(place.executor.logs(handle.run_id, follow=True)) == place.log(handle)


def test_submitting_does_not_wait(place: Place) -> None:
    handle = place.submit("goes_on")
    assert not handle.wait(0)
    place.started(handle)
    assert place.record(handle).status is RunStatus.RUNNING
    assert not handle.wait(0.01)
    place.release(handle.run_id)
    assert handle.wait(200)
    assert place.record(handle).status is RunStatus.SUCCEEDED


def test_a_run_can_be_asked_to_stop(place: Place) -> None:
    handle = place.submit("waits")
    place.started(handle)
    handle.cancel()
    handle.cancel()  # impatience of a submitter is not "at once"
    assert handle.wait(200)
    assert place.record(handle).status is RunStatus.CANCELLED
    assert b"tidied up" in place.log(handle)
    handle.cancel()  # it has ended: nothing happens
    assert place.record(handle).status is RunStatus.CANCELLED


def test_a_run_can_be_made_to_stop(place: Place) -> None:
    handle = place.submit("waits")
    place.started(handle)
    handle.cancel(at_once=True)
    assert handle.wait(200)
    assert place.record(handle).status is RunStatus.CANCELLED


@pytest.mark.parametrize("how", ["detached", "never attached"])
def test_a_run_that_was_let_go_still_hears_its_submitter(place: Place, how: str) -> None:
    handle = place.submit("waits", attached=how == "detached")
    if how == "detached":
        handle.detach()
    place.started(handle)
    handle.cancel(at_once=True)
    assert handle.wait(200)
    assert place.record(handle).status is RunStatus.CANCELLED


@pytest.mark.slow
def test_a_time_limit_is_kept(place: Place) -> None:
    handle = place.submit("waits", Limits(timeout=10, grace=20))
    assert handle.wait(200)
    record = place.record(handle)
    assert (record.status, record.exit_code) == (RunStatus.TIMED_OUT, 124)


def test_a_run_without_a_reader_is_not_interactive(place: Place) -> None:
    handle = place.submit("asks")
    assert handle.wait(200)
    assert place.record(handle).metrics == {"bytes": 0.0}


def test_a_flood_is_bounded_and_both_ends_are_kept(place: Place) -> None:
    handle = place.submit("floods", Limits(log_bytes=10_000))
    assert handle.wait(200)
    log = place.log(handle)
    assert log.startswith(b"line 000000\n")
    assert log.endswith(b"line 019999\n")
    assert len(log) <= 20_000 + 100
    assert place.record(handle).status is RunStatus.SUCCEEDED


SUBMITTER = """
import sys
from pathlib import Path
from kit import runs
from kit.project import open_project
project = open_project(Path(sys.argv[1]))
request = runs.Request(overrides=("experiment=goes_on",), executor=sys.argv[3] or None)
handle = runs.start(project, runs.plan(project, request))
if sys.argv[2] == "detach":
    handle.detach()
print(handle.run_id, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("how", "status"), [("detach", RunStatus.SUCCEEDED), ("hold", RunStatus.FAILED)])
def test_a_run_outlives_its_submitter_only_when_it_was_let_go(
    place: Place, tmp_path: Path, how: str, status: RunStatus
) -> None:
    if place.name is not None and how == "hold":
        pytest.skip("an engine's run is held by nobody")
    submitter = subprocess.Popen(
        [sys.executable, "-c", SUBMITTER, str(place.project.root), how, place.name or ""],
        env=environment(tmp_path / "home"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert submitter.stdout is not None
    run_id = submitter.stdout.readline().strip()
    until(lambda: b"started" in b"".join(place.executor.logs(run_id)), "the task to start")
    submitter.send_signal(signal.SIGKILL)
    submitter.communicate()
    if how == "detach":
        place.release(run_id)
    record = until(lambda: ended if (ended := place.project.store.get(run_id)).status.is_terminal else None, "the end")
    assert record is not None
    assert record.status is status
    if how == "hold":
        assert record.reason == "stopped because the command that showed it was killed"
