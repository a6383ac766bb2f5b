"""What a trial costs: 20 trials of a task that does nothing, beside Hydra's basic launcher and its joblib launcher.

python benchmarks/sweep.py [--rounds N] [--trials N] [--jobs N] [--json FILE] [--joblib PYTHON]

The scripts beside it are what a user would write by hand: hydra.main, mlflow.start_run, ten parameters, a hundred
points of a metric, one artifact. One run and a sweep of N trials are measured of each, in turns, so that a machine that
is busy is so for all of them. What a trial costs is the difference, for each trial more: (sweep - one run) / (N - 1).
Medians over the rounds, and ratios of medians; nothing is asserted. hydra-joblib-launcher is not among kit's
dependencies: `--joblib` names the Python of an environment with it, mlflow and hydra-core; without it, it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support import new_project

KIT = Path(sys.executable).with_name("kit")
CONF = "".join(f"p{number}: {number}\n" for number in range(10))
TASK = """
    import kit


    def nothing(cfg: dict, run: kit.Run) -> dict[str, float]:
        for step in range(100):
            run.log({"loss": 1.0 / (step + 1)}, step=step)
        path = run.dir / "model.txt"
        path.write_text("nothing")
        run.artifact(path)
        return {"score": 1.0}
    """
SCRIPT = """
    from pathlib import Path

    import hydra
    import mlflow


    @hydra.main(version_base="1.3", config_path="conf", config_name="config")
    def main(cfg):
        mlflow.set_tracking_uri(f"sqlite:///{Path(__file__).with_name('mlflow.db')}")
        mlflow.set_experiment("nothing")
        with mlflow.start_run():
            mlflow.log_params({f"p{number}": cfg[f"p{number}"] for number in range(10)})
            for step in range(100):
                mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
            path = Path("model.txt")
            path.write_text("nothing")
            mlflow.log_artifact(str(path))
        return 1.0


    main()
    """


@dataclass(slots=True)
class Way:
    """One way to run a sweep, and what it took, in seconds."""

    name: str
    command: Callable[[int], Sequence[str]]
    folder: Path
    one: list[float] = field(default_factory=list)
    sweep: list[float] = field(default_factory=list)

    def run(self, trials: int) -> None:
        (self.sweep if trials > 1 else self.one).append(timed(self.command(trials), self.folder))

    def cost(self, trials: int) -> dict[str, float]:
        one, sweep = statistics.median(self.one), statistics.median(self.sweep)
        return {"one": one, "sweep": sweep, "trial": (sweep - one) / (trials - 1)}


def timed(command: Sequence[str], folder: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return took


def kit_way(folder: Path, jobs: int) -> Way:
    files = {"src/tiny/nothing.py": TASK, "conf/experiment/nothing.yaml": _experiment()}
    root = new_project(folder / "kit", files)

    def command(trials: int) -> Sequence[str]:
        given = ["experiment=nothing", f"p0=range(0,{trials})", "-j", str(jobs)]
        return [str(KIT), "run", "-m", *given] if trials > 1 else [str(KIT), "run", "experiment=nothing"]

    return Way("kit", command, root)


def _experiment() -> str:
    return f"# @package _global_\ntask: tiny.nothing.nothing\n{CONF}"


def hydra_way(folder: Path, name: str, python: str, launcher: Sequence[str]) -> Way:
    root = folder / name.replace(" ", "-")
    (root / "conf").mkdir(parents=True)
    (root / "conf" / "config.yaml").write_text(CONF)
    (root / "train.py").write_text(dedent(SCRIPT))

    def command(trials: int) -> Sequence[str]:
        more = ["-m", f"p0=range(0,{trials})", *launcher] if trials > 1 else []
        return [python, "train.py", *more]

    return Way(name, command, root)


def show(result: dict[str, dict[str, float]]) -> None:
    base = result["kit"]["trial"]
    print(f"{'':<22}{'one run':>10}{'sweep':>10}{'a trial':>12}{'x kit':>8}")
    for name, cost in result.items():
        ratio = f"{cost['trial'] / base:.1f}" if base > 0 else "-"
        print(
            f"{name:<22}{cost['one']:>8.2f} s{cost['sweep']:>8.2f} s{cost['trial'] * 1000:>9.0f} ms{ratio:>8}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--joblib")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kit-benchmark-"))
    try:
        ways = [kit_way(folder, options.jobs), hydra_way(folder, "hydra basic", sys.executable, [])]
        if options.joblib:
            given = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={options.jobs}"]
            ways.append(hydra_way(folder, "hydra joblib", options.joblib, given))
        for way in ways:  # stores are made, bytecode is written, and kit's forkserver starts
            timed(way.command(1), way.folder)
        for number in range(options.rounds):
            for way in ways if number % 2 == 0 else reversed(ways):
                way.run(1)
                way.run(options.trials)
        result = {way.name: way.cost(options.trials) for way in ways}
        show(result)
        if options.json:
            raw = {way.name: {"one": way.one, "sweep": way.sweep} for way in ways}
            about = {"trials": options.trials, "jobs": options.jobs, "rounds": options.rounds, "python": sys.version}
            options.json.write_text(json.dumps(about | {"medians": result, "raw": raw}, indent=2) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
