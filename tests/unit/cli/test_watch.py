"""What is shown of a run while it goes, and what is told to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.cli._watch import LogTail, _relayed
from kit.errors import Terminated
from kit.executors._console import ConsoleLog

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Asked:
    """A handle that notes what is asked of the run."""

    run_id = "abc123"

    def __init__(self) -> None:
        self.at_once: list[bool] = []
        self.given_up = 0

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - the protocol has it
        return True

    def cancel(self, *, at_once: bool = False) -> None:
        self.at_once.append(at_once)

    def detach(self) -> None: ...

    def give_up(self) -> None:
        self.given_up += 1


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_goes_on_to_the_run(number: signal.Signals) -> None:
    asked = Asked()
    with _relayed(asked):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert asked.at_once == [False, True]


def test_sigterm_gives_up_a_run_that_somebody_starts_again_and_a_second_one_ends_it() -> None:
    asked = Asked()

    def evicted() -> None:
        with _relayed(asked, gives_up=True):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Terminated):
        evicted()
    assert (asked.given_up, asked.at_once) == (1, [True])


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_that_is_ignored_does_not(number: signal.Signals) -> None:
    asked = Asked()
    signal.signal(number, signal.SIG_IGN)
    with _relayed(asked):
        os.kill(os.getpid(), number)
    assert asked.at_once == []
    assert signal.getsignal(number) is signal.SIG_IGN


def test_a_letter_may_come_in_two_pieces(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "console.log")
    assert tail.read() == ""  # not there yet
    with (tmp_path / "console.log").open("wb", buffering=0) as log:
        log.write(b"caf\xc3")
        assert tail.read() == "caf"
        log.write(b"\xa9 \xff \xe2\x82")
        assert tail.read() == "é \ufffd "
    assert tail.read(last=True) == "\ufffd"
    tail.close()


@pytest.mark.parametrize("size", [1, 3, 7, 10, 16])
def test_a_log_that_is_full_is_shown_on(tmp_path: Path, size: int) -> None:
    tail = LogTail(tmp_path / "console.log")
    written = "".join(f"line {number}\n" for number in range(30))
    shown = ""
    with ConsoleLog(tmp_path / "console.log", limit=32) as log:
        for start in range(0, len(written), size):
            log.write(written[start : start + size].encode())
            shown += tail.read()
    shown += tail.read(last=True)
    tail.close()
    notice = "\n[kit: the log is full; what follows is kept at its end only]\n"
    assert shown.count(notice) == 1
    assert shown.replace(notice, "") == written


@pytest.mark.parametrize("size", [1, 20, 40, 100, 400])
def test_what_a_run_printed_before_is_passed_over(tmp_path: Path, size: int) -> None:
    with ConsoleLog(tmp_path / "console.log", limit=32) as log:
        log.write(b"." * size)
    tail = LogTail(tmp_path / "console.log")
    tail.skip()
    assert tail.read() == ""
    with (tmp_path / ("console.log" if size < 32 else "console.log.1")).open("ab") as more:
        more.write(b"new")
    assert tail.read(last=True) == "new"
    tail.close()


def test_one_who_looks_late_sees_both_ends(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "console.log")
    with ConsoleLog(tmp_path / "console.log", limit=32) as log:
        log.write(b"begin ")
        first = tail.read()
        log.write(b"-" * 1000 + b"the end")
    assert first == "begin "
    rest = tail.read(last=True)
    tail.close()
    assert "the log is full" in rest
    assert rest.endswith("-the end")
