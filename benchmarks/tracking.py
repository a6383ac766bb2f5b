"""How many points of a metric are accepted, and delivered, each second: `run.log` beside MLflow's own ways.

    python benchmarks/tracking.py [--rounds N] [--json FILE]

Every way is measured in every round, one after the other, so that what else the machine does falls on all of them
alike; what counts are the medians, and their ratios to `mlflow.log_metric` in a loop into the same store. The server is
`mlflow server` with SQLite on the loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kit.models import MetricPoint
from kit.paths import RunPaths
from kit.run import Run
from kit.snapshot import CodeVersion, Environment, Host, Snapshot
from kit.testing import fake_run
from kit.trackers.mlflow import MlflowTracker
from kit.trackers.spool import Spool, deliver

_LOOPED = 200
_BATCH = 1000
_ACCEPTED = 50_000
_DELIVERED = 5_000
_TEN = [f"metric_{number}" for number in range(10)]

Way = Callable[[Path], float]
"""Does its work once, and gives points per second."""


def _rate(points: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return points / (time.perf_counter() - start)


def _accepts(names: list[str]) -> Way:
    def measure(folder: Path) -> float:
        run = fake_run(folder)
        calls = _ACCEPTED // len(names)

        def work() -> None:
            for step in range(calls):
                run.log(dict.fromkeys(names, 1 / (step + 1)), step=step)

        return _rate(calls * len(names), work)

    return measure


def _accepts_while_delivering(uri: str) -> Way:
    """With the thread that sends at work in the same process."""

    def measure(folder: Path) -> float:
        from kit.trackers.sender import Sender

        paths = _spooled(folder, _DELIVERED)
        tracker = _begun(uri, folder)
        sender = Sender(paths, tracker)
        run = Run(RunPaths(folder / "run"), name="x", seed=0, spool=Spool(paths.spool))

        def work() -> None:
            for step in range(_DELIVERED):
                run.log({"more": 1 / (step + 1)}, step=step)

        time.sleep(0.6)  # it looks every half second
        rate = _rate(_DELIVERED, work)
        sender.finish()
        return rate

    return measure


def _delivers(uri: str) -> Way:
    def measure(folder: Path) -> float:
        paths, tracker = _spooled(folder, _DELIVERED), _begun(uri, folder)
        return _rate(_DELIVERED, lambda: deliver(paths, tracker))

    return measure


def _spooled(folder: Path, points: int) -> RunPaths:
    paths = RunPaths(folder / "run")
    paths.root.mkdir(parents=True)
    spool = Spool(paths.spool)
    now = time.time()
    for step in range(points):
        spool.log([("loss", 1 / (step + 1), step, now + step / 1000)])
    spool.close()
    return paths


def _begun(uri: str, folder: Path) -> MlflowTracker:
    from datetime import UTC, datetime

    from kit.models import RunSpec

    snapshot = Snapshot(
        code=CodeVersion("c" * 40, "c" * 40, "main", dirty=False, ref="x"),
        data=(),
        environment=Environment("3", "CPython", sys.executable, {}, None, None),
        host=Host("box", "Linux", "x86_64", "", 1, 1),
        seed=0,
        command=(),
        taken_at=datetime.now(UTC),
    )
    spec = RunSpec("x", "x", "benchmark", "x", "x.x", (), {}, snapshot, str(folder), uri)
    tracker = MlflowTracker(uri, locks=folder)
    tracker.start(spec, {})
    return tracker


def _loops(uri: str) -> Way:
    def measure(_folder: Path) -> float:
        import mlflow

        mlflow.set_tracking_uri(uri)
        with contextlib.redirect_stdout(io.StringIO()), mlflow.start_run():  # it prints where the run can be seen

            def work() -> None:
                for step in range(_LOOPED):
                    mlflow.log_metric("loss", 1 / (step + 1), step=step)

            return _rate(_LOOPED, work)

    return measure


def _batches(uri: str) -> Way:
    def measure(_folder: Path) -> float:
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        client = MlflowClient(uri)
        run_id = client.create_run("0").info.run_id
        now = time.time()
        points = [MetricPoint("loss", 1 / (step + 1), step, now) for step in range(_DELIVERED)]

        def work() -> None:
            for first in range(0, _DELIVERED, _BATCH):
                batch = points[first : first + _BATCH]
                metrics = [Metric(each.key, each.value, round(each.timestamp * 1000), each.step) for each in batch]
                client.log_batch(run_id, metrics=metrics)

        return _rate(_DELIVERED, work)

    return measure


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        uri = f"http://127.0.0.1:{port}"
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{uri}/health", timeout=5):
                break
            time.sleep(0.2)
        yield uri
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _measured(ways: dict[str, Way], rounds: int, place: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            folder = place / "one"
            folder.mkdir()
            rate = way(folder)
            shutil.rmtree(folder)
            if number:  # the first round loads and makes what the others find
                found[name].append(rate)
    return found


def _told(found: dict[str, list[float]]) -> dict[str, Any]:
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    told: dict[str, Any] = {}
    for name, rates in found.items():
        base = medians["HTTP: log_metric in a loop" if name.startswith("HTTP") else "SQLite: log_metric in a loop"]
        told[name] = {"per_second": medians[name], "of_log_metric": medians[name] / base, "rounds": rates}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    with tempfile.TemporaryDirectory(prefix="kit-tracking-", dir=Path.cwd()) as name:
        place = Path(name)
        os.chdir(place)
        sqlite = f"sqlite:///{place}/local.db"
        (place / "server").mkdir()
        with _server(place / "server") as uri:
            ways: dict[str, Way] = {
                "run.log, one metric a call": _accepts(["loss"]),
                "run.log, ten metrics a call": _accepts(_TEN),
                "run.log, while it is sent to SQLite": _accepts_while_delivering(sqlite),
                "SQLite: log_metric in a loop": _loops(sqlite),
                "SQLite: log_batch of 1,000": _batches(sqlite),
                "SQLite: kit delivers": _delivers(sqlite),
                "HTTP: log_metric in a loop": _loops(uri),
                "HTTP: log_batch of 1,000": _batches(uri),
                "HTTP: kit delivers": _delivers(uri),
            }
            told = _told(_measured(ways, options.rounds, place))
    print(f"{'':<40}{'points/s':>12}{'x log_metric':>14}")
    for name, one in told.items():
        print(f"{name:<40}{one['per_second']:>12,.0f}{one['of_log_metric']:>14,.1f}")
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
