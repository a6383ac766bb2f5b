"""A forked process, made into what it would be if an interpreter had been started for it."""

from __future__ import annotations

import _io
import atexit
import contextlib
import ctypes
import gc
import io
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

__all__ = [
    "PADDING",
    "become",
    "close_others",
    "end",
    "is_forked",
    "libraries_are_open",
    "open_descriptors",
    "run_as_main",
]

PADDING = 1 << 15
"""Bytes that a server's command line and environment have room for, each, so that its children can show their own."""

_NAMES = ("<stdin>", "<stdout>", "<stderr>")
_forked = False
_of_libraries: set[int] = set()


def libraries_are_open(own: set[int]) -> None:
    """In a server: what is open now, but for its own, belongs to what was imported, and its children keep it."""
    _of_libraries.update(open_descriptors() - own)


def close_others(*kept: int) -> None:
    """In a child: what is open beyond the standard streams, what libraries opened, and these."""
    for descriptor in open_descriptors() - _of_libraries - {0, 1, 2, *kept}:
        with contextlib.suppress(OSError):  # that of the listing itself is gone by now
            os.close(descriptor)


def open_descriptors() -> set[int]:
    """The numbers of what this process has open; that of the look itself among them."""
    return set(map(int, os.listdir("/proc/self/fd")))


def is_forked() -> bool:
    """Whether this process came out of a forkserver."""
    return _forked


def become(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    shown: Sequence[str],
    ignored: Iterable[int] = (),
    blocked: Iterable[int] = (),
) -> None:
    """Have the arguments, the environment, the signals and the standard streams of a process that begins.

    Args:
        arguments: `sys.argv`.
        environment: All of it.
        shown: The command line as others see it.
        ignored, blocked: Signals, as the parent that it would have had them.
    """
    global _forked  # noqa: PLW0603 - it is this process's own nature
    _forked = True
    signal.set_wakeup_fd(-1)
    unheard = {*ignored, signal.SIGPIPE}  # the latter by Python itself
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):  # two belong to the C library
            signal.signal(number, signal.SIG_IGN if number in unheard else signal.SIG_DFL)
    if signal.SIGINT not in unheard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    sys.argv[:] = arguments
    sys.orig_argv[:] = shown
    os.environ.clear()  # also where it is the same: it must not lie where it is shown from
    os.environ.update(environment)
    _show(shown, environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    unbuffered = bool(environment.get("PYTHONUNBUFFERED"))
    for descriptor, name in enumerate(_NAMES):
        stream = _stream(descriptor, name, unbuffered=unbuffered)
        setattr(sys, name[1:-1], stream)
        setattr(sys, f"__{name[1:-1]}__", stream)


def _stream(descriptor: int, name: str, *, unbuffered: bool) -> io.TextIOWrapper:
    """As the interpreter makes it when it starts."""
    like: Any = getattr(sys, f"__{name[1:-1]}__")
    raw = io.FileIO(descriptor, "rb" if descriptor == 0 else "wb", closefd=False)
    raw.name = name
    buffered = io.BufferedReader if descriptor == 0 else io.BufferedWriter
    buffer = raw if unbuffered and descriptor != 0 else buffered(raw)
    stream = io.TextIOWrapper(
        buffer,
        encoding=like.encoding,
        errors=like.errors,
        newline="\n",
        line_buffering=not unbuffered and (descriptor == 2 or raw.isatty()),
        write_through=unbuffered and descriptor != 0,
    )
    vars(stream)["mode"] = "r" if descriptor == 0 else "w"
    return stream


def _show(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Let `ps`, and who looks for a process by a variable, see this process's own, where the server's were."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        first, behind, variables, end = map(int, fields[45:49])
        # One text, and no NUL at the end of its room: so the kernel knows that there is no more of it.
        _put(os.fsencode(" ".join(command)), first, behind - first, last=b".")
        # The variables themselves were moved elsewhere when they were set.
        texts = (f"{name}={value}\0" for name, value in environment.items())
        _put(os.fsencode("".join(texts)), variables, end - variables, last=b"\0")


def _put(data: bytes, start: int, room: int, *, last: bytes) -> None:
    ctypes.memmove(start, data[: room - 2].ljust(room - 1, b"\0") + last, room)


def run_as_main(module: str) -> None:
    """Run a module as `python -m` does."""
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def end(main: Callable[[], object], tell: Callable[[int], None] = lambda _code: None) -> NoReturn:
    """Run it, then leave as an interpreter does, but for taking all of its modules apart: with MLflow that takes 0.5 s.

    Args:
        tell: Called last, with the exit code.
    """
    code = 1
    try:
        code = _code_of(main)
        threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - what waits for threads at the end
    except BaseException:  # noqa: BLE001 - nothing may go back into the server's own code
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()  # noqa: SLF001 - as at any interpreter's end
        _flush()
        with contextlib.suppress(BaseException):
            tell(code)
        if _forked:  # what C libraries want done at the end is the server's
            os._exit(code)
        ctypes.PyDLL(None).exit(code)  # with Python's lock held: no thread goes on meanwhile
        raise AssertionError  # for the type checker


def _code_of(main: Callable[[], object]) -> int:
    try:
        main()
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return (leaving.code or 0) & 0xFF
        print(leaving.code, file=sys.stderr)  # noqa: T201 - as Python does
        return 1
    except BaseException:  # noqa: BLE001 - as Python does
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _flush() -> None:
    """Files that were left open are written when an interpreter takes itself apart, and so they are here."""
    # By the type that all files have: asking the abstract one of each object takes ten times as long.
    files: list[Any] = [thing for thing in gc.get_objects() if issubclass(type(thing), _io._IOBase)]  # noqa: SLF001
    for file in (*files, sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            if not file.closed:
                file.flush()
