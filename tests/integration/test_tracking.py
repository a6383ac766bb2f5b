"""Whatever becomes of the server, the run's result is the same, and MLflow has what a control run has, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kit.paths import ProjectPaths, RunPaths
from kit.trackers.spool import points_of
from tests.servers import Behaviour, Proxy, Server, mlflow_server
from tests.support import closed_port, environment, kit, mlflow_runs, new_project, start_kit, until

STEPS = 40
TASK = f'''
"""A task that logs everything there is, and waits where it is told to."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import kit


@dataclass(frozen=True)
class TrainConfig:
    pause: float = 0.0
    imports: bool = False


def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]:
    if cfg.imports:
        import mlflow

        mlflow.log_metric("own", 1.5)
        assert mlflow.active_run().data.tags["kit.run_id"] == run.id
    run.params({{"rows": 336}})
    for step in range({STEPS}):
        run.log({{"loss": 1 / (step + 1), "auc": step / 100}}, step=step)
        run.log({{"counted": step * 2.0}})
        time.sleep(cfg.pause)
    Path("report.txt").write_text("all is well\\\\n" * 1000)
    run.artifact("report.txt", "reports/report.txt")
    print("hello from the task")
    return {{"score": 0.75, "loads_mlflow": float("mlflow" in sys.modules)}}
'''
FILES = {
    "src/tiny/train.py": TASK,
    "conf/config.yaml": """
        defaults:
          - _self_
          - experiment: baseline

        seed: 7
        pause: 0.0
        imports: false
        """,
    "conf/experiment/given-up.yaml": "# @package _global_\ntask: tiny.train.train\n",
    ".gitignore": "__pycache__/\n.kit/\nmlflow.db*\nmlruns/\nreport.txt\n",
}


@dataclass(frozen=True)
class World:
    """A project, and a server that all of its runs come to in the end."""

    root: Path
    server: Server
    env: dict[str, str]
    control: str = ""
    known: dict[str, Any] = field(default_factory=dict)

    def at(self, uri: str) -> dict[str, str]:
        return self.env | {"MLFLOW_TRACKING_URI": uri}

    def run(self, uri: str, *overrides: str) -> dict[str, Any]:
        found: dict[str, Any] = kit(self.root, "run", "--json", *overrides, env=self.at(uri)).json()
        return found

    def sync(self, uri: str, *, code: int | None = 0) -> dict[str, Any]:
        told: dict[str, Any] = kit(self.root, "sync", "--json", env=self.at(uri), code=code).json()
        return told

    def told(self, run_id: str) -> dict[str, Any]:
        """What MLflow's own client says of a run, but for what differs between any two."""
        from mlflow import MlflowClient

        client = MlflowClient(self.server.uri)
        experiments = [each.experiment_id for each in client.search_experiments()]
        runs = client.search_runs(experiments, filter_string=f"tags.`kit.run_id` = '{run_id}'")
        assert len(runs) == 1, f"{len(runs)} runs of {run_id}"
        run = runs[0]
        series = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        artifacts = self.server.artifacts_of(run.info.run_id)
        return {
            "status": run.info.status,
            "params": run.data.params,
            "inputs": {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs},
            "tags": {key: value for key, value in run.data.tags.items() if key not in _OWN},
            "series": {
                key: [(point.step, point.value) for point in points]
                for key, points in series.items()
                if not key.startswith("system/")
            },
            "artifacts": sorted(artifacts),
            "report": artifacts.get("reports/report.txt"),
            "log": artifacts.get("logs/console.log"),
        }


_OWN = {"kit.run_id", "kit.command", "mlflow.source.git.commit"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("tracking")
    root, folder = new_project(base / "tiny", FILES), base / "server"
    folder.mkdir()
    with mlflow_server(folder) as server:
        made = World(root, server, environment(base / "home", MLFLOW_HTTP_REQUEST_TIMEOUT="10"))
        control = made.run(server.uri)
        yield World(root, server, made.env, control["run_id"], made.told(control["run_id"]))


def test_the_control_run_is_all_there(world: World) -> None:
    known = world.known
    assert known["status"] == "FINISHED"
    assert known["params"]["rows"] == "336"
    assert known["series"]["loss"] == [(step, 1 / (step + 1)) for step in range(STEPS)]
    assert known["series"]["counted"] == [(step, step * 2.0) for step in range(STEPS)]
    assert known["artifacts"] == ["config.yaml", "logs/console.log", "reports/report.txt", "spec.json"]
    assert known["series"]["loads_mlflow"] == [(0, 0.0)]  # nor does the run's own process


def test_a_task_that_imports_mlflow_finds_the_run_active(world: World) -> None:
    found = world.run(world.server.uri, "imports=true")
    told = world.told(found["run_id"])
    assert found["tracked"] is True
    assert told["status"] == "FINISHED"
    assert told["series"]["own"] == [(0, 1.5)]
    assert told["series"]["loss"] == world.known["series"]["loss"]


def lost_the_first_time() -> Callable[[str, int], Behaviour]:
    """Whatever is asked for the first time is done, and nobody hears of it."""
    done: dict[str, int] = {}

    def behave(path: str, _before: int) -> Behaviour:
        done[path] = done.get(path, 0) + 1
        return "lost" if done[path] % 2 else "pass"

    return behave


BAD: dict[str, Callable[[], Callable[[str, int], Behaviour]]] = {
    "down": lambda: lambda _path, _before: "hang up",
    "silent": lambda: lambda _path, _before: "silent",
    "500": lambda: lambda _path, _before: "500",
    "429": lambda: lambda _path, _before: "429",
    "answers are lost": lost_the_first_time,
    "it begins and is silent": lambda: lambda _path, before: "pass" if before < 5 else "silent",
    "dies in the middle": lambda: lambda _path, before: "pass" if before < 8 else "hang up",
    "dies after it took a batch": lambda: lambda _path, before: "pass" if before < 8 else "lost",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BAD)
def test_whatever_the_server_does_the_result_is_the_same_and_all_arrives_once(world: World, kind: str) -> None:
    with Proxy(world.server.uri) as proxy:
        proxy.behaves = BAD[kind]()
        found = world.run(proxy.uri, "pause=0.03")
        assert (found["status"], found["exit_code"]) == ("succeeded", 0)
        assert found["metrics"]["score"] == 0.75
        if kind == "silent":
            assert proxy.answered == 0  # nobody waited for it
        if not found["tracked"]:
            left = world.sync(proxy.uri, code=4)["left"] if kind in {"down", "500", "429"} else []
            assert all(each["id"] == found["run_id"] and each["why"] and each["fix"] for each in left)
        proxy.always("pass")
        world.sync(proxy.uri)
        told = world.told(found["run_id"])
        assert told | {"log": None, "params": None} == world.known | {"log": None, "params": None}
        assert told["params"] | {"pause": "0.0"} == world.known["params"]
        assert b"hello from the task" in told["log"]
        assert world.sync(proxy.uri) == {"sent": [], "left": []}


@pytest.mark.slow
def test_a_server_that_is_not_there_is_found_when_it_is(world: World) -> None:
    """Nobody listens; later somebody does, on the same port."""
    port = closed_port()
    found = world.run(f"http://127.0.0.1:{port}")
    assert (found["status"], found["tracked"]) == ("succeeded", False)
    with Proxy(world.server.uri, port=port) as proxy:
        sent = world.sync(proxy.uri)
    assert [each["id"] for each in sent["sent"]] == [found["run_id"]]
    assert world.told(found["run_id"]) | {"log": None} == world.known | {"log": None}


@pytest.mark.slow
def test_what_is_refused_for_one_run_holds_up_no_other(world: World) -> None:
    """An experiment that somebody has deleted in MLflow."""
    from mlflow import MlflowClient

    client = MlflowClient(world.server.uri)
    client.delete_experiment(client.create_experiment("tiny/given-up"))
    with Proxy(world.server.uri) as proxy:
        proxy.always("hang up")
        refused = world.run(proxy.uri, "experiment=given-up")["run_id"]
        other = world.run(proxy.uri)["run_id"]
        proxy.always("pass")
        told = world.sync(proxy.uri, code=4)
        assert [each["id"] for each in told["left"]] == [refused]
        assert told["left"][0]["why"].startswith("MLflow refused")
        assert told["left"][0]["fix"]
        assert world.told(other) | {"log": None} == world.known | {"log": None}
        client.restore_experiment(client.get_experiment_by_name("tiny/given-up").experiment_id)
        shown = kit(world.root, "sync", env=world.at(proxy.uri)).out
        assert shown == f"run\tname\tstate\twhy\n{refused}\tgiven-up\tsent\t\n"


@pytest.mark.slow
def test_the_end_of_a_sweep_arrives_later_too(world: World) -> None:
    with Proxy(world.server.uri) as proxy:
        proxy.always("hang up")
        swept = kit(world.root, "run", "-m", "pause=0.0,0.001", "--json", env=world.at(proxy.uri)).json()
        proxy.always("pass")
        until(lambda: world.sync(proxy.uri, code=None)["left"] == [], "everything to arrive")
        assert world.sync(proxy.uri) == {"sent": [], "left": []}
    tracked = mlflow_runs(world.server.folder).values()
    (above,) = [run for run in tracked if run.tags.get("kit.sweep") == swept["sweep"]]
    assert above.status == "FINISHED"
    trials = [run for run in tracked if run.tags.get("kit.parent") == swept["sweep"]]
    assert [trial.tags["mlflow.parentRunId"] for trial in trials] == [above.run_id] * 2


@pytest.mark.slow
def test_what_a_killed_run_logged_arrives(world: World) -> None:
    """The task's process and its supervisor are killed while the server is silent."""
    with Proxy(world.server.uri) as proxy:
        proxy.always("silent")
        process = start_kit(world.root, "run", "--json", "pause=5", env=world.at(proxy.uri))
        paths = ProjectPaths(world.root)
        run = until(lambda: _logging(paths), "a run that logs")
        assert run is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        proxy.always("pass")
        until(lambda: world.sync(proxy.uri)["left"] == [], "everything to arrive")
        record = kit(world.root, "show", "--json", run.root.name, env=world.at(proxy.uri)).json()
        assert record["status"] in {"cancelled", "lost", "failed"}
        told = world.told(run.root.name)
        assert told["status"] in {"KILLED", "FAILED"}
        assert told["series"]["loss"] == [
            (point.step, point.value) for point in points_of(run.spool) if point.key == "loss"
        ]


def _logging(paths: ProjectPaths) -> RunPaths | None:
    runs = sorted(paths.runs.iterdir(), key=lambda folder: folder.stat().st_mtime)
    last = RunPaths(runs[-1])
    return last if not last.result.exists() and points_of(last.spool) else None


def test_what_was_logged_before_a_kill_is_in_the_spool(tmp_path: Path) -> None:
    """Of each value that `run.log` returned for, the process says so; it is killed wherever it is."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom kit.testing import fake_run\n"
        f"run = fake_run(Path({str(tmp_path)!r}))\n"
        "for number in range(10**9):\n"
        "    run.log({'loss': float(number)})\n"
        "    sys.stdout.write(f'{number}\\n')\n"
        "    sys.stdout.flush()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(2000)]
        process.kill()
        said += process.stdout.readlines()
    told = [int(line) for line in said if line.endswith("\n")]
    found = [point.value for point in points_of(RunPaths(tmp_path / "run").spool)]
    assert len(told) >= 2000
    assert found[: len(told)] == [float(number) for number in told]
    assert len(found) - len(told) in {0, 1}  # one more may have been logged than could be said


def test_an_unknown_backlog_is_nothing(world: World) -> None:
    assert json.loads(kit(world.root, "sync", "--json", env=world.at(world.server.uri)).out) == {"sent": [], "left": []}
    assert "everything" in kit(world.root, "sync", env=world.at(world.server.uri)).out
    assert world.control in mlflow_runs(world.server.folder)
