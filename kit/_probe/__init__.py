"""What a run's results depend on, found out inside the run: things are held fixed, and who asks for them is noted.

A run whose spec has a `Probe` is an ordinary run but for this. `prepare` comes first in its process, since some things
are settled when an interpreter starts; `loading` comes around the import of the task's module, so that this gets what
stands in for the clock, say, and not the clock.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kit._probe._asking import Asked, Watch, read

if TYPE_CHECKING:
    from kit._probe._hashes import Hashes

__all__ = [
    "GENERATOR",
    "HASH_ORDER",
    "HELD",
    "NATIVE_THREADS",
    "THREADS",
    "TIME",
    "Asked",
    "join",
    "loading",
    "prepare",
    "read",
]

GENERATOR = "generator"
"""Numbers that nobody can know before: what seeds a generator that is given no seed."""
TIME = "time"
"""What the clocks say."""
THREADS = "threads"
"""Which of the threads or processes that Python started is first."""
NATIVE_THREADS = "native threads"
"""On how many threads the libraries beneath Python (BLAS, OpenMP) share a sum."""
HASH_ORDER = "hash order"
"""The order of sets: of objects by where they lie in memory, of texts in other interpreters by their hash seed."""
HELD = (GENERATOR, TIME, THREADS, NATIVE_THREADS, HASH_ORDER)

_PREPARED = "KIT_PROBE_PREPARED"


def prepare(held: tuple[str, ...], hash_seed: int | None) -> None:
    """Begin anew in an interpreter that has what must be settled before it starts; returns where that is done."""
    from kit._probe._threads import ONE_EACH
    from kit.forkserver._child import is_forked

    if os.environ.get(_PREPARED) == str(os.getpid()):
        del os.environ[_PREPARED]
        return
    changed = {_PREPARED: str(os.getpid())}
    if hash_seed is not None:
        changed["PYTHONHASHSEED"] = str(hash_seed)
    if NATIVE_THREADS in held:
        changed |= ONE_EACH
    # What was imported before a fork has bound what is to be held fixed.
    if len(changed) == 1 and not is_forked():
        return
    os.execve(sys.executable, sys.orig_argv, os.environ | changed)  # noqa: S606


@contextlib.contextmanager
def loading(held: tuple[str, ...], *, seed: int, now: float, out: Path, source: Path) -> Iterator[None]:
    """While the task's module is imported: hold these things fixed, from here on and in the processes that it starts.

    Args:
        held: Some of `HELD`.
        seed: What stands in for numbers that nobody can know is made from it.
        now: What the clocks start from, in seconds since the epoch.
        out: Where each place that asks is noted.
        source: The folder of the code that is looked into.
    """
    from kit._probe._children import invite

    watch = Watch(out, source)
    hashes = _install(held, watch, seed=seed, now=now)
    if held:
        invite(out.with_suffix(""), {"held": held, "seed": seed, "now": now, "out": str(out), "source": str(source)})
    yield
    hashes.begin()


def join() -> None:
    """In an interpreter that the task started: hold what the task's own holds."""
    from kit._probe._children import invited

    if (told := invited()) is not None:
        watch = Watch(Path(told["out"]), Path(told["source"]), child=True)
        _install(tuple(told["held"]), watch, seed=told["seed"], now=told["now"])


def _install(held: tuple[str, ...], watch: Watch, *, seed: int, now: float) -> Hashes:
    from kit._probe import _clock, _generators, _threads
    from kit._probe._hashes import Hashes

    hashes = Hashes(watch)
    if GENERATOR in held:
        _generators.install(watch, seed)
    if TIME in held:
        _clock.install(watch, now)
    if THREADS in held:
        _threads.install(watch)
    if NATIVE_THREADS in held:
        _threads.keep_one_each()
    if HASH_ORDER in held:
        hashes.install()
    return hashes
