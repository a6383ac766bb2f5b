"""What one run costs: written by hand, and as `kit run`, cold and out of the forkserver.

    python benchmarks/runs.py [--rounds N] [--json FILE]

The work is the same for all: ten parameters, a hundred points of a metric, one artifact, into MLflow's SQLite
store; the task itself does nothing. By hand it is what a user would write: `hydra.main`, `mlflow.start_run`, one
call for each value. Every way is measured in every round, one after the other, so that what else the machine does
falls on all of them alike; what counts are the medians, and how many times as long the script by hand takes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kit.forkserver._control import status, stop
from kit.forkserver._starting import start

_BY_HAND = """
import hydra, mlflow
from omegaconf import DictConfig

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    mlflow.set_tracking_uri("sqlite:///by_hand.db")
    mlflow.set_experiment("by hand")
    with mlflow.start_run():
        for name, value in cfg.model.items():
            mlflow.log_param(name, value)
        for step in range(100):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        with open("artifact.txt", "w") as file:
            file.write("an artifact")
        mlflow.log_artifact("artifact.txt")

main()
"""
_TASK = """
import kit

def train(cfg: dict, run: kit.Run) -> None:
    for step in range(100):
        run.log({"loss": 1 / (step + 1)}, step=step)
    (run.dir / "artifact.txt").write_text("an artifact")
    run.artifact(run.dir / "artifact.txt")
"""
_CONFIG = "task: bench.train\nseed: 7\nmodel:\n" + "".join(f"  p{number}: {number}\n" for number in range(10))


def _project(folder: Path) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "bench"\nversion = "0"\n[tool.kit]\npackage = "bench"\n',
        "conf/config.yaml": _CONFIG,
        "bench.py": _TASK,
        "by_hand.py": _BY_HAND,
        ".gitignore": ".kit/\n*.db*\nmlruns/\noutputs/\n__pycache__/\nartifact.txt\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def _timed(folder: Path, *command: str, **variables: str) -> float:
    before = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, cwd=folder, env=environment | variables, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def _wait_for_server(folder: Path) -> None:
    start(folder)
    while status(folder) is None:
        time.sleep(0.1)
    time.sleep(6)  # it begins again, should runs have imported more
    while status(folder) is None:
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    kit = str(Path(sys.executable).with_name("kit"))
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as name:
        folder = Path(name)
        _project(folder)
        ways: dict[str, Callable[[], float]] = {
            "by hand": lambda: _timed(folder, sys.executable, "by_hand.py"),
            "kit run, cold": lambda: _timed(folder, kit, "run", "--cold"),
            "kit run": lambda: _timed(folder, kit, "run"),
            "python -c pass": lambda: _timed(folder, sys.executable, "-c", "pass"),
        }
        for measure in ways.values():  # stores are made, bytecode is written, the server learns
            measure()
        _wait_for_server(folder)
        try:
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(options.rounds):
                for way, measure in ways.items():
                    seconds[way].append(measure())
            server = status(folder)
        finally:
            stop(folder)
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    print(f"{'':<16}{'median':>10}{'least':>10}{'by hand / this':>16}")
    for way, median in medians.items():
        print(f"{way:<16}{median:>8.3f} s{min(seconds[way]):>8.3f} s{medians['by hand'] / median:>16.1f}")
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"memory: largest process {largest:.0f} MiB, forkserver {server.peak_bytes / 2**20 if server else 0:.0f} MiB")
    if options.json is not None:
        options.json.write_text(json.dumps({"seconds": seconds, "medians": medians}, indent=2) + "\n")


if __name__ == "__main__":
    main()
