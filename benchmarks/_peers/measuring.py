"""What is measured of a peer in a round, and its memory."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks._peers.peer import Peer, until
from benchmarks._peers.report import Found

__all__ = ["LONG", "memory", "turn", "warm_up"]

LONG = 45.0
"""A sweep that took longer, in seconds, is not measured again: what it says is clear."""


def warm_up(peer: Peer) -> None:
    """Make its stores and its bytecode, and let it learn what it learns."""
    peer.prepare()
    if peer.runs or peer.sweeps:
        peer.cold()
        peer.works += 1


def turn(peer: Peer, found: Found, trials: int, fires: int) -> None:
    """Measure everything of a peer once; `fires` may be none."""
    if peer.runs:
        found.cold.append(_timed(peer.cold))
        peer.works += 1
    for kind in peer.scaffolds:
        with tempfile.TemporaryDirectory(dir=peer.folder) as target:
            found.scaffold.setdefault(kind, []).append(_timed(lambda: peer.scaffold(kind, Path(target))))  # noqa: B023
    with _running(peer):
        if peer.warms:
            found.warm.append(_timed(peer.warm))
            peer.works += 1
        if peer.sweeps and max(found.sweep, default=0.0) < LONG:
            found.sweep.append(_timed(lambda: peer.sweep(trials)))
            peer.works += trials
        if peer.schedules and fires:
            found.late += _late(peer, fires)


def memory(peer: Peer, found: Found) -> None:
    """The most that all processes of a run take together, each shared page counted once; not timed."""
    if not peer.runs:
        return
    peer.stop()
    with _watched(peer) as most:
        peer.cold()
    found.memory["cold"] = most()
    peer.works += 1
    if peer.warms:
        with _running(peer):
            peer.warm()  # the one that is measured is not the first
            with _watched(peer) as most:
                peer.warm()
            found.memory["warm"] = most()
            time.sleep(1)
            found.memory["stays"] = _together(peer)
        peer.works += 2


@contextlib.contextmanager
def _running(peer: Peer) -> Iterator[None]:
    if not peer.warms:
        yield
        return
    peer.start()
    try:
        if not peer.stays:
            peer.warm()  # what a server does at its first request
            peer.works += 1
        yield
    finally:
        if not peer.stays:
            peer.stop()


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _late(peer: Peer, fires: int) -> list[float]:
    """How long after the instant at which it was due the first line of the user's code ran."""
    (peer.root / "fires").unlink(missing_ok=True)
    from_then = time.time() + peer.settle

    def counted() -> list[float]:
        return [at - due for due, at in peer.fires() if due > from_then]

    process = peer.schedule()
    try:
        until(lambda: len(counted()) >= fires, "what is scheduled", patience=peer.settle + 4 * peer.every * fires)
    finally:
        peer.end(process)
    return counted()[:fires]


def _together(peer: Peer) -> int:
    """Bytes of all its processes; what n of them share counts one nth for each."""
    total = 0
    for pid in peer.processes():
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


@contextlib.contextmanager
def _watched(peer: Peer) -> Iterator[Callable[[], int]]:
    most = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most[0] = max(most[0], _together(peer))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: most[0]
    finally:
        over.set()
        thread.join()
