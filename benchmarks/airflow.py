"""From the instant at which something is due to the first line of the user's code: Airflow, kit in Airflow, and kit.

    python benchmarks/airflow.py [--ticks N] [--environments DIR] [--json FILE]

A DAG of one Python task in even minutes, the DAG that `kit schedule export airflow` writes in odd ones, in one real
`airflow standalone` on SQLite; then the same schedule under `kit scheduler`. The first tick of each does not count:
Airflow runs it late, when it has found the DAG, and kit's forkserver begins behind its first run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._peers.environments import installed
from tests.engines import airflow_standalone, airflow_variables
from tests.support import closed_port, environment, kit, new_project, start_kit, until

_TELLS = """
    import time


    def tells(cfg: dict) -> None:
        with open(cfg["out"], "a") as file:
            file.write(f"{time.time()}\\n")
    """
_BARE = """
    import time

    from airflow.sdk import dag, task
    from airflow.timetables.trigger import CronTriggerTimetable


    @dag(schedule=CronTriggerTimetable("*/2 * * * *", timezone="UTC"), catchup=False)
    def bare():
        @task
        def tells():
            with open({out!r}, "a") as file:
                file.write(f"{{time.time()}}\\n")

        tells()


    bare()
    """


def late(out: Path) -> list[float]:
    """Seconds after the minute at which the user's code began, for each tick but the first."""
    begun = [float(line) for line in out.read_text().split()] if out.exists() else []
    return [instant % 60 for instant in begun[1:]]


class Place:
    """A project whose schedule says when its runs begin, and a folder for it."""

    def __init__(self, folder: Path, cron: str) -> None:
        folder.mkdir()
        self.out = folder / "out"
        files = {
            "src/tiny/tasks.py": _TELLS,
            "conf/experiment/tells.yaml": f"# @package _global_\ntask: tiny.tasks.tells\nout: {self.out}\n",
            "conf/schedule/tick.yaml": f"trigger: {{cron: '{cron}'}}\nexperiment: tells\n",
        }
        self.root = new_project(folder / "tiny", {name: dedent(text).lstrip() for name, text in files.items()})
        self.env = environment(folder / "home")
        del self.env["KIT_FORKSERVER"]  # as users have it


def in_airflow(folder: Path, programs: Path, ticks: int) -> dict[str, float]:
    """The medians of Airflow's own task and of kit's DAG."""
    place, out, airflow = Place(folder / "exported", "1-59/2 * * * *"), folder / "bare", programs / "airflow"
    env = place.env | airflow_variables(airflow, folder / "airflow", closed_port())
    subprocess.run([airflow, "db", "migrate"], env=env, check=True, capture_output=True)
    dags = folder / "airflow" / "dags"
    dags.mkdir()
    (dags / "bare.py").write_text(dedent(_BARE).format(out=str(out)))
    kit(place.root, "schedule", "export", "airflow", "-o", f"{dags}/", env=place.env)
    with airflow_standalone(airflow, env, folder):
        until(lambda: min(len(late(out)), len(late(place.out))) >= ticks, "ticks of Airflow", seconds=300 + 150 * ticks)
    return {"Airflow, its own task": statistics.median(late(out)), "kit in Airflow": statistics.median(late(place.out))}


def by_kit(folder: Path, ticks: int) -> dict[str, float]:
    """The same with kit's scheduler."""
    place = Place(folder / "kit", "* * * * *")
    scheduler = start_kit(place.root, "scheduler", env=place.env)
    try:
        until(lambda: len(late(place.out)) >= ticks, "ticks of kit", seconds=180 + 60 * ticks)
    finally:
        scheduler.terminate()
        scheduler.communicate()
        kit(place.root, "forkserver", "stop", env=place.env)
    return {"kit scheduler": statistics.median(late(place.out))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=5)
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "kit-benchmarks")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    programs = installed("airflow", asked.environments)
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as name:
        found = in_airflow(Path(name), programs, asked.ticks) | by_kit(Path(name), asked.ticks)
    for what, seconds in found.items():
        print(f"{what:<34}{seconds:>8.2f} s", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
