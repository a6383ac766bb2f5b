"""Runs on a real SLURM cluster: submitted, followed, cancelled, interrupted and gone on with."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from kit.errors import ExitCode
from kit.executors._copies import folder_of
from kit.executors._token import taken_by
from kit.fires import FireQuery
from kit.states import FIRE_TERMINAL, FireStatus, RunStatus
from kit.stores.base import RunQuery
from tests.clusters import TRIALS, ClusterPlace
from tests.engines import Slurm
from tests.support import mlflow_runs, start_kit, until

pytestmark = pytest.mark.slow


class Place(ClusterPlace):
    """One on SLURM."""

    def __init__(self, folder: Path, slurm: Slurm) -> None:
        super().__init__(folder, "slurm", slurm.environment)
        self.slurm = slurm


@pytest.fixture
def place(tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    return Place(tmp_path, slurm)


def test_a_run_on_a_cluster_comes_out_as_one_here_whatever_becomes_of_the_working_tree(place: Place) -> None:
    here = place.kit("run", "experiment=steps", "x=3", "--json").json()
    run_id = place.submit("experiment=steps", "x=3")
    (place.root / "src/tiny/tasks.py").write_text("not Python any more")
    there = place.ended(run_id)
    assert (there.status, there.metrics, there.executor, there.token) == (
        RunStatus.SUCCEEDED,
        here["metrics"],
        "slurm",
        1,
    )
    assert there.tracked
    assert place.log(run_id) == "begins at 0\n"
    mlflow = mlflow_runs(place.root)
    assert mlflow[run_id].status == "FINISHED"
    assert mlflow[run_id].metrics == mlflow[here["run_id"]].metrics
    assert mlflow[run_id].params == mlflow[here["run_id"]].params
    until(lambda: place.slurm.jobs()[f"kit-{run_id}"][0] == "COMPLETED", "the job to be over")
    assert f"slurm, job {there.job}" in place.kit("show", run_id).out
    assert place.kit("logs", run_id).out == "begins at 0\n"


def test_a_run_is_cancelled_whether_it_waits_or_runs(place: Place) -> None:
    running = place.submit("experiment=waits")
    until(lambda: "started" in place.log(running), "the task to start")
    for node in ("n1", "n2", "n3"):
        place.slurm.ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        waiting = place.submit("experiment=waits", "+resources={cpus: 2, memory: 500M, time: 90}")
        asked = place.slurm.ask("squeue", "--noheader", f"--name=kit-{waiting}", "--format=%C|%m|%l")
        assert asked.strip() == "2|500M|2:00"  # SLURM counts time in minutes
        assert place.record(waiting).status is RunStatus.QUEUED
        assert "is cancelled" in place.kit("cancel", waiting).out
        assert "asked run" in place.kit("cancel", running).out
        assert place.ended(running).status is RunStatus.CANCELLED
    finally:
        for node in ("n1", "n2", "n3"):
            place.slurm.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert place.record(waiting).status is RunStatus.CANCELLED
    until(lambda: place.slurm.jobs()[f"kit-{waiting}"][0] == "CANCELLED", "the job to be cancelled")
    assert place.record(running).reason == "cancelled on request"
    until(lambda: mlflow_runs(place.root)[running].status == "KILLED", "MLflow to know")


def test_a_run_that_slurm_starts_again_goes_on_from_its_checkpoint_as_the_same_run(place: Place) -> None:
    run_id = place.submit("experiment=steps", "steps=6", "pause=1")
    until(lambda: len(list(place.project.paths.run(run_id).checkpoints.glob("step-*[0-9]"))) >= 2, "two checkpoints")
    place.slurm.ask("scontrol", "requeue", str(place.record(run_id).job))
    until(lambda: place.slurm.jobs()[f"kit-{run_id}"][0] == "PENDING", "the job to wait again")
    place.kit("runs")  # settles nothing that SLURM still has
    assert not place.record(run_id).status.is_terminal
    place.slurm.hurry(run_id)
    ended = place.ended(run_id)
    assert (ended.status, ended.token, ended.metrics["score"]) == (RunStatus.SUCCEEDED, 2, 2.0)
    assert place.log(run_id).count("begins at 0") == 1
    assert place.log(run_id).count("begins at") == 2
    series = mlflow_runs(place.root)[run_id].metrics["loss"]
    assert series == [(step, 1.0 / (step + 1)) for step in range(6)]


def test_what_was_ended_in_slurm_is_settled_by_its_word(place: Place) -> None:
    run_id = place.submit("experiment=waits")
    until(lambda: "started" in place.log(run_id), "the task to start")
    place.slurm.ask("scancel", str(place.record(run_id).job))
    until(lambda: place.slurm.jobs()[f"kit-{run_id}"][0] == "CANCELLED", "the job to be cancelled")
    assert place.record(run_id).status is RunStatus.RUNNING  # nobody has said anything else, nor asked

    def settled() -> bool:
        place.kit("runs")
        return place.record(run_id).status.is_terminal

    until(settled, "the run to be silent long enough")
    assert place.record(run_id).reason == "cancelled in SLURM"


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("partition", "invalid partition"),
        ("account", "Invalid account"),
        ("memory", "configuration is not available"),
    ],
)
def test_what_slurm_refuses_leaves_nothing_and_has_a_fix(place: Place, option: str, what: str) -> None:
    value = '"900G"' if option == "memory" else '"nope"'
    text = (place.root / "pyproject.toml").read_text()
    (place.root / "pyproject.toml").write_text(f"{text}\n[tool.kit.executors.big]\n{option} = {value}\n")
    refused = place.kit("run", "--on", "big", "experiment=steps", code=3)
    assert what.lower() in refused.err.lower()
    assert "fix" in refused.err.lower() or "`" in refused.err
    assert place.project.store.runs(RunQuery()) == []
    assert list(place.project.paths.runs.iterdir()) == []


def test_without_slurm_here_the_error_says_where_to_go(place: Place) -> None:
    lacking = dict(place.env) | {
        "PATH": os.fspath(Path(place.env["VIRTUAL_ENV"]) / "bin") if "VIRTUAL_ENV" in place.env else ""
    }
    tools = place.root.parent / "bin"
    tools.mkdir()
    for name in ("git", "kit", "python"):
        found = next(Path(p, name) for p in os.environ["PATH"].split(os.pathsep) if Path(p, name).exists())
        (tools / name).symlink_to(found)
    lacking["PATH"] = os.fspath(tools)
    refused = place.kit("run", "--on", "slurm", "experiment=steps", env=lacking, code=3)
    assert "there is no `sbatch` on this machine" in refused.err


@pytest.mark.parametrize("how", ["told", pytest.param("by the clock", marks=pytest.mark.exhaustive)])
def test_a_job_at_its_time_limit_goes_on_in_another(place: Place, how: str) -> None:
    settings = "\n[tool.kit.executors.short]\nkind = 'slurm'\ntime = '1m'\nwarning = 5\n"
    (place.root / "pyproject.toml").write_text((place.root / "pyproject.toml").read_text() + settings)
    steps = place.kit("run", "--on", "short", "--json", "experiment=steps", "steps=1000", "pause=1").json()["run_id"]
    waits = place.kit("run", "--on", "short", "--json", "experiment=waits").json()["run_id"]
    before = place.project.paths.run(steps)
    until(lambda: "begins at 0" in place.log(steps), "the run to begin")
    until(lambda: "started" in place.log(waits), "the other one to begin")
    until(lambda: list(before.checkpoints.glob("step-*[0-9]")), "a checkpoint")
    if how == "told":  # as SLURM does by itself, a minute from now
        for run_id in (steps, waits):
            place.slurm.ask("scancel", "--batch", "--signal=USR1", str(place.record(run_id).job))

    def waits_again() -> bool:
        return place.slurm.jobs()[f"kit-{steps}"][0] == "PENDING"

    until(waits_again, "the job to be queued again")
    reached = max(int(path.name[5:]) for path in before.checkpoints.glob("step-*[0-9]"))

    def goes_on() -> bool:
        place.slurm.hurry(steps)
        return place.log(steps).count("begins at") == 2

    until(goes_on, "the run to go on")
    assert f"begins at {reached + 1}\n" in place.log(steps)
    place.kit("cancel", steps)
    ended = place.ended(steps)
    assert (ended.status, ended.token) == (RunStatus.CANCELLED, 2)
    until(lambda: place.record(steps).tracked, "MLflow to know")
    series = mlflow_runs(place.root)[steps].metrics["loss"]
    assert [step for step, _ in series] == list(range(len(series)))
    assert len(series) > reached
    # Who leaves nothing to go on from would begin anew for ever.
    without = place.ended(waits)
    assert (without.status, without.exit_code) == (RunStatus.TIMED_OUT, 124)
    assert without.reason == "stopped at its job's time limit; it left no checkpoint to go on from"


def test_a_run_that_was_cancelled_goes_on_there_or_here(place: Place) -> None:
    run_id = place.expect_resumed()
    assert f"run {run_id} has succeeded" in place.kit("run", "--resume", run_id, code=ExitCode.USER).err
    begun = start_kit(place.root, "run", "experiment=steps", "steps=20", "pause=0.5", env=place.env)
    (mine,) = until(lambda: [run for run in place.records() if run.run_id != run_id], "another run")
    until(lambda: [*place.project.paths.run(mine.run_id).checkpoints.glob("step-*[0-9]")], "a checkpoint")
    begun.send_signal(signal.SIGINT)
    begun.communicate()
    refused = place.kit("run", "--resume", "last", "--on", "slum", code=ExitCode.USER)
    assert "there is no executor 'slum'" in refused.err
    there = place.kit("run", "--resume", mine.run_id, "--on", "slurm", "--json").json()
    assert (there["status"], there["executor"]) == ("queued", "slurm")
    until(lambda: place.log(mine.run_id).count("begins at") == 2, "it to go on there")
    place.kit("cancel", mine.run_id)
    assert place.gone(mine.run_id).status is RunStatus.CANCELLED
    here = place.kit("run", "--resume", "last", "--on", "local", "--json").json()
    assert (here["status"], here["executor"]) == ("succeeded", None)
    assert [step for step, _ in mlflow_runs(place.root)[here["run_id"]].metrics["loss"]] == [*range(20)]


def test_a_scheduled_run_that_is_killed_there_is_tried_again_there(place: Place) -> None:
    place.expect_retried()


@pytest.mark.exhaustive
@pytest.mark.parametrize("submitted", [True, False])
def test_who_dies_while_submitting_a_scheduled_run_leaves_one_success(place: Place, submitted: bool) -> None:
    """The controller hangs meanwhile, and what it was asked arrives after all; or it is down, and it does not."""
    trigger = "{cron: 0 0 2 11 *}"  # once a year
    place.schedule("day", "waits=0", trigger=trigger, more="retry: {attempts: 3, delay: 0 s}\n")
    controller = place.slurm.daemons["ctld"]
    if submitted:
        controller.send_signal(signal.SIGSTOP)
    else:
        place.slurm.kill_controller()
    try:
        scheduler = start_kit(place.root, "scheduler", env=place.env)
        at = datetime(2026, 11, 2, tzinfo=UTC)
        place.kit("schedule", "backfill", "day", "--from", "2026-11-02T00:00Z", "--to", "2026-11-02T00:30Z")
        (made,) = until(lambda: place.attempts("day"), "the fire to be claimed")
        until(lambda: place.record(made.run_id).executor, "it to be handed over")
        supervisor = taken_by(place.project.paths.run(made.run_id))
        assert supervisor is not None
        dies = psutil.Process(supervisor.pid)
        until(lambda: [each for each in dies.children() if each.name() == "sbatch"], "SLURM to be asked")
        for process in [dies, *([] if submitted else dies.children())]:
            process.kill()
    finally:
        if submitted:
            controller.send_signal(signal.SIGCONT)
        else:
            place.slurm.start_controller()
    try:
        over = FireQuery(schedule="day", statuses=FIRE_TERMINAL)
        (fire,) = until(lambda: place.project.store.fires.fires(over), "the fire to be over", seconds=200)
    finally:
        scheduler.terminate()
        scheduler.communicate()
    assert (fire.scheduled_at, fire.status, fire.attempt) == (at, FireStatus.SUCCEEDED, 1 if submitted else 2)
    ends = [record.status for record in place.attempts("day")]
    assert ends == ([] if submitted else [RunStatus.LOST]) + [RunStatus.SUCCEEDED]
    assert len(place.slurm.jobs_of(place.root)) == 1


def test_a_fire_of_the_foreground_goes_on_without_its_command(place: Place) -> None:
    place.schedule("day")
    at = "2026-11-02T00:00:00+00:00"
    command = start_kit(place.root, "run", "--schedule", "day", "--at", at, env=place.env)
    (made,) = until(lambda: place.attempts("day"), "the fire to be claimed")
    until(lambda: "attempt 1" in place.log(made.run_id), "it to run there")
    command.send_signal(signal.SIGINT)
    _, err = command.communicate()
    assert command.returncode == 130
    assert f"run {made.run_id} is with slurm; following it" in err
    assert f"run {made.run_id} goes on" in err
    again = start_kit(place.root, "run", "--schedule", "day", "--at", at, "--json", env=place.env)
    assert again.stderr is not None
    assert again.stderr.readline() == f"note: run {made.run_id} is with slurm; following it\n"
    folder_of(place.project.paths.run(made.run_id), 1).root.joinpath("go").touch()
    out, err = again.communicate()
    assert (again.returncode, json.loads(out)["run_id"]) == (0, made.run_id)
    assert err == "attempt 1 of 2026-11-02T00:00:00+00:00\n"
    assert len(place.attempts("day")) == 1


def test_a_scheduled_run_that_slurm_refuses_has_failed_and_says_why(place: Place) -> None:
    text = (place.root / "pyproject.toml").read_text()
    wrong = "\n[tool.kit.executors.wrong]\nkind = 'slurm'\npartition = 'nope'\n"
    (place.root / "pyproject.toml").write_text(text + wrong)
    place.schedule("day", more="retry: {attempts: 2, delay: 0 s}\n", on="wrong")
    refused = place.kit("run", "--schedule", "day", "--at", "2026-11-02T00:00:00+00:00", code=3)
    assert "SLURM refuses" in refused.out
    first, second = place.attempts("day")
    for record in (first, second):
        assert (record.status, record.exit_code, record.executor) == (RunStatus.FAILED, 3, "wrong")
        assert "invalid partition" in (record.reason or "").lower()
    assert place.slurm.jobs_of(place.root) == set()
    place.kit("run", "--schedule", "day", "--at", "2026-11-02T01:00:00+00:00", code=3)


def test_a_scheduled_run_is_cancelled_while_slurm_has_no_room_for_it(place: Place) -> None:
    place.schedule("day", "+resources.cpus=2")
    for node in ("n1", "n2", "n3"):
        place.slurm.ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        at = "2026-11-02T00:00:00+00:00"
        command = start_kit(place.root, "run", "--schedule", "day", "--at", at, env=place.env)
        (made,) = until(lambda: place.attempts("day"), "the fire to be claimed")
        until(lambda: place.record(made.run_id).job, "it to be submitted")
        assert place.record(made.run_id).status is RunStatus.QUEUED
        assert "is cancelled" in place.kit("cancel", made.run_id).out
        out, _ = command.communicate()
    finally:
        for node in ("n1", "n2", "n3"):
            place.slurm.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert (command.returncode, place.record(made.run_id).status) == (130, RunStatus.CANCELLED)
    assert "cancelled" in out
    until(lambda: place.slurm.jobs()[f"kit-{made.run_id}"][0] == "CANCELLED", "the job to be cancelled")


@pytest.mark.alone
@pytest.mark.timeout(1800)
def test_a_sweep_survives_a_node_the_controller_and_its_own_command(place: Place) -> None:
    values = ",".join(map(str, range(TRIALS)))
    sweep = start_kit(
        place.root, "run", "-m", "--on", "slurm", "experiment=steps", f"x={values}", "pause=0.5", env=place.env
    )
    try:
        until(lambda: len(place.slurm.jobs_of(place.root)) == TRIALS, "all trials to be submitted", seconds=300)
        sweep.send_signal(signal.SIGKILL)  # its terminal is closed
        until(lambda: place.slurm.has_saved(place.root), "SLURM to have all jobs on its disk")
        place.slurm.kill_controller()
        place.slurm.start_controller()
        on_n1 = until(lambda: place.slurm.running_on("n1"), "a trial on the node that is to fail")
        until(lambda: any(place.log(name.removeprefix("kit-")) for name in on_n1), "it to have begun")
        on_n1 = place.slurm.running_on("n1")
        place.slurm.kill_node("n1")

        def over() -> bool:
            for name in on_n1:
                place.slurm.hurry(name.removeprefix("kit-"))
            place.kit("runs")  # as somebody who looks: it gives up nothing that SLURM has
            return all(record.status.is_terminal for record in place.trials())

        until(over, "all trials to end", seconds=100 + 8 * TRIALS)
        place.expect_swept(TRIALS)
    finally:
        sweep.kill()
        sweep.communicate()
        place.slurm.start_node("n1")
