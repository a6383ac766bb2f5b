"""Processes: which one is meant, also when its pid belongs to another by now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest

from kit import _process
from kit._process import (
    boot_id,
    descendants,
    identify,
    is_alive,
    marked,
    signal_name,
    signal_processes,
    this_process,
)
from tests.support import until

WAITS = "import sys; print('up', flush=True); sys.stdin.read()"


@contextmanager
def child(code: str = WAITS) -> Iterator[subprocess.Popen[str]]:
    """A real process that has begun, and ends at the latest with the test."""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_process_is_alive_until_it_is_not() -> None:
    with child() as process:
        named = identify(process.pid)
        assert named is not None
        assert named.pid == process.pid
        assert is_alive(named)
        process.kill()
        process.wait()
        assert not is_alive(named)
        assert identify(process.pid) is None


def test_a_zombie_is_not_alive() -> None:
    with child() as process:
        named = identify(process.pid)
        assert named is not None
        process.kill()
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "the zombie")
        assert not is_alive(named)
        assert identify(process.pid) is None


def test_another_process_with_the_same_pid_is_not_meant() -> None:
    own = this_process()
    assert is_alive(own)
    assert not is_alive(replace(own, started=own.started - 1))
    assert not is_alive(replace(own, boot="before the last restart"))


def test_a_process_is_named_alike_by_whoever_asks() -> None:
    code = f"{WAITS.partition(';')[0]}; from kit._process import identify; print(identify({os.getpid()}), flush=True)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == str(this_process())


def test_a_command_name_with_brackets_confuses_nobody() -> None:
    code = "import ctypes; ctypes.CDLL(None).prctl(15, b') R 1 (x)', 0, 0, 0); " + WAITS
    with child(code) as process:
        named = identify(process.pid)
        assert named is not None
        assert is_alive(named)


def test_a_pid_that_nobody_has_names_nothing() -> None:
    assert identify(2**22 + 1) is None


def test_without_proc_psutil_tells_the_same_story(monkeypatch: pytest.MonkeyPatch) -> None:
    with child() as process:
        started = _process._started_without_proc(process.pid)
        assert started is not None
        assert started == _process._started_without_proc(process.pid)
        process.kill()
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "the zombie")
        assert _process._started_without_proc(process.pid) is None
        process.wait()
        assert _process._started_without_proc(process.pid) is None


def test_the_boot_does_not_change_while_the_machine_runs() -> None:
    assert boot_id() == boot_id() != ""


def test_descendants_are_all_generations_without_the_dead() -> None:
    grandchild = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {WAITS!r}], stdin=-1); {WAITS}"
    with child(grandchild) as process:
        until(lambda: len(descendants(process.pid)) == 1, "the grandchild")
        below = descendants(os.getpid())
        assert process.pid in {found.pid for found in below}
        signal_processes([found for found in below if found.ppid() == process.pid], signal.SIGKILL)
        until(lambda: descendants(process.pid) == [], "the grandchild to be gone")


def test_descendants_of_nobody_are_none() -> None:
    assert descendants(2**22 + 1) == []


def test_signalling_who_is_gone_is_no_fault() -> None:
    with child() as process:
        found = psutil.Process(process.pid)
        process.kill()
        process.wait()
        signal_processes([found], signal.SIGTERM)


def test_a_subreaper_adopts_who_forked_twice() -> None:
    code = """
import os, signal
from kit._process import become_subreaper, descendants
assert become_subreaper()
into, out = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.read(into, 1)
        os._exit(0)
    os._exit(0)
os.wait()
print(len(descendants(os.getpid())), os.getpid() == descendants(os.getpid())[0].ppid())
os.write(out, b'x')
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "True"]


def test_processes_are_found_by_their_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the one that asks, also where they have left the session."""
    mark = f"test-{os.getpid()}"
    monkeypatch.setenv("KIT_TEST_MARK", mark)
    command = [sys.executable, "-c", WAITS]
    with subprocess.Popen(command, stdin=-1, stdout=-1, start_new_session=True) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        assert [process.pid for process in marked("KIT_TEST_MARK", mark)] == [daemon.pid]
        assert marked("KIT_TEST_MARK", f"{mark}0") == []
        daemon.kill()


def test_a_child_can_be_made_to_die_with_its_parent() -> None:
    dies = f"from kit._process import die_with_parent; assert die_with_parent(); {WAITS}"
    parent = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {dies!r}], stdin=-1, stdout=-1, text=True)\n"
        "p.stdout.readline(); print(p.pid, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    named = identify(int(process.stdout.readline()))
    assert named is not None
    process.kill()
    process.communicate()
    until(lambda: not is_alive(named), "the child to follow its parent")


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (15, "SIGTERM"), (60, "signal 60"), (999, "signal 999")])
def test_signals_have_names(number: int, name: str) -> None:
    assert signal_name(number) == name
