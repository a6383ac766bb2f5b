"""What was logged is in the file first, and reaches the tracker once, whatever happens on the way."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import ServiceError
from kit.models import MetricPoint
from kit.paths import RunPaths
from kit.trackers import Artifact, Entry, MemoryTracker, Metrics, Params, Tags
from kit.trackers.past import Past
from kit.trackers.spool import (
    Progress,
    Spool,
    SpoolTail,
    _decoded,
    _encoded,
    deliver,
    each_point,
    last_metrics,
    mend,
    params_of,
)


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


class Unsteady(MemoryTracker):
    """A tracker whose service fails some times, sometimes after it took a part; it counts what arrives."""

    def __init__(self, *, failures: int) -> None:
        super().__init__()
        self.failures = failures
        self.calls = 0
        self.arrived: list[Entry] = []

    def send(self, entries: Sequence[Entry]) -> None:
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise ServiceError("the service is down")
        self.arrived.extend(entries)
        super().send(entries)


def point(value: float, step: int = 0, key: str = "loss") -> Metrics:
    return Metrics((MetricPoint(key, value, step, 1.5),))


def values(tracker: MemoryTracker) -> list[float]:
    return [point.value for point in tracker.points]


texts = st.text(st.characters(exclude_categories=["Cs"]))
metrics = st.builds(
    Metrics,
    st.lists(st.builds(MetricPoint, texts, st.floats(), st.integers(0, 2**53), st.floats(0, 2e9)), max_size=5).map(
        tuple
    ),
)
entries = st.one_of(
    metrics,
    st.builds(Params, st.dictionaries(texts, texts, max_size=4)),
    st.builds(Tags, st.dictionaries(texts, texts, max_size=4)),
    st.builds(lambda name: Artifact(Path("/run") / "x", name), texts),
)


@given(entry=entries)
def test_an_entry_comes_back_from_its_line_as_it_was(entry: Entry) -> None:
    line = _encoded(entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert repr(_decoded(line).entry()) == repr(entry)  # NaN is not equal to itself
    assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize(
    "line", ["{}", '{"other":1}', "[1]", '{"metrics":[[1]]}', '{"metrics":[["a",NaN]]}', '{"metrics":NaN}', '{"metr']
)
def test_a_line_that_is_no_entry_holds_up_nothing(run: RunPaths, line: str) -> None:
    spool, tracker = Spool(run.spool), Unsteady(failures=0)
    spool.append(point(1))
    with run.spool.open("a") as file:
        file.write(line + "\n")
    spool.append(point(2, 1))
    deliver(run, tracker)
    assert tracker.arrived == [point(1), point(2, 1)]


def test_entries_arrive_in_order_and_progress_does_not(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), Unsteady(failures=0)
    sent: list[Entry] = [point(1), Params({"a": "1"}), Tags({"b": "2"}), Artifact(run.root, "x"), point(2, 1)]
    for entry in sent:
        spool.append(entry)
        spool.append(Progress("epoch", 1, None))
    spool.close()
    deliver(run, tracker)
    assert tracker.arrived == sent


def test_nothing_logged_is_nothing_sent(run: RunPaths) -> None:
    deliver(run, MemoryTracker())
    assert not run.sent.exists()
    assert last_metrics(run.spool) == {}


def test_a_torn_last_line_is_left_for_later(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), MemoryTracker()
    spool.append(point(1))
    whole = run.spool.read_bytes()
    spool.append(point(2, 1))
    second = run.spool.read_bytes()[len(whole) :]
    for length in range(1, len(second)):
        run.spool.write_bytes(whole + second[:length])
        deliver(run, tracker)
        assert values(tracker) == [1.0]
        assert last_metrics(run.spool) == {"loss": 1.0}
    run.spool.write_bytes(whole + second)
    deliver(run, tracker)
    assert values(tracker) == [1.0, 2.0]


def test_a_line_that_a_full_disk_tore_costs_only_itself(tmp_path: Path) -> None:
    """A limit on the size of files does what a full disk does: a part of the line is written, then nothing is."""
    code = f"""
import resource, signal, sys
from pathlib import Path
from kit.models import MetricPoint
from kit.trackers import Metrics
from kit.trackers.spool import Spool

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path({str(tmp_path / "spool.jsonl")!r})
spool = Spool(path)
def log(value): spool.append(Metrics((MetricPoint("loss", float(value), value, 1.5),)))
log(1)
size = path.stat().st_size
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
refused = 0
for value in (2, 3):
    try:
        log(value)
    except OSError:
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log(4)
log(5)
print(refused)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
    tracker = MemoryTracker()
    deliver(RunPaths(tmp_path), tracker)
    assert values(tracker) == [1.0, 4.0, 5.0]
    assert last_metrics(tmp_path / "spool.jsonl") == {"loss": 5.0}


def test_odd_numbers_survive(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), MemoryTracker()
    for step, value in enumerate([math.nan, math.inf, -math.inf, 5e-324, 0.1 + 0.2]):
        spool.append(point(value, step))
    deliver(run, tracker)
    assert math.isnan(values(tracker)[0])
    assert values(tracker)[1:] == [math.inf, -math.inf, 5e-324, 0.1 + 0.2]


def test_delivery_goes_on_where_it_was(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), Unsteady(failures=0)
    spool.append(point(1))
    deliver(run, tracker)
    assert int(run.sent.read_text()) == run.spool.stat().st_size
    spool.append(point(2, 1))
    deliver(run, tracker)
    deliver(run, tracker)
    assert tracker.arrived == [point(1), point(2, 1)]


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_what_a_failing_tracker_did_not_take_is_sent_once(run: RunPaths, failures: int) -> None:
    spool, tracker = Spool(run.spool), Unsteady(failures=failures)
    for step in range(10):
        spool.append(point(step, step))
    for _ in range(failures):
        with pytest.raises(ServiceError):
            deliver(run, tracker)
        assert not run.sent.exists()
    deliver(run, tracker)
    assert tracker.arrived == [point(step, step) for step in range(10)]


def test_a_long_spool_is_noted_piece_by_piece(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), Unsteady(failures=0)
    for step in range(2000):
        spool.append(Tags({"text": "x" * 1000, "step": str(step)}))
    deliver(run, tracker)
    assert tracker.calls > 3
    half = Unsteady(failures=0)
    offset = run.spool.read_bytes().rindex(b"\n", 0, len(run.spool.read_bytes()) // 2) + 1
    run.sent.write_text(str(offset))
    deliver(run, half)
    assert half.arrived == tracker.arrived[-len(half.arrived) :]


def test_appending_processes_do_not_tear_each_others_lines(run: RunPaths) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom kit.trackers import Tags\nfrom kit.trackers.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]))\nfor n in range(300): spool.append(Tags({sys.argv[2]: 'x' * 500}))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(run.spool), str(n)]) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    tracker = Unsteady(failures=0)
    deliver(run, tracker)
    assert len(tracker.arrived) == 900


def test_the_last_value_of_each_metric_counts(run: RunPaths) -> None:
    spool = Spool(run.spool)
    for entry in (point(1), point(5, 0, "auc"), Params({"loss": "9"}), point(2, 1), Progress("", 3, 4)):
        spool.append(entry)
    assert last_metrics(run.spool) == {"loss": 2.0, "auc": 5.0}


def test_what_was_logged_last_of_all_comes_first(run: RunPaths) -> None:
    spool = Spool(run.spool)
    for entry in (
        point(3.0),
        point(2.0),
        Metrics((MetricPoint("auc", 0.6, 0, 1.0), MetricPoint("brier", 0.1, 0, 1.0))),
    ):
        spool.append(entry)
    assert list(last_metrics(run.spool).items()) == [("auc", 0.6), ("brier", 0.1), ("loss", 2.0)]


def test_who_watches_sees_what_is_new(run: RunPaths) -> None:
    tail, spool = SpoolTail(run.spool), Spool(run.spool)
    tail.read()
    assert (tail.metrics, tail.progress) == ({}, None)
    spool.append(point(1))
    spool.append(Progress("epoch", 1, 9))
    tail.read()
    assert tail.metrics == {"loss": 1.0}
    assert tail.progress is not None
    assert (tail.progress.description, tail.progress.done, tail.progress.total) == ("epoch", 1, 9)
    spool.append(point(2, 1))
    tail.read()
    assert tail.metrics == {"loss": 2.0}


@pytest.mark.parametrize(
    "reader",
    [
        last_metrics,
        params_of,
        lambda path: SpoolTail(path).read(),
        lambda path: Past(each_point(path)),
        lambda path: deliver(RunPaths(path.parent), Forgetful()),
    ],
    ids=["last metrics", "parameters", "watching", "resuming", "delivering"],
)
def test_a_reader_holds_no_more_of_a_long_spool_than_of_a_short_one(
    run: RunPaths, reader: Callable[[Path], object]
) -> None:
    def peak(points: int) -> int:
        run.spool.write_bytes(
            b"".join(b'{"metrics":[["loss",0.5,%d,1700000000.25]]}\n' % step for step in range(points))
        )
        run.sent.unlink(missing_ok=True)
        tracemalloc.start()
        try:
            reader(run.spool)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    reader(run.spool)  # what it loads is not counted
    assert peak(100_000) < 1.2 * peak(25_000)


class Forgetful(MemoryTracker):
    """A tracker that keeps nothing here."""

    def send(self, entries: Sequence[Entry]) -> None:
        """It is elsewhere now."""


def test_what_a_power_cut_took_is_not_waited_for(run: RunPaths) -> None:
    """The note of how far the tracker came was on the disk, the end of the spool was not."""
    spool, tracker = Spool(run.spool), MemoryTracker()
    for step in range(3):
        spool.append(point(float(step), step))
    deliver(run, tracker)
    mend(run)
    assert run.sent.read_text() == str(run.spool.stat().st_size)
    os.truncate(run.spool, run.spool.stat().st_size // 2)
    mend(run)
    Spool(run.spool).append(point(9.0, 9))
    deliver(run, tracker)
    assert values(tracker) == [0.0, 1.0, 2.0, 9.0]
