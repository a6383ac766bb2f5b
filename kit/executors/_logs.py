"""What a run printed, read from its folder while it may still print."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from kit.paths import RunPaths
from kit.redact import mask

__all__ = ["last_words", "read_log"]

_POLL = 0.1


def read_log(run: RunPaths, has_ended: Callable[[], bool]) -> Iterator[bytes]:
    """Its log in pieces, until it has ended; of a very long one the end comes last."""
    position = 0
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
