"""What a run printed, read from its folder while it may still print."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from kit.paths import RunPaths
from kit.redact import mask

__all__ = ["echoed", "last_words", "read_log"]

_POLL = 0.1


def read_log(run: RunPaths, has_ended: Callable[[], bool], *, position: int = 0) -> Iterator[bytes]:
    """Its log in pieces, from this byte on and until it has ended; of a very long one the end comes last."""
    while True:
        ended = has_ended()
        with contextlib.suppress(FileNotFoundError), run.log.open("rb") as log:
            log.seek(position)
            while data := log.read(1 << 16):
                position += len(data)
                yield data
        if ended:
            break
        time.sleep(_POLL)
    for rest in run.logs[1:]:
        with contextlib.suppress(FileNotFoundError):
            yield rest.read_bytes()


def last_words(run: RunPaths) -> str:
    """What the job said last, besides its engine's own remarks; nothing if it said nothing."""
    with contextlib.suppress(OSError):
        said = [line.strip() for line in run.supervisor_log.read_text(errors="replace").splitlines()]
        if lines := [line for line in said if line and not line.startswith("slurmstepd:")]:
            return mask(lines[-1])
    return ""


@contextlib.contextmanager
def echoed(run: RunPaths, hide: Callable[[str], str]) -> Iterator[None]:
    """Have this process print what the run prints, for as long as the block lasts: by lines, since it hides secrets."""
    over = threading.Event()
    begins = run.log.stat().st_size if run.log.exists() else 0  # another job has printed that
    pieces = read_log(run, over.is_set, position=begins)
    echo = threading.Thread(target=_echo, args=(pieces, hide), name="kit-echo", daemon=True)
    echo.start()
    try:
        yield
    finally:
        over.set()
        echo.join()


def _echo(pieces: Iterator[bytes], hide: Callable[[str], str]) -> None:
    rest = b""
    with contextlib.suppress(OSError):  # nobody reads it any more
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                print(hide(line.decode(errors="replace")), flush=True)  # noqa: T201
        if rest:
            print(hide(rest.decode(errors="replace")), flush=True)  # noqa: T201
