"""What a forked process is made into, and how it ends."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kit.forkserver import _child


def forked(main: Callable[[], object]) -> int:
    """The exit code of a child that does this and ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        atexit._clear()  # the test's own
        _child.end(main)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(
    ("leaving", "code"),
    [(None, 0), (SystemExit(), 0), (SystemExit(3), 3), (SystemExit(-1), 255), (SystemExit("no"), 1)],
)
def test_the_exit_code_is_an_interpreters(leaving: SystemExit | None, code: int) -> None:
    def main() -> None:
        if leaving is not None:
            raise leaving

    assert forked(main) == code


def test_an_error_is_told_as_an_interpreter_does(capfd: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        sys.stderr = sys.__stderr__
        raise ValueError("mine")

    assert forked(main) == 1
    assert capfd.readouterr().err.endswith("ValueError: mine\n")


def test_what_is_registered_runs_and_open_files_are_written(tmp_path: Path) -> None:
    def main() -> None:
        file = (tmp_path / "open").open("w")
        atexit.register(file.write, " and more")
        file.write("written")
        globals()["_kept"] = file

    assert forked(main) == 0
    assert (tmp_path / "open").read_text() == "written and more"


def test_arguments_variables_and_signals_are_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def main() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        _child.become(["mine", "x"], {"A": "1"}, shown=["python", "mine"], ignored=[signal.SIGHUP])
        told = [
            sys.argv,
            sys.orig_argv,
            dict(os.environ),
            psutil.Process().environ(),
            " ".join(psutil.Process().cmdline()),
        ]
        handlers = [signal.getsignal(n) for n in (signal.SIGUSR1, signal.SIGHUP, signal.SIGPIPE)]
        out.write_text(repr([*told, handlers, signal.getsignal(signal.SIGINT) is signal.default_int_handler]))

    assert forked(main) == 0
    usual = [signal.SIG_DFL, signal.SIG_IGN, signal.SIG_IGN]
    told = [["mine", "x"], ["python", "mine"], {"A": "1"}, {"A": "1"}, "python mine", usual, True]
    assert out.read_text() == repr(told)


def test_descriptors_of_others_are_closed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    kept, other = os.pipe()

    def main() -> None:
        _child.close_others(kept)
        out.write_text(str([Path(f"/proc/self/fd/{number}").exists() for number in (0, 1, 2, kept, other)]))

    try:
        assert forked(main) == 0
    finally:
        os.close(kept)
        os.close(other)
    assert out.read_text() == "[True, True, True, True, False]"
