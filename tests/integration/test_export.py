"""`kit schedule export`: what is printed and written, and real calls as the exported objects make them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from kit.cli import main
from kit.exports.ticks import of_trigger, unsettled_nights
from kit.fires import Fire, FireQuery
from kit.project import Project, open_project
from kit.states import FireStatus
from kit.stores import RunQuery
from kit.triggers import Cron, iter_due
from tests.conftest import TINY_PROJECT, write
from tests.engines import airflow_standalone, airflow_variables
from tests.support import KIT, Done, environment, kit, new_project, processes_of, start_kit, until

FILES = {
    "src/tiny/tasks.py": """
        import os
        import threading

        import kit


        def works(cfg: dict, run: kit.Run) -> dict[str, float]:
            print(f"works at {run.scheduled_at.isoformat()}", flush=True)
            return {"score": 0.5}


        def sticks(cfg: dict, run: kit.Run) -> dict[str, float]:
            print("attempt", os.environ["KIT_ATTEMPT"], flush=True)
            if os.environ["KIT_ATTEMPT"] == "1":
                threading.Event().wait()
            return {"score": 0.5}


        def fails(cfg: dict, run: kit.Run) -> None:
            raise SystemExit(99)
        """,
    "conf/experiment/works.yaml": "# @package _global_\ntask: tiny.tasks.works\n",
    "conf/experiment/sticks.yaml": "# @package _global_\ntask: tiny.tasks.sticks\n",
    "conf/experiment/fails.yaml": "# @package _global_\ntask: tiny.tasks.fails\n",
    "conf/schedule/nightly.yaml": 'trigger: {cron: "30 4 * * *"}\nexperiment: works\n',
    "conf/schedule/sticks.yaml": "trigger: {interval: 1 d}\nexperiment: sticks\nretry: {attempts: 3, delay: 0 s}\n",
    "conf/schedule/report.yaml": "trigger: {after: nightly}\nexperiment: works\n",
    "conf/schedule/fails.yaml": 'trigger: {cron: "0 5 * * *"}\nexperiment: fails\nretry: {attempts: 2, delay: 0 s}\n',
    "conf/schedule/minute.yaml": 'trigger: {cron: "* * * * *"}\nexperiment: works\noverlap: queue\n',
}
SHOWN = {
    "conf/schedule/nightly.yaml": 'trigger: {cron: "0 2 * * *"}\n',
    "conf/schedule/on_data.yaml": "trigger: {data: data/raw}\n",
    "conf/schedule/later.yaml": 'trigger: {cron: "0 3 * * *"}\nenabled: false\n',
}


# What is printed and written


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`kit schedule export` in a project of its own."""
    write(tmp_path / "tiny", TINY_PROJECT | SHOWN)
    monkeypatch.chdir(tmp_path / "tiny")

    def run(*arguments: str) -> Done:
        code = main(["schedule", "export", *arguments])
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    return run


def test_without_a_name_what_can_be_is_exported_and_the_rest_is_named(typed: Callable[..., Done]) -> None:
    done = typed("kubernetes", "--image", "tiny:1")
    assert done.code == 2
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(done.out)] == ["tiny-nightly"]
    assert done.out.startswith("# Written by `kit schedule export kubernetes`; ")
    lines = done.err.splitlines()
    (error,) = [line for line in lines if line.startswith("error: ")]
    why = "error: Kubernetes: no clock says when there is a new version of data/raw (schedule on_data). "
    assert error == f"{why}Have `kit scheduler` run this one."
    assert lines[-1] == "note: not enabled, so left out: later"
    assert lines[0].startswith("note: nightly: Kubernetes starts what was due while an earlier run was busy")


def test_one_that_can_be_exported_is(typed: Callable[..., Done]) -> None:
    done = typed("cron", "nightly", "--timezone", "UTC", "--workdir", "/srv/a b", "--command", "uv run kit")
    assert done.code == 0
    assert "\n0 2 * * * cd '/srv/a b' && mkdir -p .kit && flock " in done.out
    assert " uv run kit run --schedule nightly --at due >>" in done.out
    assert [line.split("(")[0] for line in done.err.splitlines()] == [
        "note: nightly: cron catches up with nothing ",
        "note: nightly: cron does not make a call again that was lost with its machine ",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kubernetes"], ["no container image", "`--image IMAGE`"]),
        (["airflow", "on_data"], ["Airflow: no clock says when there is a new version of data/raw"]),
        (["airflow", "later"], ["schedule later is not enabled"]),
        (["airflow", "nigthly"], ["no schedule 'nigthly'", "'nightly'"]),
        (["nomad"], ["'nomad'", "airflow", "gitlab"]),
        (["cron", "nightly", "--timezone", "Europe/Berln"], ["no time zone 'Europe/Berln'", "'Europe/Berlin'"]),
        (["cron", "nightly", "--timezone", "Europe/Berlin"], ["that of Europe/Berlin, and not by that of UTC"]),
        (["github", "nightly", "--command", "uv 'run"], ["is no command", "quotes"]),
    ],
)
def test_a_mistake_is_one_line_with_what_to_do(
    typed: Callable[..., Done], arguments: list[str], words: list[str]
) -> None:
    done = typed(*arguments)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert [word for word in words if word not in line] == [], line


def test_a_file_that_was_changed_by_hand_is_left_alone(typed: Callable[..., Done], tmp_path: Path) -> None:
    path = tmp_path / "dags" / "tiny_schedules.py"
    assert typed("airflow", "nightly", "-o", f"{path.parent}/").out == f"wrote {path}\n"
    assert typed("airflow", "nightly", "-o", str(path)).out == f"as it was: {path}\n"
    write(tmp_path / "tiny", {"conf/schedule/nightly.yaml": 'trigger: {cron: "0 5 * * *"}\n'})
    assert typed("airflow", "nightly", "-o", str(path)).out == f"wrote {path}\n"
    mine = path.read_text().replace("max_active_runs=1", "max_active_runs=2")
    path.write_text(mine)
    done = typed("airflow", "nightly", "-o", str(path))
    assert (done.code, done.out) == (2, "")
    assert f"changed by hand ({path}). " in done.err
    assert path.read_text() == mine
    assert typed("airflow", "nightly", "-o", str(path), "--force").code == 0
    assert path.read_text() != mine


def test_of_several_files_none_is_written_if_one_is_somebody_elses(typed: Callable[..., Done], tmp_path: Path) -> None:
    units = tmp_path / "units"
    write(units, {"kit-tiny-nightly.timer": "[Timer]\n"})
    done = typed("systemd", "nightly", "-o", str(units))
    assert (done.code, "did not write" in done.err) == (2, True)
    assert [path.name for path in units.iterdir()] == ["kit-tiny-nightly.timer"]
    assert typed("systemd", "nightly", "-o", str(units), "--force").code == 0
    assert {path.name for path in units.iterdir()} == {"kit-tiny-nightly.timer", "kit-tiny-nightly.service"}


def test_what_nothing_can_be_written_to_is_the_hosts_fault(typed: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = typed("airflow", "nightly", "-o", f"{tmp_path}/file/dags.py")
    assert done.code == 3
    assert "Traceback" not in done.err


# Real calls


class Place:
    """A project with a name that shells and templates read otherwise."""

    def __init__(self, folder: Path) -> None:
        self.env = environment(folder / "home")
        self.root = new_project(folder / "it's 5% mine", FILES)

    @property
    def project(self) -> Project:
        return open_project(self.root)

    def fires(self, name: str) -> list[Fire]:
        return self.project.store.fires.fires(FireQuery(schedule=name))

    def is_stuck(self, name: str) -> bool:
        """Whether its last run prints something."""
        runs = self.project.store.runs(RunQuery(parent=name))
        log = self.project.paths.run(runs[-1].run_id).log if runs else None
        return log is not None and log.exists() and bool(log.read_text())

    def number_of_runs(self, name: str) -> int:
        return len(self.project.store.runs(RunQuery(parent=name)))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for process in processes_of(made.root):
        process.kill()


@pytest.mark.slow
def test_a_pod_after_one_that_was_lost_makes_the_next_attempt_at_the_same_fire(place: Place) -> None:
    """The second pod starts late, long after other instants; a third one has nothing to do."""
    told = kit(place.root, "schedule", "export", "kubernetes", "sticks", "--image", "x", env=place.env).out
    job = yaml.safe_load(told)["spec"]["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 3
    command = job["template"]["spec"]["containers"][0]["command"]
    minute = int(datetime(2026, 3, 1, 4, 30, tzinfo=UTC).timestamp()) // 60
    env = place.env | {"JOB": f"tiny-sticks-{minute}", "PATH": f"{KIT.parent}:{os.environ['PATH']}"}

    def pod() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=place.root, env=env, stdout=subprocess.DEVNULL)

    lost = pod()
    until(lambda: place.is_stuck("sticks"), "the first attempt to be under way")
    for process in processes_of(place.root):
        process.kill()
    assert lost.wait(timeout=60) == -signal.SIGKILL
    assert [pod().wait(timeout=300) for _ in range(2)] == [0, 0]
    (fire,) = place.fires("sticks")
    assert (fire.scheduled_at, fire.status) == (datetime(2026, 3, 1, 4, 30, tzinfo=UTC), FireStatus.SUCCEEDED)
    assert (fire.attempt, place.number_of_runs("sticks")) == (2, 2)


# The real Airflow: an environment of its own, some minutes


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, in an environment of its own: it wants other versions of much that kit uses."""
    folder = tmp_path_factory.mktemp("airflow")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "--python", python, "apache-airflow>=3,<4"], check=True)
    return python.with_name("airflow")


@pytest.fixture
def home(place: Place, airflow: Path, tmp_path: Path, free_port: int) -> dict[str, str]:
    """The environment of an Airflow whose database is there."""
    env = place.env | airflow_variables(airflow, tmp_path / "airflow", free_port)
    subprocess.run([airflow, "db", "migrate"], env=env, check=True, capture_output=True)
    return env


def export_dags(place: Place, home: dict[str, str], *names: str) -> None:
    kit(place.root, "schedule", "export", "airflow", *names, "-o", f"{home['AIRFLOW_HOME']}/dags/", env=place.env)


WALK = """
import json, sys
import pendulum
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

start, end, cases = json.load(sys.stdin)
earliest = pendulum.parse(start)
found = []
for expression, timezone in cases:
    timetable = CronTriggerTimetable(expression, timezone=timezone)
    restriction = TimeRestriction(earliest, None, True)
    last, instants = None, []
    while True:
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info.run_after > pendulum.parse(end):
            break
        instants.append(info.run_after.isoformat())
        last = DataInterval.exact(info.run_after)
    found.append(instants)
json.dump(found, sys.stdout)
"""
"""The instants of a year, as Airflow's scheduler finds them out one after the other."""


@pytest.mark.exhaustive
def test_airflows_timetable_has_kits_instants_for_a_year(airflow: Path, tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
    end = now + timedelta(days=370)
    zones = [
        "Europe/Berlin",
        "America/New_York",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "Africa/Casablanca",
    ]
    times = ["0 0", "30 1", "30 2", "0 3", "*/30 *", "15 *", "0 */2", "*/20 9-17", "45 23"]
    triggers = [Cron(f"{time} * * {day}", zone) for time in times for zone in zones for day in ("*", "mon,7")]
    pairs = [(trigger, ticks) for trigger in triggers if (ticks := of_trigger(trigger, now)) is not None]
    settled = [(trigger, ticks) for trigger, ticks in pairs if not unsettled_nights(ticks, now)]
    assert len(pairs) / 2 < len(settled) < len(pairs)
    asked = [now.isoformat(), end.isoformat(), [(ticks.expression, ticks.timezone) for _, ticks in settled]]
    env = environment(tmp_path / "home", AIRFLOW_HOME=str(tmp_path / "airflow"))
    command = [str(airflow.with_name("python")), "-W", "ignore", "-c", WALK]
    told = subprocess.run(command, input=json.dumps(asked), env=env, capture_output=True, text=True, check=True).stdout
    for (trigger, _), instants in zip(settled, json.loads(told.splitlines()[-1]), strict=True):
        expected = takewhile(lambda instant: instant <= end, iter_due(trigger, now))
        assert [datetime.fromisoformat(one) for one in instants] == list(expected), trigger


@pytest.mark.exhaustive
def test_airflow_runs_a_dag(place: Place, airflow: Path, home: dict[str, str]) -> None:
    export_dags(place, home)

    def test(dag: str, at: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [airflow, "dags", "test", dag, at], env=home, capture_output=True, text=True, check=False, timeout=300
        )

    for _ in range(2):  # the same instant twice runs once
        done = test("tiny.nightly", "2026-03-01T04:30:00")
        assert done.returncode == 0, done.stdout + done.stderr
    for name in ("nightly", "report"):
        (fire,) = place.fires(name)
        assert (fire.scheduled_at, fire.status) == (datetime(2026, 3, 1, 4, 30, tzinfo=UTC), FireStatus.SUCCEEDED)
        assert place.number_of_runs(name) == 1
    done = test("tiny.fails", "2026-03-01T05:00:00")
    assert done.returncode == 1
    assert "AirflowFailException: Bash command returned exit code 99." in done.stdout + done.stderr, "else it skips it"
    (fire,) = place.fires("fails")
    assert (fire.status, fire.attempt) == (FireStatus.FAILED, 2), "the attempts are kit's"


@pytest.mark.exhaustive
def test_ticks_of_airflow_and_of_kits_scheduler_are_the_same_fires(
    place: Place, airflow: Path, home: dict[str, str], tmp_path: Path
) -> None:
    for name in ("nightly", "report", "fails", "sticks"):
        (place.root / f"conf/schedule/{name}.yaml").unlink()
    export_dags(place, home, "minute")
    with airflow_standalone(airflow, home, tmp_path):
        until(lambda: len(by_airflow(tmp_path)) >= 2, "two ticks of Airflow", seconds=400)
        scheduler = start_kit(place.root, "scheduler", env=place.env)
        try:
            until(lambda: len(by_airflow(tmp_path)) >= 4, "two more, beside kit's own", seconds=400)
        finally:
            scheduler.terminate()
            scheduler.communicate(timeout=60)
    fires = [fire for fire in place.fires("minute") if fire.status is FireStatus.SUCCEEDED]
    instants = [fire.scheduled_at for fire in fires]
    assert len(set(instants)) == len(instants) >= 4
    assert {(instant.second, instant.microsecond) for instant in instants} == {(0, 0)}
    assert {fire.attempt for fire in fires} == {1}
    assert set(by_airflow(tmp_path)) & {instant.isoformat() for instant in instants}


def by_airflow(folder: Path) -> list[str]:
    """The instants that its tasks' logs say it called for, and that were done."""
    logs = [path.read_text() for path in (folder / "airflow" / "logs").rglob("*.log") if "minute" in str(path)]
    return [found[1] for log in logs if "return code 0" in log and (found := re.search(r"--at (\S+?)['\"]", log))]
