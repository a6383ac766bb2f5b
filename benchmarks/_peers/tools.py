"""Other tools that run experiments: each as its documentation does it, and without what it need not do."""

from __future__ import annotations

import sqlite3
import subprocess
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from textwrap import dedent, indent

from benchmarks._peers.environments import Failed
from benchmarks._peers.peer import Peer, free_port, mlflow_works, until
from benchmarks._peers.work import ARTIFACT, LOSS, NAMES, POINTS, parameters_yaml

__all__ = ["Dvc", "Guild", "Kedro", "Metaflow", "Prefect"]


class Dvc(Peer):
    """Its points are a file of plots: DVCLive would have to be imported."""

    name = "dvc"
    about = "dvc exp run; dvc exp run --queue and dvc queue start"
    environment = "dvc"
    sweeps = True
    value = 100

    @classmethod
    def files(cls) -> dict[str, str]:
        return {
            "params.yaml": parameters_yaml(),
            "train.py": f"""
                import json

                with open("params.yaml") as file:
                    parameters = file.read()
                points = [{{"step": step, "loss": loss}} for step, loss in enumerate({LOSS})]
                with open("loss.json", "w") as file:
                    json.dump(points, file)
                with open("artifact.txt", "w") as file:
                    file.write("{ARTIFACT} of " + parameters)
                """,
            "dvc.yaml": f"""
                stages:
                  train:
                    cmd: python train.py
                    deps: [train.py]
                    params: {NAMES}
                    outs: [artifact.txt]
                    plots:
                      - loss.json:
                          cache: false
                          x: step
                          y: loss
                """,
        }

    def prepare(self) -> None:
        super().prepare()
        self.do("git", "init", "-q")
        self.do("dvc", "init", "-q")
        self.do("git", "add", "-A")
        self.do("git", "commit", "-qm", "start")

    def cold(self) -> None:
        self.value += 1  # what it has run before it does not run again
        self.do("dvc", "exp", "run", "-q", "-S", f"p0={self.value}")

    def sweep(self, trials: int) -> None:
        wanted = self.recorded() + trials
        first, self.value = self.value + 1, self.value + trials
        self.do("dvc", "exp", "run", "-q", "--queue", "-S", f"p0=range({first},{first + trials})")
        self.do("dvc", "queue", "start", "-q", "-j", str(self.jobs))
        until(lambda: self.recorded() >= wanted, "DVC's queue")

    def stop(self) -> None:
        self.do("dvc", "queue", "stop", "-q", "--kill")

    def recorded(self) -> int:
        refs = self.root / ".git" / "refs" / "exps"
        return sum(1 for path in refs.glob("??/*/*") if path.is_file())


class Kedro(Peer):
    name = "kedro"
    about = "kedro run with kedro-mlflow; it has no sweeps: a trial is a run"
    environment = "kedro"
    scaffolds = ("kedro new: files",)

    @classmethod
    def files(cls) -> dict[str, str]:
        return {
            "pyproject.toml": """
                [tool.kedro]
                package_name = "bench"
                project_name = "bench"
                kedro_init_version = "1.7.0"
                source_dir = "src"
                """,
            "conf/base/parameters.yml": parameters_yaml(),
            "conf/base/catalog.yml": """
                loss:
                  type: kedro_mlflow.io.metrics.MlflowMetricHistoryDataset
                artifact:
                  type: kedro_mlflow.io.artifacts.MlflowArtifactDataset
                  dataset:
                    type: text.TextDataset
                    filepath: data/artifact.txt
                """,
            "conf/base/mlflow.yml": """
                server:
                  mlflow_tracking_uri: sqlite:///mlflow.db
                tracking:
                  experiment:
                    name: bench
                """,
            "conf/local/.keep": "",
            "src/bench/__init__.py": '__version__ = "0"\n',
            "src/bench/settings.py": 'CONFIG_LOADER_ARGS = {"base_env": "base", "default_run_env": "local"}\n',
            "src/bench/pipeline_registry.py": f"""
                from kedro.pipeline import node, pipeline


                def train(*values):
                    return {LOSS}, "{ARTIFACT}"


                def register_pipelines():
                    names = [f"params:{{name}}" for name in {NAMES}]
                    return {{"__default__": pipeline([node(train, names, ["loss", "artifact"])])}}
                """,
        }

    def cold(self) -> None:
        self.do("kedro", "run")

    def scaffold(self, kind: str, target: Path) -> None:
        assert kind in self.scaffolds
        self.do("kedro", "new", "--name=bench", "--tools=none", "--example=n", "--telemetry=no", cwd=target)

    def recorded(self) -> int:
        return mlflow_works(self.root / "mlflow.db", POINTS)


_ONE_STEP = f"""
    @step(start=True, end=True)
    def train(self):
        self.loss = {LOSS}
        self.artifact = "{ARTIFACT}"
    """
_FOR_EACH = f"""
    trials = Parameter("trials", default=1)

    @step
    def start(self):
        self.values = list(range(self.trials))
        self.next(self.train, foreach="values")

    @step
    def train(self):
        self.value = self.input
        self.loss = {LOSS}
        self.artifact = "{ARTIFACT}"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass
    """


def _flow(name: str, steps: str) -> str:
    parameters = "".join(f'{name} = Parameter("{name}", default={number})\n' for number, name in enumerate(NAMES))
    body = indent(parameters + dedent(steps), "    ")
    begin = "from metaflow import FlowSpec, Parameter, step\n\n\n"
    return f'{begin}class {name}(FlowSpec):\n{body}\n\nif __name__ == "__main__":\n    {name}()\n'


class Metaflow(Peer):
    """With the local store, and one step where it allows one: two steps are two processes."""

    name = "metaflow"
    about = "python flow.py run, of one step; its sweep is a foreach"
    environment = "metaflow"
    sweeps = True

    @classmethod
    def files(cls) -> dict[str, str]:
        return {"one.py": _flow("One", _ONE_STEP), "many.py": _flow("Many", _FOR_EACH)}

    def cold(self) -> None:
        self.do("python", "one.py", "--no-pylint", "run")

    def sweep(self, trials: int) -> None:
        self.do("python", "many.py", "--no-pylint", "run", "--trials", str(trials), "--max-workers", str(self.jobs))

    def recorded(self) -> int:
        return sum(1 for _ in self.root.glob(".metaflow/*/*/train/*/0.DONE.lock"))


class Guild(Peer):
    """It takes a script's globals for its flags, and points from what it prints. Its trials run one after the other."""

    name = "guild"
    about = "guild run; a batch of flags"
    environment = "guild"
    sweeps = True

    @classmethod
    def files(cls) -> dict[str, str]:
        flags = "".join(f"    {name}: {number}\n" for number, name in enumerate(NAMES))
        values = "".join(f"{name} = {number}\n" for number, name in enumerate(NAMES))
        return {
            "guild.yml": f"train:\n  main: train\n  pip-freeze: no\n  flags:\n{flags}",
            "train.py": f"{values}for step, loss in enumerate({LOSS}):\n"
            '    print(f"step: {step}\\nloss: {loss}")\n'
            f'with open("artifact.txt", "w") as file:\n    file.write("{ARTIFACT}")\n',
        }

    def cold(self) -> None:
        self.do("guild", "run", "-y", "train")

    def sweep(self, trials: int) -> None:
        self.do("guild", "run", "-y", "train", f"p0=[{','.join(map(str, range(trials)))}]")

    def recorded(self) -> int:
        return sum(1 for _ in self.folder.glob(".guild/runs/*/artifact.txt"))


_IMPORTS = """\
import sys

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.task_runners import ThreadPoolTaskRunner


"""
_WORK = f"""\
({", ".join(f"{name}: int = {number}" for number, name in enumerate(NAMES))}):
    create_table_artifact([{{"loss": loss}} for loss in {LOSS}], key="loss")
    create_markdown_artifact("{ARTIFACT}", key="artifact")


"""
_MAP = """\
@flow(task_runner=ThreadPoolTaskRunner(max_workers=int(sys.argv[2])))
def sweep(trials: int):
    trial.map(range(trials)).result()


sweep(int(sys.argv[1]))
"""


class Prefect(Peer):
    """Its points are one artifact of a table, and its store is the server's: one request for each.

    Its runner asks every ten seconds what is due, and starts processes ahead, which then wait.
    """

    name = "prefect"
    about = "flow() with a server of its own (cold) or one that is up (warm); its sweep is task.map; flow.serve"
    environment = "prefect"
    warms = sweeps = schedules = True
    every = 5  # a process for each fire takes some two seconds of the processor's
    settle = 20.0
    server: subprocess.Popen[bytes]

    @classmethod
    def files(cls) -> dict[str, str]:
        return {
            "one.py": f"{_IMPORTS}@flow\ndef train{_WORK}train()\n",
            "many.py": f"{_IMPORTS}@task\ndef trial{_WORK}{_MAP}",
            "due.py": f"""
                import time

                from prefect import flow, runtime


                @flow
                def due():
                    now = time.time()
                    with open("fires", "a") as file:
                        file.write(f"{{runtime.flow_run.scheduled_start_time.timestamp()}} {{now}}\\n")


                if __name__ == "__main__":
                    due.serve(name="bench", interval={cls.every})
                """,
        }

    def prepare(self) -> None:
        super().prepare()
        self.env |= {
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_PROFILES_PATH": str(self.folder / "profiles"),
        }

    def cold(self) -> None:
        self.do("python", "one.py")

    def warm(self) -> None:
        self.do("python", "one.py")

    def sweep(self, trials: int) -> None:
        self.do("python", "many.py", str(trials), str(self.jobs))

    def start(self) -> None:
        port = free_port()
        self.server = self.begin("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        address = f"http://127.0.0.1:{port}/api"

        def answers() -> bool:
            if self.server.poll() is not None:
                raise Failed(f"prefect server start: {(self.folder / 'service.log').read_text()[-1500:]}")
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5):
                    return True
            except (OSError, urllib.error.URLError):
                return False

        until(answers, "Prefect's server")
        self.env["PREFECT_API_URL"] = address

    def stop(self) -> None:
        if self.env.pop("PREFECT_API_URL", None) is not None:
            self.end(self.server)
            self.end_all()  # processes that it started ahead, and that are not due yet

    def schedule(self) -> subprocess.Popen[bytes]:
        return self.begin("python", "due.py", log=self.folder / "serve.log")

    def recorded(self) -> int:
        with closing(sqlite3.connect(self.folder / "prefect" / "prefect.db")) as db:
            return int(db.execute("SELECT count(*) FROM artifact WHERE key = 'loss'").fetchone()[0])
