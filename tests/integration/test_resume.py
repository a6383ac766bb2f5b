"""`kit run --resume`: a run that was stopped goes on, and nobody can tell from its series that it ever stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from kit import _clock
from kit._process import this_process
from kit.executors._token import take
from kit.paths import ProjectPaths
from kit.project import open_project
from kit.states import RunStatus
from kit.stores import RunQuery
from kit.trackers.spool import points_of
from tests.conftest import git
from tests.support import (
    Done,
    MlflowRun,
    environment,
    kit,
    mlflow_runs,
    new_project,
    on_screen,
    processes_of,
    start_kit,
    until,
)

SECRET = "hunter2-correct-horse"

FILES = {
    "src/tiny/learning.py": '''
        """Training that goes on from its checkpoint, and can be made to die."""

        import json
        import os
        import pathlib
        import random
        import signal
        import time

        import kit

        VERSION = 1


        def learns(cfg: dict, run: kit.Run) -> dict[str, float]:
            run.log({"rows": 336})
            run.params({"features": 21})
            generator, weight, first = random.Random(run.seed), 0.0, 0
            if (latest := run.latest_checkpoint()) is not None:
                step, folder = latest
                weight, state = json.loads((folder / "state.json").read_text())
                generator.setstate((state[0], tuple(state[1]), state[2]))
                first = step + 1
            print(f"begins at {first}, version {VERSION}, {os.environ.get('KIT_SCHEDULE')}", flush=True)
            for step in run.progress(range(first, cfg["steps"])):
                for _ in range(2):
                    weight += generator.random()
                    run.log({"batch_loss": weight})
                run.log({"loss": weight, "accuracy": 1 - 1 / (step + 2)}, step=step)
                if step % 3 == 2:
                    with run.checkpoint(step) as folder:
                        (folder / "state.json").write_text(json.dumps([weight, generator.getstate()]))
                die(run, cfg, step)
                time.sleep(cfg["pause"])
            return {"score": weight, "letters": len((cfg.get("db") or {}).get("password") or "")}


        def die(run: kit.Run, cfg: dict, step: int) -> None:
            mark = pathlib.Path(os.environ.get("MARKS", run.dir), f"died-at-{step}")
            if step in cfg["die_at"] and not mark.exists():
                mark.touch()
                if cfg["how"] == "raise":
                    raise RuntimeError("the machine is on fire")
                os.kill(os.getpid(), signal.SIGKILL)
        ''',
    "src/tiny/network.py": '''
        """A small network with all that has a state: weights, an optimizer with momentum, dropout, random batches."""

        import kit
        import torch
        from torch import nn

        from tiny.learning import die


        def learns(cfg: dict, run: kit.Run) -> dict[str, float]:
            torch.manual_seed(run.seed)
            x = torch.randn(256, 8)
            y = (x.sum(dim=1, keepdim=True) > 0).float()
            model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
            optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
            first = 0
            if (latest := run.latest_checkpoint()) is not None:
                epoch, folder = latest
                state = torch.load(folder / "state.pt", weights_only=True)
                model.load_state_dict(state["model"])
                optimizer.load_state_dict(state["optimizer"])
                torch.set_rng_state(state["random"])
                first = epoch + 1
            for epoch in range(first, cfg["steps"]):
                for rows in torch.randperm(len(x)).split(64):
                    loss = nn.functional.binary_cross_entropy_with_logits(model(x[rows]), y[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    run.log({"batch_loss": loss})
                run.log({"loss": loss}, step=epoch)
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                with run.checkpoint(epoch) as folder:
                    torch.save(state | {"random": torch.get_rng_state()}, folder / "state.pt")
                die(run, cfg, epoch)
            return {"weights": sum(float(each.abs().sum()) for each in model.parameters())}
        ''',
    "conf/experiment/network.yaml": """
        # @package _global_
        task: tiny.network.learns
        steps: 6
        die_at: []
        how: kill
        """,
    "conf/experiment/learning.yaml": """
        # @package _global_
        task: tiny.learning.learns
        steps: 12
        die_at: []
        how: kill
        pause: 0
        """,
    "conf/experiment/secret.yaml": """
        # @package _global_
        defaults:
          - learning
          - _self_

        db:
          password: ${oc.env:DB_PASSWORD}
        """,
} | {
    f"conf/schedule/{name}.yaml": f"""
        trigger: {{cron: "0 2 * * *"}}
        experiment: learning
        overrides: ["die_at={die_at}"]
        retry: {{attempts: {attempts}, delay: 0 s, resume: {resume}}}
        """
    for name, die_at, attempts, resume in [
        ("goes_on", "[4,7]", 3, "true"),
        ("anew", "[4]", 2, "false"),
        ("stuck", "[3,4]", 3, "true"),
        ("once", "[4]", 1, "true"),
    ]
}


@dataclass(frozen=True)
class World:
    """A project whose runs die and are resumed, and a run of it that did not."""

    root: Path
    env: dict[str, str]
    control: str

    def kit(self, *arguments: str, code: int | None = 0, **more: str) -> Done:
        return kit(self.root, *arguments, env=self.env | more, code=code)

    def run(self, *arguments: str, code: int) -> dict[str, Any]:
        told: dict[str, Any] = self.kit("run", "--json", *arguments, code=code).json()
        return told

    def spool(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        series: dict[str, list[tuple[int, float]]] = {}
        for point in points_of(ProjectPaths(self.root).run(run_id).spool):
            series.setdefault(point.key, []).append((point.step, point.value))
        return series

    def mlflow(self, run_id: str) -> MlflowRun:
        return mlflow_runs(self.root)[run_id]

    def series(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        """As MLflow has them, without what it measures itself."""
        found = self.mlflow(run_id).metrics
        return {key: points for key, points in sorted(found.items()) if not key.startswith("system/")}

    def attempts(self, schedule: str, marks: Path, *, code: int) -> list[dict[str, Any]]:
        """The runs of a fire, once all of them have ended."""
        marks.mkdir()
        self.kit("run", "--schedule", schedule, "--at", "2026-01-31T02:00:00Z", code=code, MARKS=str(marks))
        found = self.kit("runs", "--json").json()
        return sorted((run for run in found if run["name"] == schedule), key=lambda run: run["created_at"])

    def begun_at(self, run_id: str) -> list[str]:
        return [line.split(",")[0] for line in self.log(run_id).splitlines() if line.startswith("begins at")]

    def log(self, run_id: str) -> str:
        return ProjectPaths(self.root).run(run_id).log.read_text()

    def is_as_if_never_stopped(self, run_id: str) -> None:
        assert self.spool(run_id) == self.spool(self.control)
        assert self.series(run_id) == self.series(self.control)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("resume")
    env = environment(folder / "home", DB_PASSWORD=SECRET, KIT_FORKSERVER="on")
    root = new_project(folder / "tiny", FILES)
    control = kit(root, "run", "experiment=learning", "--json", env=env).json()["run_id"]
    yield World(root, env, control)
    until(lambda: processes_of(root) == [], "everything of every run to be gone")


def test_a_run_that_was_killed_twice_ends_as_one_that_was_not(world: World) -> None:
    first = world.run("experiment=learning", "die_at=[4,7]", code=1)
    again = world.run("--resume", "last", code=1)
    last = world.run("--resume", first["run_id"][:6], code=0)
    assert first["run_id"] == again["run_id"] == last["run_id"]
    assert [first["status"], again["status"], last["status"]] == ["failed", "failed", "succeeded"]
    assert (last["exit_code"], last["reason"]) == (0, None)
    world.is_as_if_never_stopped(last["run_id"])
    assert last["metrics"] == world.kit("show", "--json", world.control).json()["metrics"]

    assert "  resumed     2 times\n" in world.kit("show", last["run_id"]).out
    tracked = world.mlflow(last["run_id"])
    assert tracked.status == "FINISHED"
    assert tracked.tags["kit.resumed"] == "2"
    assert "kit.reason" not in tracked.tags
    assert tracked.params["features"] == "21"
    assert [line for line in world.log(last["run_id"]).splitlines() if line.startswith("begins at")] == [
        "begins at 0, version 1, None",
        "begins at 3, version 1, None",
        "begins at 6, version 1, None",
    ]
    assert world.kit("runs", "--json", "--status", "succeeded").json()[0]["run_id"] == last["run_id"]


@pytest.mark.exhaustive
def test_pytorch_on_a_cpu_goes_on_bit_for_bit(world: World) -> None:
    pytest.importorskip("torch")
    straight = world.run("experiment=network", code=0)["run_id"]
    stopped = world.run("experiment=network", "die_at=[2]", code=1)["run_id"]
    assert world.run("--resume", "last", code=0)["run_id"] == stopped
    assert world.spool(stopped) == world.spool(straight)
    assert world.series(stopped) == world.series(straight)


def test_a_supervisor_that_was_taken_for_dead_leaves_the_run_to_the_one_that_has_it(world: World) -> None:
    client = start_kit(world.root, "run", "experiment=learning", "steps=1000", "pause=0.2", env=world.env)
    project = open_project(world.root)
    store = project.store

    def running() -> str | None:
        found = store.runs(RunQuery(statuses=frozenset({RunStatus.RUNNING}), limit=1))
        return found[0].run_id if found and found[0].supervisor and found[0].mlflow_run_id else None

    run_id = until(running, "the run to be under way")
    assert run_id is not None
    paths = project.paths.run(run_id)
    store.transition(run_id, RunStatus.LOST, at=_clock.now())  # as from another machine, which cannot see it
    paths.taken.unlink()
    assert take(paths, this_process())
    begun = store.resume(run_id, at=_clock.now(), starter=this_process())
    until(lambda: client.poll() is not None, "its client to be told")
    client.communicate()
    until(lambda: processes_of(world.root) == [], "everything of the old one to be gone")
    found = store.get(run_id)
    assert found == begun
    store.transition(run_id, RunStatus.CANCELLED, at=_clock.now())


def test_it_goes_on_with_the_code_and_data_that_it_began_with(world: World) -> None:
    first = world.run("experiment=learning", "die_at=[7]", "how=raise", code=1)
    code = world.root / "src" / "tiny" / "learning.py"
    before = code.read_text()
    code.write_text(before.replace("VERSION = 1", "VERSION = 2").replace("weight += generator", "weight -= generator"))
    (world.root / "conf" / "experiment" / "learning.yaml").write_text("task: tiny.none.at_all\n")
    try:
        resumed = world.kit("run", "--json", "--resume", "last")
        status = git(world.root, "status", "--porcelain").split()
    finally:
        git(world.root, "checkout", "--quiet", ".")
    assert resumed.json()["run_id"] == first["run_id"]
    assert "note: the project's code is not what it was when the run began" in resumed.err
    assert "begins at 6, version 1, None" in world.log(first["run_id"])
    world.is_as_if_never_stopped(first["run_id"])
    assert status == ["M", "conf/experiment/learning.yaml", "M", "src/tiny/learning.py"]
    assert list((world.root / ".kit" / "worktrees").iterdir()) == []
    assert len(git(world.root, "worktree", "list").splitlines()) == 1


def test_secrets_come_from_where_they_came_from_and_are_kept_nowhere(world: World) -> None:
    first = world.run("experiment=secret", "die_at=[4]", code=1)
    refused = world.kit("run", "--resume", "last", code=2, DB_PASSWORD="")
    assert "db.password held a secret, and composing the config now gives something else there" in refused.err
    resumed = world.run("--resume", "last", code=0)
    assert resumed["metrics"]["letters"] == len(SECRET)
    folder = ProjectPaths(world.root).run(first["run_id"]).root
    files = [path for path in [*folder.rglob("*"), *world.root.glob(".kit/*")] if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_what_cannot_be_resumed_is_refused(world: World) -> None:
    def refused(*arguments: str) -> str:
        done = world.kit("run", *arguments, code=2)
        assert done.out == ""
        assert "Traceback" not in done.err
        return done.err

    assert "has succeeded: nothing of it is left to do" in refused("--resume", world.control)
    early = world.run("experiment=learning", "die_at=[1]", code=1)["run_id"]
    assert "left no checkpoint to go on from" in refused("--resume", early)
    assert "kit run experiment=learning" in refused("--resume", early)
    told = world.run("experiment=learning", "die_at=[4]", f"+db.password={SECRET}", code=1)["run_id"]
    assert "was given a secret on its command line" in refused("--resume", told)
    assert SECRET not in refused("--resume", told)
    assert "no run 'nope'" in refused("--resume", "nope")
    assert "--resume does not take overrides" in refused("--resume", "last", "steps=20")
    assert "--resume does not take --timeout" in refused("--resume", "last", "--timeout", "5")
    assert "--resume and --cron exclude each other" in refused("--resume", "last", "--cron", "* * * * *")
    assert "--resume and --dry-run exclude each other" in refused("--resume", "last", "--dry-run")


def test_only_one_of_two_who_ask_goes_on_with_it(world: World) -> None:
    first = world.run("experiment=learning", "die_at=[4]", code=1)
    both = [start_kit(world.root, "run", "--resume", first["run_id"], env=world.env) for _ in range(2)]
    told = [process.communicate(timeout=200) for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], told
    world.is_as_if_never_stopped(first["run_id"])


def test_on_a_terminal_what_it_printed_before_is_not_shown_again(world: World) -> None:
    first = world.run("experiment=learning", "die_at=[4]", code=1)
    lines = on_screen(world.root, "run", "--resume", first["run_id"][:6], env=world.env)
    assert any(line.startswith("note: run") and "goes on from its checkpoint of step 2" in line for line in lines)
    text = "\n".join(lines)
    assert "begins at 3" in text
    assert "begins at 0" not in text
    assert all(len(line) <= 80 for line in lines if not line.startswith("note:"))


def test_a_later_attempt_begins_where_the_one_before_it_was_stopped(world: World, tmp_path: Path) -> None:
    runs = world.attempts("goes_on", tmp_path / "marks", code=0)
    first, second, third = (run["run_id"] for run in runs)
    assert [world.begun_at(run["run_id"]) for run in runs] == [["begins at 0"], ["begins at 3"], ["begins at 6"]]
    assert f"there is a checkpoint to go on from: step 2, of run {first}" in world.log(second)
    assert world.mlflow(third).tags["kit.resumed_from"] == second
    straight = world.spool(world.control)
    for key in ("batch_loss", "loss", "accuracy"):
        last = world.spool(third)[key]
        assert last == straight[key][-len(last) :]
        assert last[0][0] == (12 if key == "batch_loss" else 6)
    assert world.spool(third)["score"] == straight["score"]
    assert world.series(third) == {key: sorted(points) for key, points in sorted(world.spool(third).items())}
    repeated = world.kit("reproduce", third, "--json", MARKS=str(tmp_path / "marks"))
    assert repeated.json()["verdict"] == "identical"


@pytest.mark.slow
def test_a_later_attempt_begins_anew_if_the_schedule_says_so(world: World, tmp_path: Path) -> None:
    runs = world.attempts("anew", tmp_path / "marks", code=0)
    assert [world.begun_at(run["run_id"]) for run in runs] == [["begins at 0"]] * 2
    world.is_as_if_never_stopped(runs[-1]["run_id"])


@pytest.mark.exhaustive
def test_an_attempt_that_got_no_further_is_not_followed(world: World, tmp_path: Path) -> None:
    runs = world.attempts("stuck", tmp_path / "marks", code=0)
    begun = [world.begun_at(run["run_id"]) for run in runs]
    assert begun == [["begins at 0"], ["begins at 3"], ["begins at 0"]]


def test_the_run_of_a_schedule_that_gave_it_up_is_resumed_by_hand(world: World, tmp_path: Path) -> None:
    (run,) = world.attempts("once", tmp_path / "marks", code=1)
    resumed = world.kit("run", "--json", "--resume", run["run_id"], MARKS=str(tmp_path / "marks"))
    assert resumed.json()["status"] == "succeeded"
    assert "begins at 3, version 1, once" in world.log(run["run_id"])
    world.is_as_if_never_stopped(run["run_id"])


def below(client: subprocess.Popen[str], word: str) -> list[int]:
    """The processes of kit that the command started, whose command line has the word."""
    found = []
    for process in psutil.Process(client.pid).children(recursive=True) if client.poll() is None else []:
        try:
            command = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if " -m kit." in command and word in command:
            found.append(process.pid)
    return found


def kill_some(world: World, dice: random.Random, run_id: str) -> None:
    """Resume the run, and some time later kill whoever the dice say."""
    client = start_kit(world.root, "run", "--resume", run_id, env=world.env)
    threading.Event().wait(dice.uniform(0.0, 9.0))
    words = {"task": "kit._worker", "supervisor": "_supervisor", "client": "nobody", "all": ""}
    victim = dice.choice([*words])
    doomed = below(client, words[victim]) + ([client.pid] if victim in {"client", "all"} else [])
    for pid in doomed:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it followed the one before it
            continue
    client.communicate(timeout=200)


def settled(world: World, run_id: str) -> str:
    """How it ended, as soon as that is known."""

    def status() -> str | None:
        found = world.kit("show", "--json", run_id).json()["status"]
        return found if found not in {"starting", "running"} else None

    told = until(status, "the run to be settled")
    assert told is not None
    return told


def resumed_under_fire(world: World, dice: random.Random, kills: int) -> None:
    """A run whose resumes are killed at any moment, again and again, until one is let through."""
    run_id = world.run("experiment=learning", "pause=0.4", "die_at=[4]", code=1)["run_id"]
    for _ in range(kills):
        kill_some(world, dice, run_id)
        if settled(world, run_id) == "succeeded":  # it was quicker
            break
        until(lambda: processes_of(world.root) == [], "everything of the run to be gone")
    else:
        assert world.run("--resume", run_id, code=0)["status"] == "succeeded"
    world.is_as_if_never_stopped(run_id)
    assert until(lambda: world.mlflow(run_id).status != "RUNNING", "MLflow to be told")
    assert world.mlflow(run_id).status == "FINISHED"


@pytest.mark.parametrize("seed", [5, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(5))])
@pytest.mark.slow
def test_a_resume_that_is_killed_at_any_moment_can_be_resumed(world: World, seed: int) -> None:
    resumed_under_fire(world, random.Random(seed), kills=3 if seed == 5 else 8)
