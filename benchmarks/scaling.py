"""How costs grow: with runs that are kept, and with schedules. What `docs/explanation/scaling.md` reckons with.

    python benchmarks/scaling.py [--runs N,N,...] [--schedules N,N,...] [--json FILE]

The same is done beside few and beside many, and what counts is how it grows. Milliseconds are the processor's, of this
process and those that it starts: another program on the machine changes them little. Runs that are only there are
rows, refs and nothing else; what a run leaves behind is measured on real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.commands import fill
from kit import _clock, runs, status, vcs
from kit.outcomes import Outcome
from kit.project import open_project
from kit.scheduler import Scheduler
from kit.schedules import Schedules
from kit.states import RunStatus
from kit.stores.base import RunQuery
from kit.trackers.mlflow import client_of
from tests.factories import record, spec
from tests.support import KIT, git, new_project

_TIMES = 9
_REAL = 20
_WELL = Outcome(RunStatus.SUCCEEDED, 0, None)
_NIGHTLY = "trigger: {{cron: '{minute} 2 * * *'}}\nexperiment: baseline\n"
Figures = dict[str, float]


def _used() -> float:
    """Seconds of the processor's time, of this process and of those that it has waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def cost(work: Callable[[int], object]) -> float:
    """The median, in milliseconds; the first time does not count."""
    took = []
    for turn in range(_TIMES + 1):
        before = _used()
        work(turn)
        took.append((_used() - before) * 1e3)
    return statistics.median(took[1:])


def size(path: Path) -> int:
    """Bytes on the disk, of a file and those beside it that begin like it, or of all below a folder."""
    paths = [path, *path.rglob("*")] if path.is_dir() else path.parent.glob(f"{path.name}*")
    return sum(each.lstat().st_blocks * 512 for each in paths)


def beside_runs(folder: Path, number: int) -> Figures:
    """What is done for each run, and looked at by people, where so many runs are kept."""
    root = new_project(folder / f"runs-{number}", {"conf/schedule/nightly.yaml": _NIGHTLY.format(minute=0)})
    fill(root, number)
    project = open_project(root)

    def note(turn: int) -> None:
        one = replace(record(f"new{turn}"), status=RunStatus.STARTING, created_at=_clock.now())
        project.store.create(spec(one.run_id), one)
        project.store.transition(one.run_id, RunStatus.RUNNING, at=_clock.now())
        project.store.finish(one.run_id, _WELL, at=_clock.now(), metrics={"auc": 0.5}, params={}, tracked=True)

    found = {
        "note a run, from its row to its end": cost(note),
        "kit runs": cost(lambda _: runs.listing(project, RunQuery(limit=20))),
        "kit status": cost(lambda _: status.check(project, _clock.now())),
        "store, MB": size(project.paths.store) / 1e6,
    }
    with closing(project.store):
        return found | snapshots(root, number)


def snapshots(root: Path, number: int) -> Figures:
    """A snapshot where git has a ref for each of so many runs: a file each, and packed into one."""
    commit = git(root, "rev-parse", "HEAD")
    refs = "".join(f"create {vcs.SNAPSHOTS}r{index:09} {commit}\n" for index in range(number))
    subprocess.run(["git", "update-ref", "--stdin"], cwd=root, input=refs, text=True, check=True)

    def snapshot(turn: int) -> None:
        vcs.snapshot(root, f"new{turn}", max_bytes=1 << 20)

    loose = {
        "snapshot, refs in files": cost(snapshot),
        "git for-each-ref, refs in files": cost(lambda _: git(root, "for-each-ref", "refs/heads")),
        "git fetch of nothing, refs in files": cost(lambda _: git(root, "fetch", "--quiet", ".", "HEAD")),
        "refs in files, MB": size(root / ".git/refs") / 1e6,
    }
    git(root, "pack-refs", "--all")
    return loose | {"snapshot, refs packed": cost(snapshot), "refs packed, MB": size(root / ".git/packed-refs") / 1e6}


def beside_tracked(folder: Path, number: int) -> Figures:
    """What MLflow takes where it has so many runs in one experiment; they are copies of a real one."""
    root = new_project(folder / f"tracked-{number}")
    subprocess.run([str(KIT), "run", "--json"], cwd=root, capture_output=True, check=True)
    path = root / "mlflow.db"
    with closing(sqlite3.connect(path)) as db, db:
        [(own,)] = db.execute("SELECT run_uuid FROM runs").fetchall()
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            values = ["printf('%032d', i)" if name == "run_uuid" else name for name in columns]
            db.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) {numbers} SELECT {', '.join(values)} "
                f"FROM n, {table} WHERE run_uuid = ?",
                (own,),
            )
    client = client_of(f"sqlite:///{path}", locks=root / ".kit")
    experiment = client.search_experiments()[0].experiment_id

    def whole(_turn: int) -> None:
        run = client.create_run(experiment).info.run_id
        client.log_metric(run, "loss", 0.5)
        client.set_terminated(run)

    return {
        "MLflow: begin, log one value, end": cost(whole),
        "MLflow: the page of an experiment (100 runs)": cost(
            lambda _: client.search_runs([experiment], max_results=100, order_by=["attributes.start_time DESC"])
        ),
        "MLflow: found by a tag": cost(lambda _: client.search_runs([experiment], "tags.`kit.run_id` = 'none'")),
        "mlflow.db, MB": size(path) / 1e6,
    }


def left_behind(folder: Path) -> Figures:
    """What a real run that does next to nothing leaves, for each."""
    root = new_project(folder / "real")
    places = {"run folder": ".kit/runs", "store": ".kit/store.db", "mlflow.db": "mlflow.db", "git": ".git"}
    places["artifacts"] = "mlruns"

    def go(times: int) -> None:
        for turn in range(times):
            (root / "src/tiny/more.py").write_text(f"# {os.urandom(8).hex()} {turn}\n")  # each has work uncommitted
            subprocess.run([str(KIT), "run", "--json"], cwd=root, capture_output=True, check=True)

    go(2)
    before = {name: size(root / path) for name, path in places.items()}
    files = sum(1 for _ in root.rglob("*"))
    go(_REAL)
    left = {f"{name}, KB": (size(root / path) - before[name]) / _REAL / 1e3 for name, path in places.items()}
    return left | {"files": (sum(1 for _ in root.rglob("*")) - files) / _REAL}


def beside_schedules(folder: Path, number: int) -> Figures:
    """A turn of the scheduler in which nothing is due, and its first one."""
    files = {f"conf/schedule/s{n:05}.yaml": _NIGHTLY.format(minute=n % 60) for n in range(number)}
    project = open_project(new_project(folder / f"schedules-{number}", files))
    scheduler = Scheduler(project, Schedules(project))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _used()
    scheduler.turn(_clock.now())
    first = _used() - began
    found = {
        "the first turn": first * 1e3,
        "a turn with nothing due": cost(lambda _: scheduler.turn(_clock.now())),
        "memory, MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3,
        "kit status": cost(lambda _: status.check(project, _clock.now())),
    }
    scheduler.close()
    return found


def _in_own_process(work: Callable[[], Figures]) -> Figures:
    """Whose peak of memory is its own."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        with os.fdopen(writer, "w") as out:
            json.dump(work(), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    if os.waitpid(child, 0)[1]:
        sys.exit("a measurement failed")
    found: Figures = json.loads(said)
    return found


def measured(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[str, dict[int, Figures]]]:
    yield "A run leaves behind", {_REAL: _in_own_process(lambda: left_behind(folder))}
    yield "Runs that are kept", {n: _in_own_process(lambda n=n: beside_runs(folder, n)) for n in asked.runs}  # type: ignore[misc]
    few = [n for n in asked.runs if n <= asked.tracked]
    yield "Runs in MLflow", {n: _in_own_process(lambda n=n: beside_tracked(folder, n)) for n in few}  # type: ignore[misc]
    yield "Schedules", {n: _in_own_process(lambda n=n: beside_schedules(folder, n)) for n in asked.schedules}  # type: ignore[misc]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=_numbers, default=[1_000, 10_000, 100_000])
    parser.add_argument("--tracked", type=int, default=10_000, help="the most that MLflow is given")
    parser.add_argument("--schedules", type=_numbers, default=[10, 1_000, 10_000])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    all_found = {}
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as folder:
        os.environ |= {"HOME": folder, "KIT_FORKSERVER": "off", "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            os.environ |= {f"GIT_{who}_NAME": "x", f"GIT_{who}_EMAIL": "x@example.invalid"}
        for title, found in measured(asked, Path(folder)):
            all_found[title] = found
            print(f"\n{title:<46}" + "".join(f"{number:>12,}" for number in found))
            for what in next(iter(found.values())):
                print(f"{what:<46}" + "".join(f"{figures[what]:>12,.1f}" for figures in found.values()), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(all_found, indent=2) + "\n")


if __name__ == "__main__":
    main()
