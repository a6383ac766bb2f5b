"""How quick the scheduler is: figures, beside the least that the same work could cost. Nothing is asserted.

python benchmarks/scheduler.py [claims|start|drift|adopt]...
"""

from __future__ import annotations

import itertools
import os
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kit import _clock
from kit.board import Rules, advance
from kit.policies import CatchUp, CatchUpMode, Overlap
from kit.project import Project, open_project
from kit.schedule import Schedule
from kit.scheduler import Scheduler
from kit.schedules import Loaded
from kit.states import RunStatus
from kit.stores import MemoryStore, RunQuery
from kit.stores.sql import SqlStore
from kit.triggers import Cron, Interval, Once
from tests.support import new_project

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MANY = 10_000


def say(what: str, figure: str, beside: str = "") -> None:
    print(f"{what:<64} {figure:>12}  {beside}", flush=True)


def claims(folder: Path) -> None:
    """10,000 schedules due in the same second."""
    schedules = {f"s{n:05}": Schedule(f"s{n:05}", Cron("0 2 * * *", "Europe/Berlin")) for n in range(MANY)}
    ids = itertools.count()
    rules = Rules(schedules, "p", "baseline", {}, 4, lambda: f"{next(ids):010}", due=list(schedules))
    store = SqlStore(folder / "store.db", lock=folder / "lock")
    store.fires.act(partial(advance, rules=rules, now=NOON), names=list(schedules))
    night = NOON + timedelta(days=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    moves = store.fires.act(partial(advance, rules=rules, now=night), names=list(schedules))
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    least = bare_inserts(folder / "bare.db", len(moves.fires))
    say(f"claim {len(moves.fires)} fires with their first runs", f"{took:.2f} s", f"{took / least:.1f} x bare INSERTs")
    say("  memory it takes", f"{(peak - before) / 1024:.0f} MB", f"of {peak / 1024:.0f} MB")
    began = time.perf_counter()
    store.fires.has_work(night + timedelta(seconds=1))
    say("  look whether there is work, with all of them waiting", f"{(time.perf_counter() - began) * 1000:.1f} ms")
    starved(schedules)


def bare_inserts(path: Path, rows: int) -> float:
    """What SQLite takes for as many rows in two tables, in one transaction that is on disk."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        for table in ("fires", "runs"):
            db.execute(f"CREATE TABLE {table} (a TEXT PRIMARY KEY, {', '.join(f'c{n} TEXT' for n in range(14))})")
        began = time.perf_counter()
        with db:
            for table in ("fires", "runs"):
                some = [(f"{n}", *("some text" for _ in range(14))) for n in range(rows)]
                db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * 15)})", some)
        return time.perf_counter() - began


def starved(schedules: dict[str, Schedule]) -> None:
    """Every one of them starts in the end, in order, four at a time."""
    some = dict(itertools.islice(schedules.items(), 400))
    ids = itertools.count()
    rules = Rules(some, "p", "baseline", {}, 4, lambda: f"{next(ids):010}", due=list(some))
    store = MemoryStore()
    now = NOON
    store.fires.act(partial(advance, rules=rules, now=now), names=list(some))
    now += timedelta(days=1)
    turns = started = 0
    while started < len(some):
        moves = store.fires.act(partial(advance, rules=rules, now=now), names=list(some))
        started += len(moves.start)
        turns += 1
        for fire in moves.start:
            store.transition(fire.run_id or "", RunStatus.RUNNING, at=now)
            store.transition(fire.run_id or "", RunStatus.SUCCEEDED, at=now, exit_code=0)
        now += timedelta(seconds=1)
    say(f"{len(some)} of them on 4 places: turns until the last has started", f"{turns}", f"{len(some) // 4} at least")


def project(folder: Path, schedule: str) -> Path:
    return new_project(folder / "tiny", {"conf/schedule/due.yaml": schedule})


def start(folder: Path) -> None:
    """From the instant at which a fire is due to its supervisor being spawned, in a scheduler as it runs."""
    opened = roomy(open_project(project(folder, "trigger: {interval: 3653 d}\n")))
    least = bare_spawn()
    for seconds, beside in ((6, "nothing else running"), (2, "other runs starting")):
        waits = sorted(due_to_spawned(opened, seconds))
        median, last = statistics.median(waits), waits[int(len(waits) * 0.99)]
        say(
            f"due to supervisor spawned, {beside}: median of {len(waits)}",
            f"{median * 1000:.0f} ms",
            f"{median / least:.1f} x a bare Popen ({least * 1000:.1f} ms)",
        )
        say("  99th percentile", f"{last * 1000:.0f} ms")


def due_to_spawned(opened: Project, seconds: int) -> list[float]:
    first = _clock.now().replace(microsecond=0) + timedelta(seconds=5)
    instants = [first + timedelta(seconds=seconds * number) for number in range(50)]
    source = _All({f"s{n:03}": Schedule(f"s{n:03}", Once(instant)) for n, instant in enumerate(instants)})
    scheduler = Scheduler(opened, source)
    scheduler.turn(_clock.now())
    waits: list[float] = []
    for instant in instants:
        time.sleep(max(0.0, (instant - _clock.now()).total_seconds()))
        scheduler.turn(_clock.now())
        waits.append((_clock.now() - instant).total_seconds())
    scheduler.close()
    return waits


def bare_spawn() -> float:
    took = []
    for _ in range(10):
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
        took.append(time.perf_counter() - began)
        process.wait()
    return statistics.median(took)


def drift(_folder: Path) -> None:
    """An hour of fires every second: how far the last one is from where it belongs."""
    ids = itertools.count()
    schedule = Schedule("due", Interval(1.0), overlap=Overlap.QUEUE, catch_up=CatchUp(CatchUpMode.ALL))
    rules = Rules({"due": schedule}, "p", "baseline", {}, 4, lambda: f"{next(ids):010}", due=["due"])
    store = MemoryStore()
    now = NOON + timedelta(microseconds=1)
    store.fires.act(partial(advance, rules=rules, now=now), names=["due"])
    last = NOON
    fires = 0
    while now < NOON + timedelta(hours=1):
        now += timedelta(seconds=1.0137)  # turns that are never quite on time
        moves = store.fires.act(partial(advance, rules=rules, now=now), names=["due"])
        for fire in moves.start:
            fires += 1
            last = fire.scheduled_at
            store.transition(fire.run_id or "", RunStatus.RUNNING, at=now)
            store.transition(fire.run_id or "", RunStatus.SUCCEEDED, at=now, exit_code=0)
    off = (last - NOON).total_seconds() % 1.0
    say(f"drift after an hour of fires every second ({fires} started)", f"{off * 1000:.3f} ms")


def adopt(folder: Path) -> None:
    """A scheduler that starts anew, with 100 runs under way."""
    root = project(folder, "trigger: {interval: 3653 d}\n")
    task = root / "src/tiny/train.py"
    task.write_text(task.read_text().replace("    for step in", "    import time; time.sleep(600)\n    for step in"))
    opened = open_project(root)
    names = [f"s{n:03}" for n in range(100)]
    schedules = {name: Schedule(name, Interval(3600.0)) for name in names}
    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"  # a hundred imports of MLflow are not what is measured
    opened = roomy(opened)
    source = _All(schedules)
    first = Scheduler(opened, source)
    now = _clock.now()
    first.turn(now)
    began = time.perf_counter()
    turn = first.turn(now + timedelta(hours=1))
    say(f"start {len(turn.moves.start)} runs that are due at once", f"{time.perf_counter() - began:.2f} s")
    until(lambda: all(record.started_at or record.status.is_terminal for record in opened.store.runs(RunQuery())))
    again = Scheduler(opened, source)
    began = time.perf_counter()
    turn = again.turn(_clock.now() + timedelta(hours=1))
    took = time.perf_counter() - began
    statuses = Counter(record.status.value for record in opened.store.runs(RunQuery()))
    say("a new scheduler adopts 100 running runs", f"{took:.2f} s", f"{dict(statuses)}")


class _All:
    def __init__(self, schedules: dict[str, Schedule]) -> None:
        self._loaded = Loaded(schedules, {})

    def load(self) -> Loaded:
        return self._loaded


def roomy(opened: Project) -> Project:
    """The project, with room for 100 runs at a time."""
    return replace(opened, settings=replace(opened.settings, max_runs=100))


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.2)


def end(root: Path) -> None:
    """Kill what was started."""
    if not root.exists():
        return
    for record in open_project(root).store.runs(RunQuery()):
        for process in (record.supervisor, record.process):
            if process is not None:
                try:
                    os.kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


def main(names: list[str]) -> None:
    """Measure what is named, or everything."""
    measures = {"claims": claims, "start": start, "drift": drift, "adopt": adopt}
    for name in names or measures:
        with tempfile.TemporaryDirectory(prefix="kit-bench-", ignore_cleanup_errors=True) as folder:
            try:
                measures[name](Path(folder))
            finally:
                end(Path(folder) / "tiny")


if __name__ == "__main__":
    main(sys.argv[1:])
