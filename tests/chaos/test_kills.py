"""kill -9 of whatever takes part in a run: kit and MLflow know that it ended, and nothing of it lives on."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import environment, kit, mlflow_runs, new_project, processes_of, start_kit, until

VICTIMS = ("task", "client", "supervisor", "all")
SECRET = "hunter2-correct-horse"
ENDED_BADLY = {"failed", "lost", "cancelled"}
TOLD = {"FAILED", "KILLED"}

FILES = {
    "src/tiny/endless.py": """
        import subprocess
        import sys
        import threading

        import kit


        def train(cfg: dict, run: kit.Run) -> None:
            waits = "import threading; threading.Event().wait()"
            subprocess.Popen([sys.executable, "-c", waits, str(run.dir)])  # as a loader of data would have
            print("started", flush=True)
            pause = threading.Event()
            while True:
                run.log({"loss": 0.5})
                pause.wait(0.02)
        """,
    "conf/experiment/endless.yaml": "# @package _global_\ntask: tiny.endless.train\n",
}


class Arena:
    """A project in which runs are killed."""

    def __init__(self, folder: Path) -> None:
        self.env = environment(folder / "home")
        self.root = new_project(folder / "tiny", FILES)
        kit(self.root, "run", env=self.env)  # the stores are there: how they are made is tested elsewhere

    def start(self, name: str) -> subprocess.Popen[str]:
        secret = f"+db.password={SECRET}"
        return start_kit(self.root, "run", "experiment=endless", "--name", name, secret, env=self.env)

    def kill(self, client: subprocess.Popen[str], victim: str) -> None:
        """Kill one part, as soon as it is there; or all that are there at this moment."""
        roles = {"supervisor": "kit.executors._supervisor", "task": "kit._worker"}
        if victim in roles:
            found = until(lambda: _below(client, roles[victim]), f"the {victim}")
        else:
            found = [psutil.Process(client.pid), *(_below(client, "") if victim == "all" else [])]
        for process in found:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:  # it followed the one before it
                continue

    def known(self, name: str) -> dict[str, Any] | None:
        """The run as `kit runs` tells it, which settles what can be settled; None if it never came to be one."""
        listed = kit(self.root, "runs", "--json", "--limit", "1000", env=self.env).json()
        return next((run for run in listed if run["name"] == name), None)

    def verdict(self, name: str) -> tuple[str, str]:
        """How kit and MLflow say that it ended, once they have nothing left to find out."""
        if self.known(name) is None:
            return "never begun", "unknown"

        def settled() -> dict[str, Any] | None:
            run = self.known(name)
            return run if run is not None and run["status"] not in {"queued", "starting", "running"} else None

        run = until(settled, f"{name} to be settled")
        assert run is not None

        def told() -> str | None:
            found = mlflow_runs(self.root).get(run["run_id"])
            return None if found is None or found.status == "RUNNING" else found.status

        status = until(told, f"MLflow to be told how {name} ended")
        assert status is not None
        return run["status"], status


def _below(client: subprocess.Popen[str], word: str) -> list[psutil.Process]:
    """The supervisor and its task, as far as they are there. What the task started is not killed: kit has to."""
    try:
        below = psutil.Process(client.pid).children(recursive=True)
        commands = {process: " ".join(process.cmdline()) for process in below}
    except psutil.NoSuchProcess:
        return []
    return [process for process, command in commands.items() if " -m kit." in command and word in command]


def finish(arena: Arena, clients: dict[str, tuple[str, subprocess.Popen[str]]]) -> Counter[tuple[str, str, str]]:
    """Judge what became of each."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for name, (victim, client) in clients.items():
        _, err = client.communicate(timeout=200)
        assert "Traceback" not in err, err
        kit_says, mlflow_says = arena.verdict(name)
        seen[victim, kit_says, mlflow_says] += 1
        if kit_says == "never begun":
            assert victim in {"client", "all"}
            continue
        assert kit_says in ENDED_BADLY, (name, victim, kit_says)
        assert mlflow_says in TOLD, (name, victim, mlflow_says)
        if victim in {"task", "supervisor"}:
            assert client.returncode == 1, err
        run = arena.known(name)
        assert run is not None
        spec = arena.root / ".kit" / "runs" / run["run_id"] / "spec.json"
        assert SECRET not in spec.read_text()
    until(lambda: processes_of(arena.root) == [], "everything of every run to be gone")
    return seen


def test_whoever_is_killed_in_the_middle_the_run_is_known_as_ended(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    clients = {victim: (victim, arena.start(victim)) for victim in VICTIMS}
    until(
        lambda: sum("started" in log.read_text() for log in arena.root.glob(".kit/runs/*/console.log")) == len(VICTIMS),
        "all tasks to be in the middle",
    )
    until(
        lambda: all("loss" in run.metrics or run.name == "baseline" for run in mlflow_runs(arena.root).values()),
        "metrics",
    )
    for victim, client in clients.values():
        arena.kill(client, victim)
    seen = finish(arena, clients)
    assert seen == Counter(
        {
            ("task", "failed", "FAILED"): 1,
            ("client", "failed", "FAILED"): 1,
            ("supervisor", "lost", "FAILED"): 1,
            ("all", "lost", "FAILED"): 1,
        }
    )
    for run in mlflow_runs(arena.root).values():
        if run.name in VICTIMS:
            steps = [step for step, _ in run.metrics["loss"]]
            assert steps == list(range(len(steps)))  # nothing lost before the end, nothing twice
            assert (run.artifacts / "logs" / "console.log").read_text().startswith("started\n")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(1, 6))])
def test_whoever_is_killed_at_any_moment_the_run_is_known_as_ended(tmp_path: Path, seed: int) -> None:
    """From the first instant of the command to well into the task: 24 kills in all."""
    moments = random.Random(seed)
    arena = Arena(tmp_path)
    clients = {}
    for victim in VICTIMS:
        name = f"{victim}-{seed}"
        before = len(list(arena.root.glob(".kit/runs/*")))
        clients[name] = (victim, arena.start(name))
        if seed % 2:  # else the command may be killed before there is a run
            until(lambda: len(list(arena.root.glob(".kit/runs/*"))) > before, "the run's folder")  # noqa: B023
        threading.Event().wait(moments.uniform(0, 9))
        arena.kill(clients[name][1], victim)
    print(f"seed {seed}:", dict(finish(arena, clients)))  # noqa: T201


@pytest.mark.slow
def test_a_sweep_whose_command_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    sweep = start_kit(arena.root, "run", "-m", "-j", "2", "experiment=endless", "steps=1,2,3,4", env=arena.env)
    logs = ".kit/runs/*/console.log"
    until(lambda: sum("started" in log.read_text() for log in arena.root.glob(logs)) == 2, "two trials")
    sweep.kill()
    sweep.communicate()
    until(lambda: processes_of(arena.root) == [], "both trials to be gone")
    listed = kit(arena.root, "runs", "--json", "--experiment", "endless", env=arena.env).json()
    assert [run["status"] for run in listed] == ["failed", "failed"]
    found = mlflow_runs(arena.root)
    assert [found[run["run_id"]].status for run in listed] == ["FAILED", "FAILED"]
