"""What a command costs before it does anything, and with ten thousand runs: beside Python alone and the libraries.

    python benchmarks/commands.py [--rounds N] [--runs N] [--json FILE]

Every command is started in every round, one after the other, so that what else the machine does falls on all of them
alike; what counts are the medians, and their ratios to `python -c pass`. Bytecode is compiled first, as installers do.
Nothing is warm but the disk, except for what is called forked: what a user has behind the first run of a project.
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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kit.forkserver._client import OFF
from kit.models import to_json
from kit.project import open_project
from kit.states import RunStatus
from kit.stores.schema import metrics, params, runs, specs
from kit.stores.sql import SqlStore, run_row
from tests.factories import record, spec
from tests.support import forkserver, new_project

KIT = str(Path(sys.executable).with_name("kit"))
PYTHON = "python -c pass"
COMPLETION = {"_KIT_COMPLETE": "complete_bash", "COMP_WORDS": "kit s", "COMP_CWORD": "1"}
Command = tuple[Sequence[str], Mapping[str, str]]
COMMANDS: dict[str, Command] = {
    PYTHON: ([sys.executable, "-c", "pass"], {}),
    "import argparse": ([sys.executable, "-c", "import argparse"], {}),
    "import typer": ([sys.executable, "-c", "import typer"], {}),
    "import sqlalchemy": ([sys.executable, "-c", "import sqlalchemy"], {}),
    "kit --help": ([KIT, "--help"], {}),
    "kit --version": ([KIT, "--version"], {}),
    "kit run --help": ([KIT, "run", "--help"], {}),
    "completion of `kit s`": ([KIT], COMPLETION),
    "kit runs": ([KIT, "runs"], {}),
    "kit runs --sort m1": ([KIT, "runs", "--sort", "m1"], {}),
    "kit show last": ([KIT, "show", "last"], {}),
    "kit schedule list": ([KIT, "schedule", "list"], {}),
    "kit status": ([KIT, "status"], {}),
}
FORKED = ("kit runs", "kit show last", "kit schedule list", "kit status")
COMMANDS |= {f"{name}, forked": (COMMANDS[name][0], {OFF: ""}) for name in FORKED}


def fill(root: Path, number: int) -> None:
    """Give a project so many runs, with ten parameters and five metrics each."""
    store = open_project(root).store
    assert isinstance(store, SqlStore)
    base, text = record(), to_json(spec()).decode()
    ids = [f"r{index:09}" for index in range(number)]
    rows = []
    for index, run_id in enumerate(ids):
        at = base.created_at + timedelta(minutes=index)
        status = RunStatus.SUCCEEDED if index % 7 else RunStatus.FAILED
        made = replace(base, run_id=run_id, status=status, created_at=at, started_at=at, ended_at=at, tracked=True)
        rows.append(run_row(made))
    values = [{"key": f"p{n}", "value": str(n), "position": n} for n in range(10)]
    numbers = [{"key": f"m{n}", "value": n / 7, "exact": repr(n / 7), "position": n} for n in range(5)]
    with store._engine.begin() as connection:  # noqa: SLF001 - one transaction for ten thousand
        connection.execute(insert(runs), rows)
        connection.execute(insert(specs), [{"run_id": run_id, "spec": text} for run_id in ids])
        connection.execute(insert(params), [{"run_id": run_id, **value} for run_id in ids for value in values])
        connection.execute(insert(metrics), [{"run_id": run_id, **value} for run_id in ids for value in numbers])


def _used() -> float:
    """Seconds of the processor's time that processes have had that are over."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(root: Path, rounds: int, env: Mapping[str, str]) -> dict[str, dict[str, list[float]]]:
    """Seconds of wall time and of the processor's, for each command in each round; a first one compiles."""
    found: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in COMMANDS}
    for turn in range(rounds + 1):
        for name, (argv, more) in COMMANDS.items():
            before, began = _used(), time.perf_counter()
            done = subprocess.run(argv, cwd=root, env={**env, **more}, capture_output=True, check=False)
            wall, cpu = time.perf_counter() - began, _used() - before
            if done.returncode not in {0, 1}:
                sys.exit(f"{name}: {done.stderr.decode()}")
            if turn:
                found[name]["wall"].append(wall)
                found[name]["cpu"].append(cpu)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as folder:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env |= {"KIT_FORKSERVER": "off", "PYTHONPYCACHEPREFIX": str(Path(folder, "compiled"))}
        nightly = {"conf/schedule/nightly.yaml": "cron: '0 2 * * *'\nexperiment: baseline\nenabled: false\n"}
        root = new_project(Path(folder, "project"), nightly)
        fill(root, asked.runs)
        with forkserver(root, env):
            found = measure(root, asked.rounds, env)
    alone = {kind: statistics.median(found[PYTHON][kind]) for kind in ("wall", "cpu")}
    print(f"{'':<24} {'wall ms':>9} {'CPU ms':>9}   times `{PYTHON}` (wall, CPU)")
    for name, figures in found.items():
        wall, cpu = (statistics.median(figures[kind]) for kind in ("wall", "cpu"))
        ratios = f"{wall / alone['wall']:>6.1f} {cpu / alone['cpu']:>6.1f}"
        print(f"{name:<24} {wall * 1e3:>9.0f} {cpu * 1e3:>9.0f}   {ratios}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"runs": asked.runs, "seconds": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
