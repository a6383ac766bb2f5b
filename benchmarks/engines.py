"""kit on SLURM and on Ray, beside what one would do there by hand: how long until the user's code runs, and a sweep.

    python benchmarks/engines.py [--rounds N] [--trials N] [--queued N] [--only slurm,ray]
                                 [--environments DIR] [--json FILE]

The clusters are those of the tests: three nodes of SLURM with accounting, two of Ray, all on this machine; what they
have to do is next to nothing. From the moment at which the command is typed to the first line of the user's function.
By hand means a job that has Hydra's config and MLflow's run by then, as kit's has; bare means Python and nothing else.
Hydra's launcher for SLURM (submitit) blocks until the last job has ended, and so does its sweep here; kit's does not:
what is measured is the end of the last trial. `--queued` has so many trials wait on SLURM, and asks kit meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._peers.environments import Failed, installed
from tests.engines import NODES, Slurm, ray_cluster, slurm_cluster
from tests.support import KIT, environment, new_project, until

_PATIENCE = 600.0
_TELLS = "open({out!r}, 'a').write(f'{{time.time()}}\\n')"
_TASK = """
    import time


    def tells(cfg: dict) -> dict[str, float]:
        with open(cfg["out"], "a") as file:
            file.write(f"{time.time()}\\n")
        return {"score": float(cfg["x"])}
    """
_BY_HAND = """
    import time

    import hydra
    import mlflow


    @hydra.main(version_base="1.3", config_path="hand", config_name="config")
    def main(cfg):
        mlflow.set_tracking_uri("sqlite:///{store}")
        mlflow.set_experiment("by hand")
        with mlflow.start_run():
            with open(cfg.out, "a") as file:
                file.write(f"{{time.time()}}\\n")
            mlflow.log_param("x", cfg.x)
            mlflow.log_metric("score", float(cfg.x))


    if __name__ == "__main__":
        main()
    """
_SUBMITIT = """
    import sys
    import time

    import submitit


    def tells(out):
        with open(out, "a") as file:
            file.write(f"{time.time()}\\n")


    executor = submitit.AutoExecutor(folder="submitit", cluster="slurm")
    executor.update_parameters(timeout_min=5, cpus_per_task=1)
    executor.submit(tells, sys.argv[1])
    """
_CONFIG = "out: null\nx: 1\n"
_LAUNCHER = "defaults: [_self_, {override hydra/launcher: submitit_slurm}]\n"


class Place:
    """A project on a cluster; what its jobs say when they begin is in `out`."""

    def __init__(self, folder: Path, cluster: Mapping[str, str]) -> None:
        files = {
            "src/tiny/tasks.py": _TASK,
            "conf/experiment/tells.yaml": f"# @package _global_\ntask: tiny.tasks.tells\n{_CONFIG}",
            "by_hand.py": _BY_HAND.format(store=folder / "by-hand.db"),
            "submits.py": _SUBMITIT,
            "hand/config.yaml": _CONFIG,
            "hand/slurm.yaml": _LAUNCHER + _CONFIG,
        }
        self.root = new_project(folder / "tiny", {name: dedent(text).lstrip() for name, text in files.items()})
        self.env = environment(folder / "home", **cluster)
        self.out = folder / "out"

    def begun(self) -> list[float]:
        return [float(line) for line in self.out.read_text().split()] if self.out.exists() else []

    def do(self, *command: str) -> None:
        done = subprocess.run(command, cwd=self.root, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{' '.join(command[:4])}: {(done.stdout + done.stderr).strip()[-1500:]}")

    def to_user_code(self, *command: str) -> float:
        """Seconds from here to the first line of the one job that this submits."""
        self.out.unlink(missing_ok=True)
        typed = time.time()
        self.do(*command)
        (first,) = until(self.begun, f"{command[0]} to get going", seconds=_PATIENCE)
        return first - typed

    def a_trial(self, trials: int, *command: str) -> float:
        """Seconds for each of so many trials, from here to the beginning of the last."""
        self.out.unlink(missing_ok=True)
        typed = time.time()
        self.do(*command)
        until(lambda: len(self.begun()) == trials, f"{trials} trials", seconds=_PATIENCE)
        return (max(self.begun()) - typed) / trials


Ways = dict[str, Callable[[], float]]


def on_slurm(place: Place, trials: int, programs: Path) -> tuple[Ways, Ways]:
    out, values = f"out={place.out}", ",".join(map(str, range(trials)))
    bare = f'{sys.executable} -c "import time; {_TELLS.format(out=str(place.out))}"'
    hand = f"{sys.executable} {place.root}/by_hand.py {out}"
    kit = (str(KIT), "run", "experiment=tells", out, "--on", "slurm")
    python = str(programs / "python")
    hydra = (python, "by_hand.py", "--config-name", "slurm", "-m", out)
    alone: Ways = {
        "sbatch, bare": lambda: place.to_user_code("sbatch", "--output=/dev/null", f"--wrap={bare}"),
        "sbatch, by hand": lambda: place.to_user_code("sbatch", "--output=/dev/null", f"--wrap={hand}"),
        "submitit, bare": lambda: place.to_user_code(python, "submits.py", str(place.out)),
        "Hydra's launcher (submitit)": lambda: place.to_user_code(*hydra),
        "kit run --on slurm": lambda: place.to_user_code(*kit),
    }
    sweeps: Ways = {
        "Hydra's launcher (submitit)": lambda: place.a_trial(trials, *hydra, f"x={values}"),
        "kit run -m --on slurm": lambda: place.a_trial(trials, *kit, "-m", f"x={values}"),
    }
    return alone, sweeps


def on_ray(place: Place, trials: int) -> tuple[Ways, Ways]:
    out, values = f"out={place.out}", ",".join(map(str, range(trials)))
    job = (str(Path(sys.executable).with_name("ray")), "job", "submit", "--no-wait", "--")
    kit = (str(KIT), "run", "experiment=tells", out, "--on", "ray")
    bare = (sys.executable, "-c", f"import time; {_TELLS.format(out=str(place.out))}")
    alone: Ways = {
        "ray job submit, bare": lambda: place.to_user_code(*job, *bare),
        "ray job submit, by hand": lambda: place.to_user_code(
            *job, sys.executable, str(place.root / "by_hand.py"), out
        ),
        "kit run --on ray": lambda: place.to_user_code(*kit),
    }
    return alone, {"kit run -m --on ray": lambda: place.a_trial(trials, *kit, "-m", f"x={values}")}


def queued(place: Place, cluster: Slurm, number: int) -> dict[str, float]:
    """Seconds that kit takes while so many of its trials wait for a node."""
    for node in NODES:
        cluster.ask("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=benchmark")
    values = ",".join(map(str, range(number)))
    sweep = subprocess.Popen(
        [str(KIT), "run", "-m", "experiment=tells", f"out={place.out}", "--on", "slurm", f"x={values}"],
        cwd=place.root, env=place.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        began = time.perf_counter()
        until(lambda: len(cluster.jobs_of(place.root)) >= number, f"{number} jobs", seconds=_PATIENCE * 4)
        found = {"submitted, each": (time.perf_counter() - began) / number}
        for words in (("runs",), ("status",), ("runs", "--json"), ("show", "last")):
            times = []
            for _ in range(5):
                began = time.perf_counter()
                subprocess.run([str(KIT), *words], cwd=place.root, env=place.env, capture_output=True, check=False)
                times.append(time.perf_counter() - began)
            found[f"kit {' '.join(words)}"] = statistics.median(times)
        return found
    finally:
        sweep.terminate()
        sweep.wait()
        cluster.ask("scancel", "--state=PENDING", "--user=root")


def measured(ways: Ways, rounds: int) -> dict[str, float]:
    """The medians; every way in every round, after one that does not count."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, measure in ways.items():
            took = measure()
            if turn:
                found[name].append(took)
    return {name: statistics.median(times) for name, times in found.items()}


def all_of(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    if "slurm" in asked.only:
        programs = installed("submitit", asked.environments)
        with slurm_cluster() as cluster:
            place = Place(folder / "slurm", cluster.environment)
            alone, sweeps = on_slurm(place, asked.trials, programs)
            yield "SLURM: submitted to user code", measured(alone, asked.rounds)
            yield f"SLURM: a trial of {asked.trials}", measured(sweeps, 1)
            if asked.queued:
                yield f"SLURM: {asked.queued} trials queued", queued(place, cluster, asked.queued)
    if "ray" in asked.only:
        with ray_cluster() as cluster_of_ray:
            place = Place(folder / "ray", cluster_of_ray.environment)
            alone, sweeps = on_ray(place, asked.trials)
            yield "Ray: submitted to user code", measured(alone, asked.rounds)
            yield f"Ray: a trial of {asked.trials}", measured(sweeps, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--queued", type=int, default=1_000, help="0 leaves it out")
    parser.add_argument("--only", type=lambda text: text.split(","), default=["slurm", "ray"])
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "kit-benchmarks")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    all_found = {}
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as folder:
        for title, found in all_of(asked, Path(folder)):
            all_found[title] = found
            print(f"\n{title}")
            for name, seconds in found.items():
                print(f"  {name:<34}{seconds:>8.2f} s", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(all_found, indent=2) + "\n")


if __name__ == "__main__":
    main()
