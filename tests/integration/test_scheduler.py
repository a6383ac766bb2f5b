"""`kit scheduler`: the real process, on a real project; files change meanwhile, and it is stopped and killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

from kit import _clock, firing
from kit.alerting import OutboxEntry
from kit.fires import Fire, FireQuery, ScheduleState
from kit.models import RunRecord
from kit.project import open_project
from kit.schedules import Schedules
from kit.states import FireStatus, RunStatus
from kit.stores import RunQuery
from kit.triggers import Once
from tests.conftest import write
from tests.support import KIT, environment, kit, new_project, processes_of, until

FILES = {
    "src/tiny/tasks.py": """
        import os
        import threading
        from pathlib import Path

        import kit


        def tells(cfg: dict, run: kit.Run) -> dict[str, float]:
            for name in ("KIT_SCHEDULE", "KIT_SCHEDULED_AT", "KIT_ATTEMPT"):
                print(f"{name}={os.environ.get(name)}")
            print(f"run.scheduled_at={run.scheduled_at.isoformat()}")
            return {"score": 0.5}


        def waits(cfg: dict, run: kit.Run) -> None:
            print("started", flush=True)
            while not Path(cfg["until"]).exists():
                threading.Event().wait(0.05)
        """,
    "conf/experiment/tells.yaml": "# @package _global_\ntask: tiny.tasks.tells\n",
    "conf/experiment/waits.yaml": "# @package _global_\ntask: tiny.tasks.waits\n",
    ".dvc/config": "",
}
MISTAKE = "overrides: [no_such_key=1]\n"
"""A run that fails while it is planned: quick, where it matters only that there is one."""


class Production:
    """A project, and the scheduler that runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = environment(folder / "home", PYTHONUNBUFFERED="1")
        self.root = new_project(folder / "tiny", FILES)
        self.project = open_project(self.root)
        self.scheduler: subprocess.Popen[bytes] | None = None
        self._output = folder / "scheduler.out"

    def start(self) -> None:
        self.end()
        before = len(self.said())
        with self._output.open("ab") as output:
            self.scheduler = subprocess.Popen(
                [str(KIT), "scheduler"], cwd=self.root, env=self.env, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        until(lambda: "started; Ctrl-C stops it" in self.said()[before:], "the scheduler to be there")

    def stop(self, number: signal.Signals) -> int:
        assert self.scheduler is not None
        self.scheduler.send_signal(number)
        return self.scheduler.wait(60)

    def end(self) -> None:
        if self.scheduler is not None:
            self.scheduler.kill()
            self.scheduler.wait()

    def said(self) -> str:
        return self._output.read_text() if self._output.exists() else ""

    def hears(self, text: str) -> None:
        until(lambda: text in self.said(), f"the scheduler to say {text!r}")

    def schedule(self, name: str, text: str) -> None:
        """Write a schedule as an editor does: never half of it."""
        write(self.folder, {"edited": text})
        (self.root / "conf/schedule").mkdir(exist_ok=True)
        (self.folder / "edited").rename(self.root / f"conf/schedule/{name}.yaml")

    def soon(self, name: str, text: str, *, seconds: float = 2.0) -> datetime:
        """Write a schedule that is due once, in a moment; later if the scheduler was too busy to see it by then."""
        at = (_clock.now() + timedelta(seconds=seconds)).replace(microsecond=0) + timedelta(seconds=1)
        self.schedule(name, f'trigger: {{once: "{at.isoformat()}"}}\n{text}')

        def seen() -> ScheduleState | None:
            state = self.project.store.fires.states().get(name)
            return state if state is not None and state.trigger == Once(at) else None

        state = until(seen, f"{name} to be seen")
        is_in_time = state is not None and state.cursor < at
        return at if is_in_time else self.soon(name, text, seconds=2 * seconds)

    def fires(self, name: str) -> list[Fire]:
        return self.project.store.fires.fires(FireQuery(schedule=name))

    def ends(self, name: str, at: datetime) -> Fire:
        """The fire, as soon as it is over."""

        return self._fire(name, at, lambda fire: fire.status.is_terminal)

    def begins(self, name: str, at: datetime) -> Fire:
        """The fire, as soon as its run is under way."""
        return self._fire(name, at, lambda fire: fire.status is FireStatus.RUNNING)

    def _fire(self, name: str, at: datetime, fits: Callable[[Fire], bool]) -> Fire:
        def found() -> Fire | None:
            fire = self.project.store.fires.fire((name, at))
            return fire if fire is not None and fits(fire) else None

        fire = until(found, f"{name}: {self.said()}")
        assert fire is not None
        return fire

    def run(self, fire: Fire) -> RunRecord:
        return self.project.store.get(fire.run_id or "")

    def log(self, run_id: str | None) -> str:
        path = self.project.paths.run(run_id or "").log
        return path.read_text() if path.exists() else ""

    def alerts(self, kind: str) -> list[OutboxEntry]:
        return [entry for entry in self.project.store.fires.messages() if entry.kind == kind]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    made = Production(tmp_path_factory.mktemp("scheduler"))
    try:
        made.start()
        yield made
    finally:
        made.end()
        for process in processes_of(made.root):
            process.kill()


@pytest.fixture
def running(production: Production) -> Production:
    """With its scheduler, whatever the last test did with it."""
    if production.scheduler is None or production.scheduler.poll() is not None:
        production.start()
    return production


def test_a_schedule_that_is_added_runs_at_its_time_and_the_next_after_it(running: Production) -> None:
    running.schedule("report", f"trigger: {{after: nightly}}\n{MISTAKE}")
    at = running.soon("nightly", "experiment: tells\n")
    fire = running.ends("nightly", at)
    assert (fire.status, fire.attempt, fire.reason) == (FireStatus.SUCCEEDED, 1, None)
    run = running.run(fire)
    assert (run.status, run.name, run.experiment, run.metrics) == (
        RunStatus.SUCCEEDED, "nightly", "tells", {"score": 0.5},
    )  # fmt: skip
    assert (run.origin.kind, run.origin.scheduled_at) == ("schedule", at)
    told = running.log(fire.run_id)
    for line in ("KIT_SCHEDULE=nightly", f"KIT_SCHEDULED_AT={at.isoformat()}", "KIT_ATTEMPT=1"):
        assert line in told
    assert f"run.scheduled_at={at.isoformat()}" in told
    assert running.ends("report", at).status is FireStatus.FAILED
    lines = running.said().splitlines()
    (started,) = [line for line in lines if line.endswith(f"started: run {fire.run_id}")]
    assert started.split("  ")[1] == "nightly"
    assert any(line.endswith("  succeeded") and "  nightly  " in line for line in lines)
    assert all(line[10] == " " and line[19:22] == "Z  " for line in lines), lines


def test_a_failure_is_tried_again_later_and_then_people_are_told(running: Production) -> None:
    alerts = running.folder / "alerts.txt"
    at = running.soon(
        "fails", f"{MISTAKE}retry: {{attempts: 2, delay: 1 s, jitter: 0, when: [2]}}\nalert: file://{alerts}\n"
    )
    fire = running.ends("fails", at)
    assert (fire.status, fire.attempt) == (FireStatus.FAILED, 2)
    first, last = sorted(
        (run for run in running.project.store.runs(RunQuery(parent="fails")) if run.origin.scheduled_at == at),
        key=lambda run: run.origin.index or 0,
    )
    assert (first.exit_code, last.exit_code, last.run_id) == (2, 2, fire.run_id)
    assert "no_such_key" in str(fire.reason)
    assert first.ended_at is not None
    assert last.started_at is None, "its task was never called"
    said = running.said()
    assert f"failed; attempt 2 at {(first.ended_at + timedelta(seconds=1)).astimezone():%Y-%m-%d %H:%M:%S}" in said
    assert f"  failed: {fire.reason}" in said
    until(alerts.exists, "the alert")
    until(lambda: "[tiny] fails failed" in alerts.read_text(), "the alert")
    (entry,) = running.alerts("failure")
    until(lambda: running.alerts("failure")[0].sent_at, "the alert to be noted as sent")
    assert f"kit logs {fire.run_id}" in entry.body


def test_one_is_enough(running: Production) -> None:
    assert running.scheduler is not None
    before = running.said()
    second = kit(running.root, "scheduler", env=running.env, code=3)
    assert second.out == ""
    (line,) = second.err.splitlines()
    assert f"(pid {running.scheduler.pid}, since " in line
    assert "kit status" in line
    once = kit(running.root, "scheduler", "--once", env=running.env)
    assert (once.out, once.err) == ("", "note: a scheduler is running; it does what is due\n")
    assert running.said() == before


def test_a_broken_file_is_told_of_once_and_hurts_no_other(running: Production) -> None:
    running.schedule("mistyped", "trigger: {interval: 1 d}\noverlp: skip\n")
    said = "mistyped  does not work: unknown key 'overlp' (conf/schedule/mistyped.yaml). Did you mean 'overlap'?"
    running.hears(said)
    running.schedule("untracked", "trigger: {data: nowhere, every: 1 s}\n")
    running.hears("untracked  does not work: ")
    at = running.soon("mistyped", MISTAKE)
    running.ends("mistyped", at)
    assert running.said().count(said) == 1
    assert running.said().count("untracked  does not work: ") == 1


@pytest.mark.slow
def test_a_schedule_is_paused_and_goes_on_while_the_scheduler_runs(running: Production) -> None:
    store = running.project.store.fires
    text = f"trigger: {{interval: 1 s}}\n{MISTAKE}"
    write(running.folder / "elsewhere", {"conf/schedule/busy.yaml": text, "pyproject.toml": "[tool.kit]\n"})
    schedule = Schedules(open_project(running.folder / "elsewhere")).find("busy")
    firing.pause(running.project, schedule, _clock.now(), why="not yet")
    running.schedule("busy", text)
    until(lambda: len(store.gaps("busy")) >= 2, "instants to be passed over")
    assert running.fires("busy") == []
    assert {gap.reason for gap in store.gaps("busy")} == {"paused: not yet"}
    running.hears("skipped: 1 from ")
    firing.resume(running.project, schedule, _clock.now())
    resumed = store.states()["busy"].cursor
    until(lambda: running.fires("busy"), "the schedule to go on")
    assert min(fire.scheduled_at for fire in running.fires("busy")) > store.gaps("busy")[0].last
    assert store.gaps("busy")[0].last <= resumed
    (running.root / "conf/schedule/busy.yaml").unlink()
    until(lambda: all(fire.status.is_terminal for fire in running.fires("busy")), "it to end with its file")
    number = len(running.fires("busy"))
    at = running.soon("later", MISTAKE)
    running.ends("later", at)
    assert len(running.fires("busy")) == number, "what is removed is due no more"


def test_runs_outlive_the_scheduler_and_the_next_one_adopts_them(running: Production) -> None:
    go = running.folder / "go"
    at = running.soon("long", f"experiment: waits\noverrides: [+until={go}]\nalert: file://{running.folder}/gone.txt\n")
    fire = running.begins("long", at)
    until(lambda: "started" in running.log(fire.run_id), "the task to be called")
    assert running.stop(signal.SIGTERM) == 0
    assert running.said().splitlines()[-1].endswith("  scheduler stopped")
    assert running.alerts("scheduler") == [], "it said goodbye"
    supervisor = running.run(fire).supervisor
    assert supervisor is not None
    assert psutil.pid_exists(supervisor.pid)

    running.start()
    assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    running.start()
    (entry,) = running.alerts("scheduler")
    assert "is gone; it was last heard of" in entry.body
    until((running.folder / "gone.txt").exists, "people to be told")

    assert running.run(fire).status is RunStatus.RUNNING
    go.touch()
    assert running.ends("long", at).status is FireStatus.SUCCEEDED
    assert running.said().count(f"started: run {fire.run_id}") == 1
    assert running.stop(signal.SIGINT) == 0
    running.start()
    assert len(running.alerts("scheduler")) == 1
    assert [record.reason for record in running.project.store.fires.schedulers()].count(
        "it stopped without a word"
    ) == 1


def test_one_turn_does_what_is_due_and_leaves(production: Production) -> None:
    production.end()
    production.schedule("turned", f"trigger: {{interval: 1 s}}\n{MISTAKE}")
    first = kit(production.root, "scheduler", "--once", env=production.env)
    assert "turned" not in first.out, "what was due before anybody looked is nobody's"
    state = production.project.store.fires.states()["turned"]
    until(lambda: _clock.now() > state.cursor + timedelta(seconds=1), "the next instant")
    turn = kit(production.root, "scheduler", "--once", env=production.env)
    (fire,) = production.fires("turned")
    assert f"started: run {fire.run_id}" in turn.out
    until(lambda: production.run(fire).status.is_terminal, "the run to end without a scheduler")
    (production.root / "conf/schedule/turned.yaml").unlink()
    turn = kit(production.root, "scheduler", "--once", env=production.env)
    assert "  failed: " in turn.out
    assert not production.project.store.fires.active()


# Minutes


def times(run: RunRecord) -> tuple[datetime, datetime]:
    assert run.started_at is not None
    assert run.ended_at is not None
    return run.started_at, run.ended_at


@pytest.mark.slow
def test_two_that_share_a_slot_run_in_turn(running: Production) -> None:
    text = "experiment: tells\nslots: gpu\n"
    first = running.soon("gpu_a", text, seconds=4)
    second = running.soon("gpu_b", text)
    fires = [running.ends("gpu_a", first), running.ends("gpu_b", second)]
    assert [fire.status for fire in fires] == [FireStatus.SUCCEEDED] * 2
    (_, end), (start, _) = sorted(times(running.run(fire)) for fire in fires)
    assert end <= start


@pytest.mark.slow
def test_an_instant_that_comes_while_its_schedule_is_busy_is_skipped_and_said_to_be(running: Production) -> None:
    go = running.folder / "go_busy"
    running.schedule("often", f"trigger: {{interval: 2 s}}\nexperiment: waits\noverrides: [+until={go}]\n")
    skipped = until(
        lambda: [fire for fire in running.fires("often") if fire.status is FireStatus.SKIPPED], "the second instant"
    )
    (first,) = [fire for fire in running.fires("often") if fire.status is FireStatus.RUNNING]
    reason = f"the fire of {first.scheduled_at:%Y-%m-%d %H:%M:%S} UTC was not over (overlap: skip)"
    assert {fire.reason for fire in skipped} == {reason}
    running.hears(f"skipped: {reason}")
    (running.root / "conf/schedule/often.yaml").unlink()
    go.touch()
    assert running.ends("often", first.scheduled_at).status is FireStatus.SUCCEEDED


@pytest.mark.slow
def test_a_newer_one_replaces_what_runs(running: Production) -> None:
    text = f"experiment: waits\noverrides: [+until={running.folder}/go_replaced]\noverlap: replace\n"
    first = running.soon("fresh", text)
    begun = running.begins("fresh", first)
    until(lambda: "started" in running.log(begun.run_id), "the task to be called")
    second = running.soon("fresh", text)
    fire = running.ends("fresh", first)
    assert fire.status is FireStatus.CANCELLED
    assert fire.reason == f"replaced by the fire of {second:%Y-%m-%d %H:%M:%S} UTC"
    assert running.run(fire).status is RunStatus.CANCELLED
    newer = running.begins("fresh", second)
    until(lambda: "started" in running.log(newer.run_id), "the task to be called")
    (running.folder / "go_replaced").touch()
    assert running.ends("fresh", second).status is FireStatus.SUCCEEDED


@pytest.mark.slow
def test_a_new_version_of_the_data_makes_it_run(running: Production) -> None:
    def add(text: str) -> None:
        write(running.root, {"data/raw.csv": text})
        dvc = [sys.executable, "-m", "dvc", "add", "--quiet", "data/raw.csv"]
        subprocess.run(dvc, cwd=running.root, env=running.env, check=True)

    add("one\n")
    running.schedule("on_data", "trigger: {data: data/raw.csv, every: 1 s}\nexperiment: tells\n")
    (first,) = until(lambda: running.fires("on_data"), "the first look")
    assert first.status is FireStatus.SKIPPED
    add("two\n")
    until(lambda: len(running.fires("on_data")) > 1, "the new version")
    fire = running.ends("on_data", running.fires("on_data")[0].scheduled_at)
    assert fire.status is FireStatus.SUCCEEDED
    spec = running.project.store.spec(fire.run_id or "")
    assert spec is not None
    assert [version.md5 for version in spec.snapshot.data] == [fire.cause]
    add("one\n")
    add("two\n")
    at = running.soon("afterwards", MISTAKE, seconds=4)
    running.ends("afterwards", at)
    assert len(running.fires("on_data")) == 2, "a version that was there before is not new"
