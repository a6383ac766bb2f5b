"""The frame around every command: how it ends, whatever stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from kit import runs
from kit.cli import main, render
from kit.project import Project


@pytest.fixture(autouse=True)
def _fresh_console() -> Iterator[None]:
    render.console.cache_clear()
    yield
    render.console.cache_clear()


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


def listing_that(does: Callable[[], object]) -> Callable[[Project, object], list[object]]:
    def listing(_project: Project, _query: object) -> list[object]:
        does()
        return []

    return listing


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "does",
    [interrupt, lambda: send(signal.SIGINT), lambda: send(signal.SIGTERM), lambda: send(signal.SIGHUP)],
    ids=["interrupt", "SIGINT", "SIGTERM", "SIGHUP"],
)
def test_what_is_stopped_says_so_once(
    inside: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    does: Callable[[], object],
) -> None:
    tidied = []

    def work() -> None:
        try:
            does()
        finally:
            tidied.append(True)

    monkeypatch.setattr(runs, "listing", listing_that(work))
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    assert main(["runs"]) == 130
    assert capsys.readouterr() == ("", "cancelled\n")
    assert tidied
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_a_signal_that_is_ignored_stays_so(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "listing", listing_that(lambda: send(signal.SIGHUP)))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["runs"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_peer_that_has_left_does_not_kill_kit(inside: Path) -> None:
    """`SIGPIPE` comes from every socket and pipe, not only from standard output."""
    before = signal.getsignal(signal.SIGPIPE)
    assert main(["runs"]) == 0
    assert signal.getsignal(signal.SIGPIPE) == before == signal.SIG_IGN


@pytest.mark.parametrize("arguments", [["runs"], ["runs", "--json"], ["--help"], ["--version"]], ids=" ".join)
def test_a_reader_that_has_left_hears_nothing_more(inside: Path, arguments: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-P", "-m", "kit", *arguments]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_output_that_cannot_be_written_is_an_error(inside: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-P", "-m", "kit", "runs"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["error: the disk is full. Free some space, then run the command again."]


def test_an_argument_that_is_no_text_is_refused(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--name", os.fsdecode(b"caf\xe9")]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        r"error: the argument 'caf\xe9' is not UTF-8 (command line). Write it in UTF-8."
    ]
    assert not (inside / ".kit").exists()


def test_the_number_of_jobs_is_for_sweeps(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--jobs", "2"]) == 2
    assert "Add `-m`" in capsys.readouterr().err
    assert not (inside / ".kit").exists()
