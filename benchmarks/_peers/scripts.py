"""kit, and what a user would write by hand with the same libraries: Hydra's launchers, MLflow alone."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

from benchmarks._peers.environments import REPOSITORY, Failed
from benchmarks._peers.peer import Peer, mlflow_works, until
from benchmarks._peers.work import ARTIFACT, NAMES, POINTS, parameters_yaml

__all__ = ["ByHand", "Cookiecutter", "Joblib", "Kit", "Mlflow"]


class Kit(Peer):
    name = "kit"
    about = "kit run (--cold; from its forkserver), kit run -m, kit scheduler"
    environment = "kit"
    warms = stays = sweeps = schedules = True
    learned = False
    scaffolds = ("kit new: files", "kit new: files, repository, first commit")

    @classmethod
    def files(cls) -> dict[str, str]:
        return {
            "pyproject.toml": '[project]\nname = "bench"\nversion = "0"\n[tool.kit]\npackage = "bench"\n',
            ".gitignore": ".kit/\nmlflow.db*\nmlruns/\n__pycache__/\nfires\n",
            "conf/config.yaml": f"defaults: [_self_, experiment: train]\nseed: 7\nmodel:\n{parameters_yaml('  ')}",
            "conf/experiment/train.yaml": "# @package _global_\ntask: bench.train\n",
            "conf/experiment/due.yaml": "# @package _global_\ntask: bench.due\n",
            "conf/schedule/due.yaml": f"trigger: {{interval: {cls.every} s}}\nexperiment: due\n",
            "bench.py": f"""
                import time

                import kit


                def train(cfg: dict, run: kit.Run) -> None:
                    for step in range({POINTS}):
                        run.log({{"loss": 1 / (step + 1)}}, step=step)
                    (run.dir / "artifact.txt").write_text("{ARTIFACT}")
                    run.artifact(run.dir / "artifact.txt")


                def due(cfg: dict, run: kit.Run) -> None:
                    now = time.time()
                    with open("fires", "a") as file:
                        file.write(f"{{run.scheduled_at.timestamp()}} {{now}}\\n")
                """,
        }

    def prepare(self) -> None:
        super().prepare()
        self.git()

    def cold(self) -> None:
        self.do("kit", "run", "--cold")

    def warm(self) -> None:
        if not self._forked():
            self.note = f"{self.note}a warm run was not forked; " + self.said.strip().splitlines()[0]

    def _forked(self) -> bool:
        self.do("kit", "run", "--verbose")
        return "forked from process" in self.said

    def _forked_once_more(self) -> bool:
        self.works += 1
        return self._forked()

    def sweep(self, trials: int) -> None:
        self.do("kit", "run", "-m", f"model.p0=range(0,{trials})", "-j", str(self.jobs))

    def start(self) -> None:
        """A forkserver that has learned from runs; one that is there stays. The run before those measured is forked."""
        until(self._forked_once_more, "the first run that is forked", patience=120)
        if not self.learned:
            time.sleep(6)  # it begins again, should runs have imported more
            until(self._forked_once_more, "a run that is forked", patience=120)
            self.learned = True

    def stop(self) -> None:
        with contextlib.suppress(Failed):
            self.do("kit", "forkserver", "stop")

    def schedule(self) -> subprocess.Popen[bytes]:
        return self.begin("kit", "scheduler")

    def scaffold(self, kind: str, target: Path) -> None:
        less = ["--no-git", "--no-commit", "--no-dvc"] if kind == self.scaffolds[0] else []
        command = ["new", "bench", "--no-input", "--no-lock", "--no-install", "--no-hooks", *less]
        self.do("kit", *command, cwd=target)

    def recorded(self) -> int:
        return mlflow_works(self.root / "mlflow.db", POINTS)


class ByHand(Peer):
    name = "hydra"
    about = "by hand: hydra.main and mlflow.start_run; Hydra's basic launcher"
    environment = "hydra"
    sweeps = True

    @classmethod
    def files(cls) -> dict[str, str]:
        return {
            "conf/config.yaml": f"model:\n{parameters_yaml('  ')}",
            "train.py": f"""
                from pathlib import Path

                import hydra
                import mlflow


                @hydra.main(version_base=None, config_path="conf", config_name="config")
                def main(cfg):
                    mlflow.set_tracking_uri(f"sqlite:///{{Path(__file__).with_name('mlflow.db')}}")
                    mlflow.set_experiment("bench")
                    with mlflow.start_run():
                        for name, value in cfg.model.items():
                            mlflow.log_param(name, value)
                        for step in range({POINTS}):
                            mlflow.log_metric("loss", 1 / (step + 1), step=step)
                        Path("artifact.txt").write_text("{ARTIFACT}")
                        mlflow.log_artifact("artifact.txt")


                main()
                """,
        }

    def cold(self) -> None:
        self.do("python", "train.py")

    def sweep(self, trials: int) -> None:
        self.do("python", "train.py", "-m", f"model.p0=range(0,{trials})", *self.launcher())

    def launcher(self) -> list[str]:
        return []

    def recorded(self) -> int:
        return mlflow_works(self.root / "mlflow.db", POINTS)


class Joblib(ByHand):
    name = "joblib"
    about = "the same script; Hydra's joblib launcher"
    first = "hydra"
    runs = False

    def launcher(self) -> list[str]:
        return ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={self.jobs}"]


class Mlflow(Peer):
    name = "mlflow"
    about = "by hand: MLflow alone; its sweep is a loop in one process"
    environment = "hydra"
    sweeps = True

    @classmethod
    def files(cls) -> dict[str, str]:
        return {
            "train.py": f"""
                import sys
                from pathlib import Path

                import mlflow

                mlflow.set_tracking_uri("sqlite:///mlflow.db")
                mlflow.set_experiment("bench")
                for trial in range(int(sys.argv[1])):
                    with mlflow.start_run():
                        for number, name in enumerate({NAMES}):
                            mlflow.log_param(name, number if number else trial)
                        for step in range({POINTS}):
                            mlflow.log_metric("loss", 1 / (step + 1), step=step)
                        Path("artifact.txt").write_text("{ARTIFACT}")
                        mlflow.log_artifact("artifact.txt")
                """,
        }

    def cold(self) -> None:
        self.do("python", "train.py", "1")

    def sweep(self, trials: int) -> None:
        self.do("python", "train.py", str(trials))

    def recorded(self) -> int:
        return mlflow_works(self.root / "mlflow.db", POINTS)


class Cookiecutter(Peer):
    name = "cookiecutter"
    about = "starts a project: cookiecutter itself with kit's template"
    environment = "cookiecutter"
    runs = False
    scaffolds = ("cookiecutter: kit's template",)

    @classmethod
    def files(cls) -> dict[str, str]:
        return {".keep": ""}

    def scaffold(self, kind: str, target: Path) -> None:
        assert kind in self.scaffolds
        template = str(REPOSITORY / "template" / "ml-project")
        self.do("cookiecutter", "--no-input", "-o", str(target), template, "project_name=bench")

    def recorded(self) -> int:
        return self.works
