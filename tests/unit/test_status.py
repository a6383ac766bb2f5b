"""Is production well? Each thing by itself, and what they come to together."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kit import serving
from kit._process import ProcessId, identify, this_process
from kit.alerting import OutboxEntry
from kit.fires import SchedulerRecord
from kit.policies import CatchUp, CatchUpMode
from kit.project import Project, open_project
from kit.schedules import Schedules
from kit.states import RunStatus
from kit.status import Check, State, Status, check
from kit.status._around import check_space
from kit.status._check import amount
from kit.stores.sql import SqlStore
from tests.conftest import write
from tests.factories import record, spec
from tests.scheduling import NOON, World, minute
from tests.support import closed_port

OK, WARNING, BAD = State.OK, State.WARNING, State.BAD
HOURLY = 'trigger: {cron: "0 * * * *"}\n'


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: that takes longer than most of what is tested here."""
    folder = tmp_path_factory.mktemp("store")
    SqlStore(folder / "store.db", lock=folder / "lock").close()
    return folder / "store.db"


@pytest.fixture
def opened(tmp_path: Path, empty_store: Path) -> Project:
    """A project; status needs no git."""
    root = tmp_path / "tiny"
    write(root, {"pyproject.toml": '[tool.kit]\npackage = "tiny"\n'})
    made = open_project(root)
    made.paths.create_state()
    shutil.copy(empty_store, made.paths.store)
    return made


@pytest.fixture
def sleeper() -> Iterator[ProcessId]:
    """A process that is there for as long as the test."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        named = identify(process.pid)
        assert named is not None
        yield named


def declare(opened: Project, **texts: str) -> World:
    """Write schedules; gives the world in which they run."""
    write(opened.root, {f"conf/schedule/{name}.yaml": text for name, text in texts.items()})
    return World(*Schedules(opened).load().schedules.values(), store=opened.store)


def at(opened: Project, number: float = 0) -> Status:
    return check(opened, minute(number))


def named(status: Status, name: str) -> list[Check]:
    return [one for one in status.checks if one.name == name]


def only(status: Status, name: str) -> Check:
    (one,) = named(status, name)
    return one


def beat(opened: Project, minutes: float, **changes: Any) -> SchedulerRecord:
    """A scheduler of this process, last heard of so many minutes after noon."""
    made = SchedulerRecord("s1", "", "box", this_process(), NOON - timedelta(days=2), minute(minutes))
    made = replace(made, **changes)
    opened.store.fires.beat(made)
    return made


def test_a_fresh_project_is_well(opened: Project) -> None:
    status = at(opened)
    assert status.is_well
    assert {one.state for one in status.checks} == {OK}
    assert [one.name for one in status.checks] == [
        "scheduler", "schedules", "runs", "queue", "spool", "alerts", "store", "disk", "mlflow", "dvc",
    ]  # fmt: skip
    assert only(status, "scheduler").what == "none is running, and none ever was"
    assert only(status, "schedules").what == "there are none"
    assert (status.schedules, status.runs) == ((), {})


# The scheduler


def test_schedules_need_a_scheduler(opened: Project) -> None:
    declare(opened, a=HOURLY)
    status = at(opened)
    found = only(status, "scheduler")
    assert not status.is_well
    assert (found.state, found.values) == (BAD, {"running": 0})
    assert found.fix is not None
    assert "`kit scheduler`" in found.fix


def test_those_that_are_paused_disabled_or_broken_need_none(opened: Project) -> None:
    world = declare(opened, a=HOURLY, b=HOURLY + "enabled: false\n", c="trigger: {crom: x}\n")
    world.turn(-10)
    world.now = minute(-5)
    world.pause("a")
    assert only(at(opened), "scheduler").state is OK


def test_a_fire_that_waits_needs_one(opened: Project) -> None:
    world = declare(opened, a=HOURLY + "enabled: false\n")
    world.now = minute(-5)
    world.request("a", -5)
    assert only(at(opened), "scheduler").state is BAD


def test_a_scheduler_that_is_heard_of_is_well(opened: Project) -> None:
    declare(opened, a=HOURLY)
    beat(opened, -0.25)
    found = only(at(opened), "scheduler")
    assert found.state is OK
    assert f"pid {this_process().pid} on box" in found.what
    assert "last heard of 15 s ago" in found.what
    assert found.values == {"running": 1, "heartbeat_age_seconds": 15.0}


def test_a_scheduler_that_lives_and_says_nothing_hangs(opened: Project) -> None:
    beat(opened, -5)
    found = only(at(opened), "scheduler")
    assert found.state is BAD
    assert "hangs: last heard of 5 min ago" in found.what


def test_a_scheduler_heard_of_after_now_is_well(opened: Project) -> None:
    """The clock was set back."""
    beat(opened, 120)
    found = only(at(opened), "scheduler")
    assert (found.state, found.values["heartbeat_age_seconds"]) == (OK, 0.0)


def test_a_scheduler_that_was_killed_is_noticed_and_told_of_once(opened: Project) -> None:
    declare(opened, a=HOURLY)
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        gone = identify(process.pid)
        process.send_signal(signal.SIGKILL)
    assert gone is not None
    beat(opened, -3, process=gone)
    found = only(at(opened), "scheduler")
    assert found.state is BAD
    assert found.what.startswith("none is running: it stopped without a word, last heard of 3 min ago")
    at(opened, 1)
    assert [message.kind for message in opened.store.fires.messages()] == ["scheduler"]


def test_one_that_was_stopped_is_missed_all_the_same(opened: Project) -> None:
    declare(opened, a=HOURLY)
    beat(opened, -60, stopped_at=minute(-60))
    found = only(at(opened), "scheduler")
    assert (found.state, found.what) == (BAD, "none is running: it was stopped 1 h ago (on box)")


def test_another_clock_may_have_it_take_turns(opened: Project) -> None:
    declare(opened, a=HOURLY)
    beat(opened, -60, stopped_at=minute(-60), reason=serving.ONE_TURN)
    found = only(at(opened), "scheduler")
    assert found.state is OK
    assert found.what == "takes turns when it is called (--once); the last was 1 h ago"
    assert only(at(opened, 24 * 60), "scheduler").state is BAD


def test_what_another_clock_asks_for_needs_none_until_it_asks_no_more(opened: Project) -> None:
    world = declare(opened, a=HOURLY)
    world.request("a", 60)
    world.turn(60.5, due=[])
    world.end("a")
    world.turn(61, due=[])
    assert only(at(opened, 110), "scheduler").state is OK
    assert only(at(opened, 130), "scheduler").state is BAD


def test_a_scheduler_of_one_schedule_is_not_the_projects(opened: Project) -> None:
    declare(opened, a=HOURLY)
    beat(opened, -0.1, scope="cli:1234")
    assert only(at(opened), "scheduler").state is BAD


# Schedules


def test_each_schedule_that_is_not_well_is_told_of_the_worst_first(opened: Project) -> None:
    beat(opened, 70)
    world = declare(
        opened,
        ok=HOURLY,
        fails=HOURLY,
        late='trigger: {cron: "30 * * * *"}\n',
        held=HOURLY,
        broken="trigger: {crom: x}\n",
    )
    world.turn(0)
    world.pause("held", "holidays")
    world.turn(60, due=["ok", "fails", "held"])
    world.end("ok")
    world.end("fails", RunStatus.FAILED, reason="ValueError: no")
    world.turn(61, due=["ok", "fails", "held"])
    status = at(opened, 70)
    first, *rest = named(status, "schedules")
    assert first.state is OK
    assert first.what == "1 ok, 1 failing, 1 late, 1 paused, 1 broken; next: late in 20 min"
    assert first.values == {"ok": 1, "failing": 1, "late": 1, "paused": 1, "broken": 1}
    assert [(one.state, one.values["schedule"], one.values["health"]) for one in rest] == [
        (BAD, "broken", "broken"),
        (BAD, "fails", "failing"),
        (BAD, "late", "late"),
        (WARNING, "held", "paused"),
    ]
    assert rest[1].what == "fails fails: its last fire failed (2026-03-01 13:00 UTC): ValueError: no"
    assert rest[2].what == "late is late: due 2026-03-01 12:30 UTC, 40 min ago: nobody has begun it"
    assert [one.name for one in status.schedules] == ["broken", "fails", "held", "late", "ok"]
    assert not status.is_well


def test_what_is_paused_is_worth_a_look_and_no_more(opened: Project) -> None:
    world = declare(opened, a=HOURLY)
    world.turn(0)
    world.pause("a")
    status = at(opened, 5)
    assert (status.count(WARNING), status.is_well) == (1, True)


def test_what_was_missed_is_told_of_for_a_day_with_what_to_type(opened: Project) -> None:
    world = declare(opened, a=HOURLY)
    world.edit("a", catch_up=CatchUp(CatchUpMode.NONE))
    world.turn(0)
    world.turn(3 * 60 + 30)
    beat(opened, 4 * 60)
    found = named(at(opened, 4 * 60), "schedules")[-1]
    assert (found.state, found.values) == (WARNING, {"missed": 3})
    assert found.what == "3 fires of a missed; found 30 min ago: nobody was there when it was due (catch_up: none)"
    assert found.fix is not None
    assert "kit schedule backfill a --from 2026-03-01T13:00:00Z --to 2026-03-01T15:00:01Z" in found.fix
    assert all("missed" not in one.values for one in at(opened, 29 * 60).checks)


def test_what_was_missed_time_and_again_is_made_up_for_as_a_whole_as_long_as_there_is_its_schedule(
    opened: Project,
) -> None:
    world = declare(opened, a=HOURLY)
    world.edit("a", catch_up=CatchUp(CatchUpMode.NONE))
    for minutes in (0, 3 * 60 + 30, 6 * 60 + 30):
        world.turn(minutes)
    beat(opened, 7 * 60)
    found = named(at(opened, 7 * 60), "schedules")[-1]
    assert found.values == {"missed": 6}
    assert "--from 2026-03-01T13:00:00Z --to 2026-03-01T18:00:01Z" in (found.fix or "")
    (opened.root / "conf/schedule/a.yaml").unlink()
    assert all("missed" not in one.values for one in at(opened, 7 * 60).checks)


# Runs


def start(opened: Project, run_id: str, **facts: Any) -> None:
    opened.store.create(spec(run_id), record(run_id, at=minute(0)))
    opened.store.transition(run_id, RunStatus.STARTING, at=minute(0))
    opened.store.attach(run_id, **facts)
    opened.store.transition(run_id, RunStatus.RUNNING, at=minute(0))


def test_a_run_whose_supervisor_is_silent_is_stuck(opened: Project, sleeper: ProcessId) -> None:
    start(opened, "r1", supervisor=sleeper, heartbeat_at=minute(1))
    found = only(at(opened, 1.5), "runs")
    assert (found.state, found.what) == (OK, "1 under way; none stuck, none lost in a day")
    found = only(at(opened, 21), "runs")
    assert (found.state, found.values) == (BAD, {"under_way": 1, "stuck": 1, "lost": 0})
    assert found.what == "r1 (baseline) is stuck: its supervisor was last heard of 20 min ago"
    assert found.fix is not None
    assert f"kill -9 {sleeper.pid}" in found.fix


def test_a_run_that_was_lost_is_told_of_for_a_day(opened: Project, sleeper: ProcessId) -> None:
    start(opened, "r1", supervisor=sleeper, heartbeat_at=minute(0))
    opened.store.transition("r1", RunStatus.LOST, at=minute(10), reason="its supervisor was killed")
    found = only(at(opened, 11), "runs")
    assert (found.state, found.values) == (WARNING, {"under_way": 0, "stuck": 0, "lost": 1})
    assert found.what == "r1 (baseline) was lost: its supervisor was killed"
    assert only(at(opened, 25 * 60), "runs").state is OK


def test_runs_are_counted(opened: Project, sleeper: ProcessId) -> None:
    start(opened, "r1", supervisor=sleeper, heartbeat_at=minute(0))
    opened.store.create(spec("r2"), record("r2", at=minute(0)))
    assert at(opened).runs == {RunStatus.RUNNING: 1, RunStatus.QUEUED: 1}


def test_what_waits_long_is_worth_a_look(opened: Project) -> None:
    world = declare(opened, a=HOURLY, b=HOURLY)
    world.now = minute(0)
    world.request("a", -60, -120)
    world.now = minute(30)
    world.request("b", -60)
    found = only(at(opened, 50), "queue")
    assert (found.state, found.what) == (OK, "3 wait, a the longest: 50 min")
    assert found.values == {"waiting": 3, "longest_wait_seconds": 3000.0}
    assert only(at(opened, 100), "queue").state is WARNING


def test_a_fire_that_waits_since_its_schedule_is_paused_waits_for_somebody(opened: Project) -> None:
    world = declare(opened, a=HOURLY + "slots: gpu\n", b=HOURLY + "slots: gpu\n")
    world.turn(0)
    world.turn(60)
    world.pause("b")
    assert only(at(opened, 60), "queue").what == "nothing waits"


def test_what_mlflow_does_not_know_yet_is_measured(opened: Project, sleeper: ProcessId) -> None:
    start(opened, "r1", supervisor=sleeper, heartbeat_at=minute(0))
    opened.store.transition("r1", RunStatus.SUCCEEDED, at=minute(1), exit_code=0)
    run = opened.paths.run("r1")
    run.root.mkdir()
    run.spool.write_bytes(b"x" * 3000)
    run.sent.write_text("500")
    found = only(at(opened, 2), "spool")
    assert (found.state, found.values) == (OK, {"runs": 1, "bytes": 2500})
    assert found.what == "1 run waits to be sent to MLflow (2.5 kB)"
    assert only(at(opened, 10), "spool").state is WARNING
    opened.store.attach("r1", tracked=True)
    assert only(at(opened, 10), "spool").values == {"runs": 0, "bytes": 0}


# Alerts


def put(opened: Project, entry_id: str, minutes: float, schedule: str = "a") -> OutboxEntry:
    entry = OutboxEntry(entry_id, schedule, "failure", f"[tiny] {schedule} failed", "...", minute(minutes))
    opened.store.fires.add_message(entry)
    return entry


def test_an_alert_that_cannot_be_sent_is_bad(opened: Project) -> None:
    put(opened, "m1", -10)
    assert only(at(opened), "alerts").state is OK
    opened.store.fires.alert_failed("m1", minute(-9), "slack://***: no route to host", minute(600))
    found = only(at(opened), "alerts")
    assert (found.state, found.values) == (BAD, {"unsent": 1})
    assert found.what == (
        "1 could not be sent; '[tiny] a failed' of 10 min ago: slack://***: no route to host "
        "(tried again 2026-03-01 22:00 UTC)"
    )
    opened.store.fires.alert_sent("m1", minute(1))
    assert only(at(opened, 2), "alerts").state is OK


def test_one_that_was_given_up_counts_until_a_later_one_arrives(opened: Project) -> None:
    put(opened, "m1", -10)
    opened.store.fires.alert_failed("m1", minute(-9), "no", None)
    put(opened, "m2", -5, "b")
    opened.store.fires.alert_sent("m2", minute(-5))
    assert only(at(opened), "alerts").what.endswith("no (given up)")
    put(opened, "m3", -4)
    opened.store.fires.alert_sent("m3", minute(-4))
    assert only(at(opened), "alerts").state is OK


# Around


@pytest.mark.parametrize(
    ("free", "total", "state"),
    [
        (50 * 10**9, 100 * 10**9, OK),
        (10 * 10**9, 100 * 10**9, OK),
        (9 * 10**9, 100 * 10**9, WARNING),
        (19 * 10**8, 100 * 10**9, BAD),
        (999 * 10**6, 1999 * 10**6, BAD),
        (150 * 10**9, 10 * 10**12, OK),
        (90 * 10**9, 10 * 10**12, BAD),
        (0, 0, BAD),
    ],
)
def test_a_disk_needs_room(free: int, total: int, state: State) -> None:
    found = check_space(free, total)
    assert (found.state, found.values) == (state, {"free_bytes": free, "total_bytes": total})
    assert (found.fix is None) is (state is OK)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (2500, "2.5 kB"), (10**9, "1 GB"), (65.7e9, "65.7 GB"), (5.5e15, "5.5e+03 TB")],
)
def test_amounts_are_said_in_units(number: float, text: str) -> None:
    assert amount(number) == text


def test_mlflow_that_does_not_answer_is_bad(opened: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    found = only(at(opened), "mlflow")
    assert (found.state, found.values) == (BAD, {"up": 0})
    assert "does not answer: Connection refused" in found.what


def test_a_tracking_uri_that_cannot_be_used_says_why(opened: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///runs")
    found = only(at(opened), "mlflow")
    assert found.state is BAD
    assert "plain folder" in found.what


def test_a_damaged_store_is_told_of_beside_everything_else(opened: Project) -> None:
    opened.paths.store.write_bytes(b"\0garbage" * 1000)
    status = at(opened)
    assert [(one.name, one.state) for one in status.checks] == [
        ("store", BAD), ("disk", OK), ("mlflow", OK), ("dvc", OK),
    ]  # fmt: skip
    found = only(status, "store")
    assert "not a database" in found.what
    assert found.fix is not None
    assert (status.schedules, status.runs) == ((), {})


def test_a_store_that_cannot_be_made_is_told_of(opened: Project) -> None:
    shutil.rmtree(opened.paths.state)
    opened.paths.state.write_text("in the way")
    assert only(at(opened), "store").state is BAD


def test_a_folder_of_schedules_that_cannot_be_read_is_told_of(opened: Project) -> None:
    write(opened.root, {"conf/schedule": "not a folder"})
    status = at(opened)
    assert not status.is_well
    assert "conf/schedule" in named(status, "schedules")[0].what
    assert only(status, "store").state is OK
