"""How long it takes to load many schedules, to look whether they changed, and what they weigh.

    python benchmarks/schedules_load.py [NUMBER] [--profile]

Every file differs from all others. The first load is one of a fresh process, imports aside; the file system's cache is
warm, because the files were just written. Where other programs run, the time on the processor is the truer one.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from kit.project import open_project
from kit.schedules import Schedules

_SETTLED = 2.1
"""Seconds after which a file that was just written can be told by its time from one written again."""


def _file(index: int) -> str:
    draw = random.Random(index)
    return f"""\
# Retrains the model of region {index} every night.
trigger:
  cron: "{draw.randrange(60)} {draw.randrange(24)} * * *"
  timezone: {draw.choice(["Europe/Berlin", "America/New_York", "UTC", "Asia/Tokyo"])}
experiment: baseline
overrides:
  - model.depth={draw.randrange(20)}
  - region=r{index}
retry: {{attempts: 3, delay: 5 m}}
timeout: {draw.randrange(1, 9)} h
overlap: skip
slots: gpu
alert:
  to: file:///tmp/alerts-{index % 7}
  when: [failure, recovery]
"""


def _timed(what: str, work: Callable[[], object], *, times: int = 1) -> None:
    took, used = [], []
    for _ in range(times):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        took.append((time.perf_counter() - start) * 1000)
        used.append((time.process_time() - cpu) * 1000)
    print(f"{what:<44}{statistics.median(took):10.1f} ms, {statistics.median(used):.1f} ms of them on the processor")


def _measure(root: Path, number: int) -> None:
    folder = root / "conf" / "schedule"
    folder.mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.kit]\n")
    for index in range(number):
        (folder / f"region-{index:06}.yaml").write_text(_file(index))
    schedules = Schedules(open_project(root))
    time.sleep(_SETTLED)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _timed(f"first load of {number} files", schedules.load)
    weight = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{'memory that took':<44}{weight:10.1f} MiB")
    assert len(schedules.load().schedules) == number
    _timed("load again, nothing changed (median of 20)", schedules.load, times=20)
    (folder / "region-000000.yaml").write_text(_file(number))
    _timed("load again, one file changed", schedules.load)
    texts = [path.read_text() for path in sorted(folder.iterdir())[:500]]
    start = time.perf_counter()
    for text in texts:
        yaml.safe_load(text)
    each = (time.perf_counter() - start) / len(texts)
    print(f"{'for comparison, yaml.safe_load of them all':<44}{each * number * 1000:10.1f} ms")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("number", nargs="?", type=int, default=10_000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.profile:
            with cProfile.Profile() as profile:
                _measure(Path(folder), arguments.number)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        else:
            _measure(Path(folder), arguments.number)


if __name__ == "__main__":
    main()
