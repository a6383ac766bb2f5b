"""The sending thread: it begins, delivers and ends, and nobody waits for a service that does not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from kit.errors import ServiceError
from kit.paths import RunPaths
from kit.trackers import Entry, MemoryTracker
from kit.trackers.sender import Sender
from kit.trackers.spool import Spool
from tests.support import until
from tests.unit.trackers.test_spool import Unsteady, point, values


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


class Stuck(MemoryTracker):
    """A tracker whose service takes what it is sent and does not answer until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.answers = threading.Event()

    def send(self, entries: Sequence[Entry]) -> None:
        self.asked.set()
        self.answers.wait()
        super().send(entries)


def test_it_delivers_while_the_task_works(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), MemoryTracker()
    sender = Sender(run, tracker)
    spool.append(point(1))
    until(lambda: values(tracker) == [1.0], "the first point")
    spool.append(point(2, 1))
    sender.finish()
    assert values(tracker) == [1.0, 2.0]


def test_it_goes_on_after_failures(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), Unsteady(failures=2)
    sender = Sender(run, tracker)
    spool.append(point(1))
    until(lambda: tracker.arrived, "the service to be back")
    sender.finish()
    assert tracker.arrived == [point(1)]


def test_what_cannot_be_sent_at_the_end_is_said(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), Unsteady(failures=1000)
    sender = Sender(run, tracker)
    spool.append(point(1))
    with pytest.raises(ServiceError, match="down"):
        sender.finish()
    assert not run.sent.exists()


def test_a_fork_in_the_middle_of_a_delivery_leaves_a_child_that_works(tmp_path: Path) -> None:
    """In a process of its own: forking one that has threads is what pytest must not do."""
    code = f"""
import os, sys, threading, warnings
from pathlib import Path
from kit.models import MetricPoint
from kit.paths import RunPaths
from kit.trackers import MemoryTracker, Metrics
from kit.trackers.sender import Sender
from kit.trackers.spool import Spool

warnings.simplefilter("ignore")
lock, inside, go_on = threading.Lock(), threading.Event(), threading.Event()

class Slow(MemoryTracker):
    def send(self, entries):
        with lock:
            inside.set()
            go_on.wait()
            super().send(entries)

Sender._PAUSE = 0.001
run = RunPaths(Path({str(tmp_path)!r}))
spool, tracker = Spool(run.spool), Slow()
sender = Sender(run, tracker)
for number in range(20):
    spool.append(Metrics((MetricPoint("loss", 1.0, number, 1.5),)))
    inside.wait()
    threading.Timer(0.01, go_on.set).start()
    child = os.fork()
    if child == 0:
        with lock:  # held by the delivery, had the fork not waited for it
            spool.append(Metrics((MetricPoint("child", 1.0, number, 1.5),)))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    inside.clear()
    go_on.clear()
    spool.append(Metrics((MetricPoint("more", 1.0, number, 1.5),)))
go_on.set()
sender.finish()
print(len({{(point.key, point.step) for point in tracker.points}}), len(tracker.points))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    try:
        out, err = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, err) == (0, "")
    assert out.split() == ["60", "60"]


def test_it_begins_before_it_delivers_and_again_after_a_failure(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), MemoryTracker()
    begun: list[int] = []

    def begin() -> None:
        begun.append(len(tracker.points))
        if len(begun) < 2:
            raise ServiceError("not yet")

    spool.append(point(1))
    sender = Sender(run, tracker, begin=begin)
    assert not sender.wait_begun()
    assert isinstance(sender.why(), ServiceError)
    until(lambda: values(tracker) == [1.0], "the first point")
    assert sender.wait_begun()
    assert begun == [0, 0]
    sender.finish(lambda: tracker.tags.update(ended="yes"))
    assert tracker.tags == {"ended": "yes"}


def test_what_never_began_is_not_ended(run: RunPaths) -> None:
    def begin() -> None:
        raise ServiceError("the service is down")

    ended: list[bool] = []
    sender = Sender(run, MemoryTracker(), begin=begin)
    with pytest.raises(ServiceError, match="down"):
        sender.finish(lambda: ended.append(True))
    assert ended == []


def test_the_end_is_told_although_a_delivery_failed(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), Unsteady(failures=1000)
    spool.append(point(1))
    with pytest.raises(ServiceError, match="down"):
        Sender(run, tracker).finish(lambda: tracker.tags.update(ended="yes"))
    assert tracker.tags == {"ended": "yes"}


def test_nobody_waits_for_a_service_that_does_not_answer(run: RunPaths) -> None:
    spool, tracker = Spool(run.spool), Stuck()
    spool.append(point(1))
    sender = Sender(run, tracker, patience=0.2)
    tracker.asked.wait()
    with pytest.raises(ServiceError, match=r"not answered for 0.2 s") as caught:
        sender.finish()
    assert "kit sync" in str(caught.value.fix)
    assert not run.sent.exists()
    tracker.answers.set()


def test_nor_when_it_is_to_begin(run: RunPaths) -> None:
    answers = threading.Event()
    sender = Sender(run, MemoryTracker(), begin=answers.wait, patience=0.2)
    assert not sender.wait_begun()
    assert "not answered" in str(sender.why())
    answers.set()
    until(sender.wait_begun, "it to begin")
    sender.finish()


def test_a_service_that_goes_on_answering_is_waited_for(run: RunPaths) -> None:
    """Ten requests, each of which takes nearly as long as one may."""

    class Slow(MemoryTracker):
        def send(self, entries: Sequence[Entry]) -> None:
            threading.Event().wait(0.3)
            requests.append(len(entries))

    requests: list[int] = []
    spool = Spool(run.spool)
    for step in range(5000):
        spool.log([("loss", 0.5, step, 1.5), ("auc", 0.5, step, 1.5)])
    Sender(run, Slow(), patience=2.0).finish()
    assert requests == [500] * 10
    assert int(run.sent.read_text()) == run.spool.stat().st_size
