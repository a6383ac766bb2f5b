"""Threads that wait for each other: those that Python starts take turns, those of libraries beneath it are one each."""

from __future__ import annotations

import concurrent.futures
import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.thread import ThreadPoolExecutor
from time import monotonic, process_time
from types import ModuleType
from typing import Any

from kit._importing import after_import
from kit._probe._asking import Watch

__all__ = ["ONE_EACH", "PROCESS", "install", "keep_one_each"]

_KIND = "threads"
PROCESS = "multiprocessing.Process.start()"
"""What is noted of who starts another process."""
ONE_EACH = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OMP_THREAD_LIMIT",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "POLARS_MAX_THREADS",
    ),
    "1",
)
"""Variables that libraries read when they are loaded."""

_IDLE = 0.5
"""Seconds without any work after which a thread waits for something, and not for the processor."""
_LOOK = 0.02
_LONG_TURN = 1.0
"""Seconds that one thread has the interpreter for, if it wants; a signal may have to wait for so long."""

_Future = concurrent.futures.Future[Any]


def install(watch: Watch) -> None:
    """Have a thread end, or wait for something, before who started it goes on; results come in the order asked for."""
    sys.setswitchinterval(_LONG_TURN)
    _one_after_the_other(watch)
    _ordered_futures(watch)
    after_import("multiprocessing.pool", lambda pool: _ordered_pool(pool, watch))
    after_import("multiprocessing.process", lambda process: _note_processes(process, watch))


def keep_one_each() -> None:
    """PyTorch may be told in the task how many threads to use, whatever the environment says."""

    def change(torch: Any) -> None:  # noqa: ANN401 - a module that may not be there
        torch.set_num_threads = lambda _number: None

    after_import("torch", change)


def _let_it_end(wait: Callable[[float], bool]) -> None:
    """Wait until `wait` says that it is done, or until nothing in this process works any more."""
    worked, since = process_time(), monotonic()
    while not wait(_LOOK):
        now, so_far = monotonic(), process_time()
        if so_far - worked > _LOOK / 2:
            worked, since = so_far, now
        elif now - since > _IDLE:
            return


def _has_ended(thread: threading.Thread, seconds: float) -> bool:
    thread.join(seconds)
    return not thread.is_alive()


def _one_after_the_other(watch: Watch) -> None:
    real = threading.Thread.start

    def start(self: threading.Thread) -> None:
        asked = watch.asked(_KIND, "threading.Thread.start()")
        real(self)
        # A pool's threads go on for ever: there it is the work that is waited for.
        if asked is not None and watch.by_the_task():
            _let_it_end(lambda seconds: _has_ended(self, seconds))

    threading.Thread.start = start  # type: ignore[method-assign]


def _ordered_futures(watch: Watch) -> None:
    real = ThreadPoolExecutor.submit
    numbers = itertools.count()

    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> _Future:  # noqa: ANN401
        future = real(self, fn, *args, **kwargs)
        future._kit_number = next(numbers)  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other place
        if watch.asked(_KIND, "ThreadPoolExecutor.submit()") is not None:
            _let_it_end(lambda seconds: bool(concurrent.futures.wait([future], seconds).done))
        return future

    def as_completed(fs: Iterable[_Future], timeout: float | None = None) -> Iterator[_Future]:
        watch.asked(_KIND, "concurrent.futures.as_completed()")
        end = None if timeout is None else monotonic() + timeout
        for future in sorted(fs, key=lambda future: getattr(future, "_kit_number", -1)):
            left = None if end is None else max(0.0, end - monotonic())
            if not concurrent.futures.wait([future], left).done:
                raise TimeoutError("not all of the futures are done")
            yield future

    ThreadPoolExecutor.submit = submit  # type: ignore[assignment, method-assign]
    concurrent.futures.as_completed = concurrent.futures._base.as_completed = as_completed  # type: ignore[assignment]  # noqa: SLF001


def _ordered_pool(pool: ModuleType, watch: Watch) -> None:
    def imap_unordered(self: Any, func: Any, iterable: Any, chunksize: int = 1) -> Any:  # noqa: ANN401 - as it has it
        watch.asked(_KIND, "Pool.imap_unordered()")
        return self.imap(func, iterable, chunksize)

    pool.Pool.imap_unordered = imap_unordered


def _note_processes(process: ModuleType, watch: Watch) -> None:
    real = process.BaseProcess.start

    def start(self: Any) -> None:  # noqa: ANN401
        watch.asked(_KIND, PROCESS)
        real(self)

    process.BaseProcess.start = start
