"""`kit run --schedule` and `kit run --cron`: one fire in the foreground, and schedules that are in no file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit import _clock
from kit.cli import main, scheduled
from kit.fires import Fire, FireOrigin, FireQuery
from kit.firing import due_instant
from kit.models import RunRecord
from kit.outcomes import ABANDONED
from kit.planning import new_id
from kit.project import open_project
from kit.schedules import Schedules
from kit.states import FireStatus, RunStatus
from kit.stores import RunQuery
from tests.conftest import write
from tests.scheduling import NOON, World
from tests.support import Done, environment, kit, new_project, processes_of, start_kit, until

DAILY = 'trigger: {cron: "0 2 * * *", timezone: Europe/Berlin}\n'
MISTAKE = "overrides: [no_such_key=1]\n"
"""A run that fails while it is planned: quick, where it matters only that there is one."""
FILES = {
    "src/tiny/tasks.py": """
        import threading
        from pathlib import Path

        import kit


        def works(cfg: dict, run: kit.Run) -> dict[str, float]:
            print(f"works at {run.scheduled_at.isoformat()}", flush=True)
            if "until" in cfg:
                while not Path(cfg["until"]).exists():
                    threading.Event().wait(0.05)
            return {"score": 0.5}


        def fails(cfg: dict, run: kit.Run) -> None:
            print("about to fail", flush=True)
            raise SystemExit(7)


        def waits(cfg: dict, run: kit.Run) -> None:
            print("started", flush=True)
            try:
                threading.Event().wait()
            finally:
                print("tidied up", flush=True)
        """,
    "conf/experiment/works.yaml": "# @package _global_\ntask: tiny.tasks.works\n",
    "conf/experiment/fails.yaml": "# @package _global_\ntask: tiny.tasks.fails\n",
    "conf/experiment/waits.yaml": "# @package _global_\ntask: tiny.tasks.waits\n",
    "conf/schedule/nightly.yaml": f"{DAILY}experiment: works\n",
    "conf/schedule/waits.yaml": f"{DAILY}experiment: waits\n",
    "conf/schedule/evicted.yaml": f"{DAILY}experiment: waits\nretry: {{attempts: 2, delay: 0 s}}\n",
    "conf/schedule/mistake.yaml": f"{DAILY}{MISTAKE}retry: {{attempts: 2, delay: 0 s, when: [2]}}\n",
    "conf/schedule/later.yaml": f"{DAILY}{MISTAKE}retry: {{attempts: 2, delay: 1 h, when: [2]}}\n",
    "conf/schedule/fails.yaml": f"{DAILY}experiment: fails\nretry: {{attempts: 2, delay: 0 s}}\n",
    "conf/schedule/broken.yaml": f"{DAILY}overlp: skip\n",
    "conf/schedule/on_data.yaml": "trigger: {data: data/raw}\n",
}
SHIFTED = """
import sys
from datetime import timedelta
from kit import _clock
real, shift = _clock.now, timedelta(seconds=float(sys.argv[1]))
_clock.now = lambda: real() + shift
from kit.cli import main, scheduled
sys.exit(main(sys.argv[2:]))
"""
"""`kit`, by a clock that is ahead: nobody waits for the next minute."""


class Place:
    """A project whose schedules somebody else's clock drives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = environment(folder / "home")
        self.root = new_project(folder / "tiny", FILES)
        self.project = open_project(self.root)

    def fire(self, name: str, *at: str, code: int = 0) -> Done:
        """`kit run --schedule NAME [--at INSTANT] [--json]`."""
        options = ("--at", *at) if at and at[0] != "--json" else at
        return kit(self.root, "run", "--schedule", name, *options, env=self.env, code=code)

    def start(self, name: str, *more: str) -> subprocess.Popen[str]:
        return start_kit(self.root, "run", "--schedule", name, *more, env=self.env)

    def fires(self, name: str) -> list[Fire]:
        return self.project.store.fires.fires(FireQuery(schedule=name))

    def runs(self, name: str) -> list[RunRecord]:
        return self.project.store.runs(RunQuery(parent=name, descending=False))

    def is_running(self, name: str) -> RunRecord | None:
        """Its run, once its task prints something."""
        for run in self.runs(name):
            path = self.project.paths.run(run.run_id).log
            if run.status is RunStatus.RUNNING and path.exists() and path.read_text():
                return run
        return None

    def over(self, name: str, at: datetime, status: RunStatus, **how: Any) -> Fire:
        """A fire that was over long ago."""
        world = World(Schedules(self.project).find(name), store=self.project.store, max_runs=99, new_id=new_id)
        world.now = at
        world.request(name, (at - NOON) / timedelta(minutes=1))
        world.turn(due=[])
        world.end(name, status, at=(at - NOON) / timedelta(minutes=1), **how)
        world.turn(due=[])
        return world.fire(name, at)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("foreground"))
    yield made
    for process in processes_of(made.root):
        process.kill()


@pytest.fixture
def typed(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`kit` in this process: for what starts nothing."""
    monkeypatch.chdir(place.root)

    def run(*arguments: str) -> Done:
        code = main(list(arguments))
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    return run


# Once


def test_an_instant_runs_once_however_many_ask_for_it(place: Place) -> None:
    at = datetime(2026, 3, 1, 1, tzinfo=UTC)
    others = [place.start("nightly", "--at", "2026-03-01T02:00") for _ in range(2)]
    others += [place.start("nightly", "--at", "2026-03-01T01:00Z", "--json") for _ in range(2)]
    ended = [(*other.communicate(timeout=300), other.returncode) for other in others]
    assert [code for _, _, code in ended] == [0] * 4, ended
    (run,) = place.runs("nightly")
    assert run.status is RunStatus.SUCCEEDED
    for out, err, _ in ended[:2]:
        assert "  succeeded" in out
        assert run.run_id in out + err
        assert "Traceback" not in err
    for out, _, _ in ended[2:]:
        assert json.loads(out) == {
            "schedule": "nightly", "scheduled_at": at.isoformat(), "status": "succeeded", "reason": None,
            "attempt": 1, "run_id": run.run_id, "exit_code": 0,
        }  # fmt: skip
    # What its task printed was shown by all who were there in time, whoever started it.
    shown = [out + err for out, err, _ in ended]
    assert any(f"works at {at.isoformat()}" in text for text in shown)


def test_one_that_is_over_is_not_run_again_and_has_its_say(place: Place, typed: Callable[..., Done]) -> None:
    at = datetime(2026, 3, 2, 1, tzinfo=UTC)
    good = place.over("nightly", at, RunStatus.SUCCEEDED)
    bad = place.over("on_data", at, RunStatus.FAILED, exit_code=7, reason="SystemExit: 7")
    number = len(place.project.store.runs(RunQuery()))
    again = typed("run", "--schedule", "nightly", "--at", "2026-03-02T02:00")
    assert again.code == 0
    assert again.err.endswith(" is over already\n")
    assert f"succeeded\nnext: kit show {good.run_id}  or  kit schedule history nightly\n" in again.out
    again = typed("run", "--schedule", "on_data", "--at", at.isoformat())
    assert again.code == 7
    assert "  SystemExit: 7\n" in again.out
    again = typed("run", "--schedule", "on_data", "--at", at.isoformat(), "--json")
    assert (again.code, again.json()["exit_code"], again.json()["run_id"]) == (7, 7, bad.run_id)
    assert len(place.project.store.runs(RunQuery())) == number


@pytest.mark.parametrize(
    ("status", "how", "code"),
    [
        (RunStatus.TIMED_OUT, {"exit_code": 124}, 124),
        (RunStatus.CANCELLED, {"exit_code": 130}, 130),
        (RunStatus.CANCELLED, {}, 130),
        (RunStatus.LOST, {}, 1),
        (RunStatus.FAILED, {"exit_code": 3}, 3),
    ],
)
def test_it_leaves_with_the_runs_code(
    place: Place, typed: Callable[..., Done], status: RunStatus, how: dict[str, Any], code: int
) -> None:
    day = {124: 3, 130: 4 + len(how), 1: 6, 3: 7}[code]
    at = datetime(2026, 3, day, 1, tzinfo=UTC)
    place.over("nightly", at, status, reason="it broke", **how)
    assert typed("run", "--schedule", "nightly", "--at", at.isoformat()).code == code


def test_one_that_a_newer_one_replaced_or_that_was_skipped_meanwhile(place: Place, typed: Callable[..., Done]) -> None:
    at = datetime(2026, 3, 9, 1, tzinfo=UTC)
    place.over("nightly", at, RunStatus.CANCELLED, reason="replaced by the fire of 2026-03-10")
    done = typed("run", "--schedule", "nightly", "--at", at.isoformat())
    assert (done.code, "  replaced by the fire of 2026-03-10\n" in done.out) == (130, True)
    skipped = Fire("nightly", at, FireStatus.SKIPPED, FireOrigin.CLOCK, at, at, reason="it was busy")
    assert scheduled._exit_code(skipped, None) == 0, "a schedule's policy is no failure of who asks"


def test_an_instant_in_the_hour_that_spring_leaves_out_is_the_one_after_it(
    place: Place, typed: Callable[..., Done]
) -> None:
    place.over("nightly", datetime(2026, 3, 29, 1, tzinfo=UTC), RunStatus.SUCCEEDED)
    done = typed("run", "--schedule", "nightly", "--at", "2026-03-29T02:30", "--json")
    assert done.json()["scheduled_at"] == "2026-03-29T01:00:00+00:00"


def test_due_is_the_last_instant(place: Place, typed: Callable[..., Done]) -> None:
    last = due_instant(Schedules(place.project).find("nightly"), _clock.now())
    place.over("nightly", last, RunStatus.SUCCEEDED)
    done = typed("run", "--schedule", "nightly", "--at", "due", "--json")
    assert done.json()["scheduled_at"] == last.isoformat()


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--schedule", "nigthly"], ["no schedule 'nigthly'", "Did you mean 'nightly'?"]),
        (["--schedule", "no such thing"], ["no schedule 'no such thing'", "broken, evicted, fails, later"]),
        (["--schedule", "broken"], ["unknown key 'overlp'", "conf/schedule/broken.yaml", "'overlap'"]),
        (["--schedule", "nightly", "--at", "tomorrow"], ["'tomorrow' is not an instant", "2026-12-01"]),
        (["--schedule", "nightly", "--at", "2199-01-01"], ["is yet to come", "nightly"]),
        (["--schedule", "on_data", "--at", "due"], ["never due by the clock", "--at due"]),
        (["--at", "due"], ["--at goes with --schedule"]),
        (["--tz", "UTC"], ["--tz goes with --cron"]),
        (["--schedule", "nightly", "--tz", "UTC"], ["--tz goes with --cron"]),
        (["--schedule", "nightly", "--cron", "0 2 * * *"], ["--schedule and --cron exclude each other"]),
        (["--schedule", "nightly", "-m"], ["--schedule and -m exclude each other"]),
        (["--schedule", "nightly", "--dry-run"], ["--schedule and --dry-run exclude each other"]),
        (["--schedule", "nightly", "steps=4"], ["--schedule does not take overrides", "the schedule's file"]),
        (["--schedule", "nightly", "--timeout", "5"], ["--schedule does not take --timeout"]),
        (["--schedule", "nightly", "--jobs", "2"], ["--jobs is for the trials of a sweep"]),
        (["--schedule", "nightly", "--tag", "a=b"], ["--schedule does not take --tag"]),
        (["--cron", "61 * * * *"], ["'61' is no minute", "0 2 * * *"]),
        (["--cron", "0 2 * *"], ["five fields"]),
        (["--cron", "0 0 30 2 *"], ["0 0 30 2 *"]),
        (["--cron", "0 2 * * *", "--tz", "Europe/Berln"], ["no time zone 'Europe/Berln'", "'Europe/Berlin'"]),
        (["--cron", "0 2 * * *", "stps=4"], ["stps", "'steps'"]),
        (["--cron", "0 2 * * *", "experiment=basline"], ["basline", "baseline"]),
        (["--cron", "0 2 * * *", "seed=-1"], ["seed"]),
        (["--cron", "0 2 * * *", "+timeout=never"], ["timeout"]),
        (["--cron", "0 2 * * *", "--json"], ["--cron does not take --json"]),
        (["--cron", "0 2 * * *", "--name", "x"], ["--cron does not take --name"]),
        (["--cron", "0 2 * * *", "-j", "2"], ["--jobs is for the trials of a sweep"]),
        (["--cron", "0 2 * * *", "-m"], ["--cron and -m exclude each other"]),
    ],
)
def test_a_mistake_is_one_line_with_what_to_do_and_nothing_begins(
    place: Place, typed: Callable[..., Done], arguments: list[str], words: list[str]
) -> None:
    before = place.project.store.fires.fires(FireQuery()), place.project.store.fires.schedulers()
    done = typed("run", *arguments)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert [word for word in words if word not in line] == [], line
    assert (place.project.store.fires.fires(FireQuery()), place.project.store.fires.schedulers()) == before


# Again


@pytest.mark.slow
def test_it_is_tried_again_and_leaves_with_the_last_ones_code(place: Place) -> None:
    done = place.fire("mistake", code=2)
    (fire,) = place.fires("mistake")
    assert (fire.status, fire.attempt, fire.origin) == (FireStatus.FAILED, 2, FireOrigin.REQUEST)
    assert [run.exit_code for run in place.runs("mistake")] == [2, 2]
    assert "  failed, 2 attempts\n  no such key 'no_such_key'" in done.out
    assert f"next: kit show {fire.run_id}" in done.out
    assert done.out.count("Did you mean") <= 2


@pytest.mark.slow
def test_what_each_attempt_prints_is_shown(place: Place) -> None:
    done = place.fire("fails", code=7)
    assert done.out.count("about to fail\n") == 2
    assert "  failed, 2 attempts\n  SystemExit: 7\n" in done.out


# Stopped


def test_stopped_while_it_runs_the_run_is_cancelled_politely(place: Place) -> None:
    client = place.start("waits", "--json")
    run = until(lambda: place.is_running("waits"), "the task to be called")
    assert run is not None
    client.send_signal(signal.SIGINT)
    out, err = client.communicate(timeout=100)
    assert client.returncode == 130
    assert json.loads(out)["status"] == "cancelled"
    assert "tidied up" in err
    assert "once more to kill it" in err
    (fire,) = place.fires("waits")
    assert (fire.status, fire.reason, fire.run_id) == (FireStatus.CANCELLED, "cancelled on request", run.run_id)
    assert place.project.store.get(run.run_id).status is RunStatus.CANCELLED


def test_whose_machine_wants_its_place_back_is_tried_again_by_whoever_comes_next(place: Place) -> None:
    """Eviction, a deployment, a shutdown: all of them say SIGTERM, and start it again."""
    client = place.start("evicted")
    run = until(lambda: place.is_running("evicted"), "the task to be called")
    assert run is not None
    client.send_signal(signal.SIGTERM)
    out, err = client.communicate(timeout=100)
    assert client.returncode == 143
    assert "tidied up" in out
    assert "the fire goes on when it is run again" in err
    first = place.project.store.get(run.run_id)
    assert (first.status, first.reason) == (RunStatus.FAILED, ABANDONED)
    (fire,) = place.fires("evicted")
    assert (fire.status, fire.attempt) == (FireStatus.RETRYING, 2)
    again = place.start("evicted", "--at", fire.scheduled_at.isoformat())
    second = until(lambda: place.is_running("evicted"), "the task to be called once more")
    assert second is not None
    assert second.run_id != run.run_id
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=100)
    (fire,) = place.fires("evicted")
    assert (fire.status, fire.attempt, fire.run_id) == (FireStatus.CANCELLED, 2, second.run_id)


def test_stopped_while_it_waits_to_try_again_the_fire_is_cancelled(place: Place) -> None:
    before = len(place.fires("later"))
    client = place.start("later")
    fire = until(lambda: _retrying(place.fires("later")), "the first attempt to fail")
    assert fire is not None
    assert client.stderr is not None
    line = client.stderr.readline()
    while " to try again" not in line:
        line = client.stderr.readline()
    assert f"waits until {fire.due_at.astimezone():%Y-%m-%d %H:%M}" in line
    client.send_signal(signal.SIGINT)
    out, _ = client.communicate(timeout=100)
    assert client.returncode == 130
    assert "  cancelled, 2 attempts\n" in out
    found = place.fires("later")
    assert len(found) == before + 1
    assert {one.status for one in found} == {FireStatus.CANCELLED}
    assert place.project.store.get(found[0].run_id or "").status is RunStatus.CANCELLED
    assert not place.project.store.fires.active()


def _retrying(fires: list[Fire]) -> Fire | None:
    return next((fire for fire in fires if fire.status is FireStatus.RETRYING), None)


# By the clock, without a file


def start_cron(place: Place, *overrides: str, seconds: float) -> subprocess.Popen[str]:
    """`kit run --cron`, so many seconds before the minute is full."""
    now = _clock.now()
    shift = (60 - seconds - now.second - now.microsecond / 1e6) % 60
    command = [sys.executable, "-c", SHIFTED, str(shift), "run", "--cron", "* * * * *", *overrides]
    return subprocess.Popen(
        command, cwd=place.root, env=place.env | {"PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def read_until(stream: Any, words: str) -> str:
    while words not in (line := stream.readline()):
        assert line, f"it left without saying {words!r}"
    return str(line)


@pytest.mark.slow
def test_it_fires_and_when_it_is_stopped_its_runs_end_politely_and_nothing_waits(place: Place) -> None:
    client = start_cron(place, "experiment=waits", seconds=5)
    first = read_until(client.stdout, "runs at * * * * * UTC; next ")
    assert "Ctrl-C stops it" in first
    run_id = read_until(client.stdout, "started: run ").split()[-1]
    log = place.project.paths.run(run_id).log
    until(lambda: log.exists() and "started" in log.read_text(), "the task to be called")
    client.send_signal(signal.SIGINT)
    out, err = client.communicate(timeout=100)
    assert (client.returncode, err) == (0, "")
    assert "stopping what runs" in out
    assert out.splitlines()[-1].endswith("  cancelled: cancelled on request")
    assert "tidied up" in log.read_text()
    run = place.project.store.get(run_id)
    assert run.status is RunStatus.CANCELLED
    assert run.origin.parent is not None
    assert run.origin.parent.startswith("cli:")
    assert run.origin.scheduled_at is not None
    assert run.origin.scheduled_at.second == 0
    assert not place.project.store.fires.active()
    until(lambda: processes_of(place.root) == [], "everything to be gone")


def test_what_was_not_due_while_it_ran_is_not_missed_when_it_is_started_again(place: Place) -> None:
    for _ in range(2):
        client = start_cron(place, "steps=9", seconds=40)
        read_until(client.stdout, "runs at ")
        client.send_signal(signal.SIGTERM)
        out, _ = client.communicate(timeout=100)
        assert client.returncode == 0
        assert out == ""
    names = [name for name in place.project.store.fires.states() if name.startswith("cli:")]
    assert [gap for name in names for gap in place.project.store.fires.gaps(name)] == []
    scopes = {record.scope: record.stopped_at for record in place.project.store.fires.schedulers()}
    assert all(scopes.values())


# Minutes


@pytest.mark.slow
def test_it_waits_for_its_turn_and_each_is_run_by_who_asked_for_it(place: Place) -> None:
    go = place.folder / "go_queue"
    write(place.root, {"conf/schedule/queue.yaml": f"{DAILY}experiment: works\noverrides: [+until={go}]\n"})
    first = place.start("queue", "--at", "2026-03-01T02:00")
    until(lambda: place.is_running("queue"), "the first to run")
    second = place.start("queue", "--at", "2026-03-02T02:00")
    given_up = place.start("queue", "--at", "2026-03-03T02:00")
    for waiting in (second, given_up):
        assert " waits for its turn" in read_until(waiting.stderr, "note: ")
    given_up.send_signal(signal.SIGINT)
    out, err = given_up.communicate(timeout=100)
    assert (given_up.returncode, "  cancelled\n" in out) == (130, True), (out, err)
    go.touch()
    ended = [(*client.communicate(timeout=200), client.returncode) for client in (first, second)]
    assert [code for _, _, code in ended] == [0, 0], ended
    for out, day in ((ended[0][0], 1), (ended[1][0], 2)):
        assert f"works at 2026-03-0{day}T01:00:00+00:00" in out
    assert "under way already" not in ended[1][1], "it is its own"
    (one, other) = [run for run in place.runs("queue") if run.status is RunStatus.SUCCEEDED]
    assert one.ended_at is not None
    assert other.started_at is not None
    assert one.ended_at <= other.started_at


@pytest.mark.slow
def test_a_scheduler_at_the_same_time_makes_no_difference(place: Place) -> None:
    scheduler = start_kit(place.root, "scheduler", env=place.env)
    try:
        clients = [place.start("nightly", "--at", f"2026-02-0{day}T02:00") for day in (1, 1, 2)]
        ended = [(*client.communicate(timeout=300), client.returncode) for client in clients]
        assert [code for _, _, code in ended] == [0, 0, 0], ended
        runs = [run for run in place.runs("nightly") if run.origin.scheduled_at.month < 3]  # type: ignore[union-attr]
        assert len(runs) == 2
        assert {run.status for run in runs} == {RunStatus.SUCCEEDED}
    finally:
        scheduler.terminate()
        scheduler.communicate()
    assert scheduler.returncode == 0


@pytest.mark.slow
def test_what_is_killed_with_its_clock_is_settled_by_the_next_scheduler(place: Place) -> None:
    client = start_cron(place, "experiment=waits", seconds=5)
    run_id = read_until(client.stdout, "started: run ").split()[-1]
    until(lambda: place.project.store.get(run_id).status is RunStatus.RUNNING, "the task to be called")
    client.kill()
    client.communicate()
    until(lambda: place.project.store.get(run_id).status.is_terminal, "the run to end with who showed it")
    assert len(place.project.store.fires.active()) == 1
    kit(place.root, "scheduler", "--once", env=place.env)
    assert place.project.store.fires.active() == []
