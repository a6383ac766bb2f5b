"""Ray's words, and what they mean for a run; on a real cluster: `tests/integration/test_ray.py`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kit import vcs
from kit._files import write_atomic
from kit._process import this_process
from kit.errors import HostError
from kit.executors._listening import AT_ONCE, POLITELY
from kit.executors._ray_jobs import Job, RayJobs, _refused
from kit.executors.ray import RayExecutor, job_id
from kit.models import Launch, RunRecord, to_json
from kit.outcomes import Outcome
from kit.paths import ProjectPaths
from kit.resources import Resources
from kit.settings import ExecutorSettings
from kit.states import RunStatus
from kit.stores import MemoryStore
from tests.factories import INSTANT, record, snapshot, spec
from tests.support import closed_port, new_project, until

DIED, IN_VAIN = "JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"


@dataclass
class Listing(RayJobs):
    """What a cluster would say, some of which takes it a quarter of an hour; and what it was asked."""

    jobs: list[Job] = field(default_factory=list)
    submitted: dict[str, tuple[str, Resources, dict[str, str]]] = field(default_factory=dict)
    uploaded: dict[str, set[str]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)

    def submit(
        self,
        job: str,
        entrypoint: str,
        resources: Resources,
        variables: dict[str, str],
        folder: Path | None = None,
    ) -> None:
        self.submitted.setdefault(job, (entrypoint, resources, variables))
        if folder is not None:
            self.uploaded[job] = {path.name for path in folder.iterdir()}

    def find(self, run_ids: Sequence[str]) -> dict[str, list[Job]]:
        return dict.fromkeys(run_ids, self.jobs)

    def stop(self, job: str) -> None:
        self.stopped.append(job)

    def expect_room(self, resources: Resources) -> None:
        """There is."""


@dataclass
class Place:
    executor: RayExecutor
    listing: Listing
    store: MemoryStore
    paths: ProjectPaths

    def job(self, number: int, state: str = "FAILED", trouble: str | None = None) -> Job:
        made = Job(job_id("abc123", number), state, trouble, "so it said")
        self.listing.jobs.append(made)
        return made

    def word(self, **changes: object) -> tuple[Outcome | None, bool]:
        made: RunRecord = replace(self.store.get("abc123"), **changes)  # type: ignore[arg-type]
        word = self.executor.status([made])["abc123"]
        return word.outcome, word.again


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return made_place(tmp_path, ExecutorSettings("ray", restarts=1, setup=("module load cuda",), scratch="$FAST"))


def made_place(root: Path, settings: ExecutorSettings) -> Place:
    paths, store = ProjectPaths(root), MemoryStore()
    run = paths.run("abc123")
    run.root.mkdir(parents=True)
    made = spec(resources=Resources(gpus=1, memory=2**30, time=600.0))
    write_atomic(run.spec, to_json(made))
    write_atomic(run.launch, to_json(Launch("abc123", str(root))))
    store.create(made, record())
    executor, listing = RayExecutor(paths, store, settings), Listing()
    executor._jobs = listing
    return Place(executor, listing, store, paths)


def test_a_run_is_one_job_whose_name_follows_from_it(place: Place) -> None:
    launch = Launch("abc123", str(place.paths.root))
    assert place.executor.submit(launch).run_id == "abc123"
    [(job, (entrypoint, resources, variables))] = place.listing.submitted.items()
    assert (job, place.store.get("abc123").job) == ("kit-abc123-1", "kit-abc123-1")
    assert Job(job, "").run_id == "abc123"
    assert resources == Resources(1, 1, 2**30, 600.0)  # one CPU at least, else it would be on the head
    lines = entrypoint.splitlines()
    assert lines[:2] == [f"cd {place.paths.root} || exit 3", "module load cuda"]
    how = '--job=kit-abc123-1 --listen --stop-after=540 --scratch "$FAST"'  # a minute before
    assert lines[2].startswith(f"exec {sys.executable} -P -m kit._node {how} {place.paths.run('abc123').root} >>")
    assert int(variables["RAY_JOB_STOP_WAIT_TIME_S"]) > Launch("", "").limits.grace  # of `ray job stop`, typed by hand


def test_after_a_job_there_is_one_more_however_often_it_is_asked_for(place: Place) -> None:
    made = place.store.get("abc123")
    assert place.executor.again(made, "kit-abc123-1")
    assert place.executor.again(made, "kit-abc123-1")
    assert list(place.listing.submitted) == ["kit-abc123-2"]
    assert not place.executor.again(made, None)


@pytest.mark.parametrize(
    ("jobs", "status", "again"),
    [
        ([("PENDING", None)], None, False),
        ([("FAILED", DIED), ("RUNNING", None)], None, False),
        ([("FAILED", DIED)], RunStatus.LOST, True),
        ([("FAILED", DIED), ("FAILED", DIED)], RunStatus.LOST, False),  # restarts = 1
        ([("FAILED", DIED), ("FAILED", IN_VAIN), ("FAILED", IN_VAIN)], RunStatus.LOST, True),  # that is no fault at all
        ([("FAILED", "JOB_ENTRYPOINT_COMMAND_ERROR")], RunStatus.LOST, False),
        ([("SUCCEEDED", None)], RunStatus.LOST, False),  # and yet the run has not said how it ended
        ([("STOPPED", None)], RunStatus.CANCELLED, False),
        ([], RunStatus.LOST, False),
    ],
)
def test_what_ray_says_of_a_run(
    place: Place, jobs: list[tuple[str, str | None]], status: RunStatus | None, again: bool
) -> None:
    for number, (state, trouble) in enumerate(jobs, start=1):
        place.job(number, state, trouble)
    outcome, goes_on = place.word()
    assert (None if outcome is None else outcome.status, goes_on) == (status, again)


def test_a_head_that_knows_nothing_of_a_job_it_had_is_given_it_again(place: Place) -> None:
    assert place.word(job="kit-abc123-1", token=1)[1]
    assert not place.word(job="kit-abc123-2", token=2)[1]


@pytest.mark.parametrize(
    ("jobs", "known", "again"),
    [
        ([("FAILED", DIED)], {"token": 1}, False),
        ([("FAILED", IN_VAIN)], {}, True),
        ([], {"job": "kit-abc123-1"}, True),
        ([], {"job": "kit-abc123-1", "token": 1}, False),
    ],
)
def test_an_uploaded_run_is_submitted_again_only_if_it_never_began(
    tmp_path: Path, jobs: list[tuple[str, str | None]], known: dict[str, object], again: bool
) -> None:
    place = made_place(tmp_path, ExecutorSettings("ray", delivery="upload"))
    for number, (state, trouble) in enumerate(jobs, start=1):
        place.job(number, state, trouble)
    assert place.word(**known)[1] is again


def test_an_uploaded_run_hears_only_from_ray_that_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made_place(tmp_path, ExecutorSettings("ray", delivery="upload"))
    place.job(1, "FAILED", IN_VAIN)
    place.job(2, "RUNNING")
    begun = replace(place.store.get("abc123"), supervisor=this_process())
    place.executor.cancel(begun)
    assert place.listing.stopped == ["kit-abc123-2"]
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{closed_port()}")
    place.executor._jobs = RayJobs(None)
    with pytest.raises(HostError, match="no Ray cluster answers"):
        place.executor.cancel(begun)


def test_the_log_of_a_job_that_ray_has_forgotten_is_said_to_be_elsewhere(tmp_path: Path) -> None:
    place = made_place(tmp_path, ExecutorSettings("ray", delivery="upload"))
    assert list(place.executor.logs("abc123")) == [], "it was never submitted"
    place.store.attach("abc123", job="kit-abc123-1")
    with pytest.raises(HostError, match="Ray knows no job") as refused:
        list(place.executor.logs("abc123"))
    assert "MLflow" in str(refused.value)


def test_what_could_not_be_uploaded_is_as_if_it_had_never_been_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = new_project(tmp_path / "tiny")
    place = made_place(root, ExecutorSettings("ray", delivery="upload", autoscales=True))
    code = vcs.snapshot(root, "abc123", max_bytes=1000)
    made = spec(snapshot=snapshot(code=code), tracking_uri="http://mlflow", project_root=str(root))
    place.paths.run("abc123").spec.write_bytes(to_json(made))
    monkeypatch.setenv("KIT_STORE", "postgresql://me@db/kit")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{closed_port()}")
    launch = Launch("abc123", str(root))
    listing, place.executor._jobs = place.executor._jobs, RayJobs(None)
    with pytest.raises(HostError, match="no Ray cluster answers"):
        place.executor.submit(launch)
    assert place.paths.run("abc123").is_told_from_here
    place.executor._jobs = listing
    place.executor.submit(launch)
    assert place.listing.uploaded == {"kit-abc123-1": {"parcel.json", "repository.zip", "run"}}
    assert not place.paths.run("abc123").is_told_from_here
    assert place.listing.submitted["kit-abc123-1"][0].splitlines()[0] == 'kit_parcel="$PWD"'


def test_what_a_job_said_last_is_why_it_ended(place: Place) -> None:
    place.job(1)
    outcome, _ = place.word()
    assert outcome is not None
    assert outcome.reason == "its job kit-abc123-1 ended: FAILED: so it said"
    place.paths.run("abc123").supervisor_log.write_text("first\nno such folder\n\n")
    outcome, _ = place.word()
    assert outcome is not None
    assert outcome.reason == "its job kit-abc123-1 ended: FAILED: no such folder"


def test_cancelling_is_written_for_the_job_to_read_and_what_waits_is_stopped(place: Place) -> None:
    place.job(1, "FAILED", DIED)
    place.job(2, "PENDING")
    made, cancelled = place.store.get("abc123"), place.paths.run("abc123").cancelled
    place.executor.cancel(made)
    assert (cancelled.read_text(), place.listing.stopped) == (POLITELY, ["kit-abc123-2"])
    place.executor.cancel(made, at_once=True)
    assert cancelled.read_text() == AT_ONCE
    place.listing.jobs.pop()
    outcome, again = place.word()
    assert outcome is not None
    assert (outcome.status, again) == (RunStatus.CANCELLED, False)  # whatever became of its node


def test_a_run_that_began_is_cancelled_though_ray_cannot_be_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{closed_port()}")
    place.executor._jobs = RayJobs(None)
    made = place.store.get("abc123")
    with pytest.raises(HostError, match="no Ray cluster answers"):
        place.executor.cancel(made)
    place.executor.cancel(replace(made, supervisor=this_process()))
    assert place.paths.run("abc123").cancelled.read_text() == POLITELY


def test_no_password_is_shown_to_all_who_may_ask_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_STORE", "postgresql://me:hunter2hunter2@db/kit")
    monkeypatch.setenv("OTHER", "x")
    launch = Launch("abc123", str(tmp_path))
    plain = made_place(tmp_path / "a", ExecutorSettings("ray", address="http://head:8265", env=("OTHER",)))
    with pytest.raises(HostError, match="the password in KIT_STORE") as refused:
        plain.executor.submit(launch)
    assert "hunter2hunter2" not in str(refused.value)
    assert plain.listing.submitted == {}
    wanted = made_place(tmp_path / "b", ExecutorSettings("ray", env=("KIT_STORE",)))
    wanted.executor.submit(launch)  # who names it has said so
    assert "hunter2hunter2" in wanted.listing.submitted["kit-abc123-1"][2]["KIT_STORE"]
    monkeypatch.setenv("KIT_STORE", "postgresql://me@db/kit")
    plain.executor.submit(launch)
    assert plain.listing.submitted["kit-abc123-1"][2] == {
        "KIT_STORE": "postgresql://me@db/kit",
        "OTHER": "x",
        "RAY_API_SERVER_ADDRESS": "http://head:8265",
        "RAY_JOB_STOP_WAIT_TIME_S": "160",
    }


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ConnectionError("Failed to connect to Ray at address: http://x"), "no Ray cluster answers"),
        (RuntimeError("Authentication failed: Forbidden"), "refuses the token"),
        (RuntimeError("Request failed with status code 500:\nValueError: no such thing."), "Ray refuses: ValueError"),
    ],
)
def test_what_the_sdk_raises_has_a_fix(error: Exception, what: str) -> None:
    refused = _refused(error, "http://x")
    assert what in refused.what
    assert refused.fix


def test_a_cluster_that_does_not_answer_is_an_error_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{closed_port()}")
    asked: list[Callable[[RayJobs], object]] = [
        lambda jobs: jobs.find(["abc123"]),
        lambda jobs: jobs.stop("kit-abc123-1"),
    ]
    for ask in asked:
        with pytest.raises(HostError, match="no Ray cluster answers") as refused:
            ask(RayJobs(None))
        assert "127.0.0.1" in str(refused.value)
        assert "`address`" in str(refused.value)


LISTENS = """
import signal, sys
from pathlib import Path
from kit.executors._listening import listen
from kit.paths import RunPaths
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, _: print(signal.Signals(number).name, flush=True))
listen(RunPaths(Path(sys.argv[1])), stop_after=0.1)
print("listens", flush=True)
sys.stdin.read()
"""


def test_a_job_hears_that_it_is_cancelled_and_keeps_its_time(tmp_path: Path) -> None:
    run = ProjectPaths(tmp_path).run("abc123")
    run.root.mkdir(parents=True)
    out = tmp_path / "out"
    with out.open("wb") as said:
        process = subprocess.Popen([sys.executable, "-c", LISTENS, str(run.root)], stdin=subprocess.PIPE, stdout=said)
    try:
        until(lambda: out.read_text().count("SIGUSR1") == 1, "its time to be up")
        write_atomic(run.cancelled, POLITELY)
        until(lambda: out.read_text().count("SIGTERM") == 1, "it to be asked to stop")
        write_atomic(run.cancelled, AT_ONCE)
        until(lambda: out.read_text().count("SIGTERM") > 2, "it to be told so until it is gone")
        assert out.read_text().count("SIGUSR1") == 1
        process.communicate()
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_a_handle_has_a_run_gone_on_with_whose_node_is_gone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.executors._handle._ASK_EVERY", 0.0)
    handle = place.executor.handle("abc123")
    place.job(1, "RUNNING")
    assert not handle.wait(0)
    place.listing.jobs[:] = [Job("kit-abc123-1", "FAILED", DIED)]
    assert not handle.wait(0)
    assert list(place.listing.submitted) == ["kit-abc123-2"]
    place.listing.jobs[:] = [Job("kit-abc123-2", "FAILED")]
    assert handle.wait(0)  # what to make of it is for `recovery`
    handle.cancel()
    handle.cancel()
    handle.detach()
    assert place.paths.run("abc123").cancelled.read_text() == POLITELY
    place.store.lease("abc123", at=INSTANT, holder=this_process())
    place.store.transition("abc123", RunStatus.RUNNING, at=INSTANT, token=1)
    place.store.finish("abc123", Outcome(RunStatus.SUCCEEDED, 0, None), at=INSTANT, metrics={}, params={}, token=1)
    place.store.attach("abc123", tracked=True)
    assert handle.wait()
