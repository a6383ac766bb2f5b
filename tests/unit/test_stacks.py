"""The stacks of a run's processes: what can be read, and what is said where they cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit import _pyspy, stacks
from kit._process import ProcessId, descendants, identify, this_process
from kit.errors import HostError, UserError

PARENT = """
import subprocess, sys, threading

child = subprocess.Popen([sys.executable, "-c", '''
import threading
def waits_below():
    print("ready", flush=True)
    threading.Event().wait()
waits_below()
''', "--token=hunter2hunter2"])
child.wait()
"""


@pytest.fixture
def supervisor() -> Iterator[ProcessId]:
    """A process that has one below it, which waits."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    found = identify(process.pid)
    assert found is not None
    yield found
    for below in descendants(process.pid):
        below.kill()
    process.kill()
    process.communicate()


def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have a py-spy that fails with this."""
    program = tmp_path / "py-spy"
    program.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(_pyspy, "program", lambda: program)


def test_every_process_below_is_read_and_its_command_has_no_secrets(supervisor: ProcessId) -> None:
    (process,) = stacks.of_run("abc123", supervisor)
    assert process.parent == supervisor.pid
    assert "hunter2" not in process.command
    assert "--token=***" in process.command
    assert "waits_below" in [call.function for call in process.threads[0].calls]
    assert not process.threads[0].active


def test_one_that_has_not_begun_has_none() -> None:
    with pytest.raises(UserError, match="has not begun yet"):
        stacks.of_run("abc123", None)


def test_one_of_another_machine_cannot_be_read() -> None:
    with pytest.raises(UserError, match="not on this machine"):
        stacks.of_run("abc123", replace(this_process(), boot="another"))


def test_one_whose_processes_are_gone_says_so() -> None:
    with pytest.raises(UserError, match="has no process any more"):
        stacks.of_run("abc123", replace(this_process(), pid=2**22 + 1))


def test_without_py_spy_it_says_how_to_have_it(supervisor: ProcessId, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pyspy, "program", lambda: None)
    with pytest.raises(HostError, match=r"py-spy is not installed.*mlekit\[debug\]"):
        stacks.of_run("abc123", supervisor)


@pytest.mark.parametrize(
    "said",
    [
        "Permission Denied: Try running again with elevated permissions",
        "Error: Failed to open process: Operation not permitted (os error 1)",
    ],
)
def test_where_it_may_not_look_it_says_what_to_do(
    supervisor: ProcessId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    says(tmp_path, monkeypatch, said)
    with pytest.raises(HostError, match=r"may not look into process .*SYS_PTRACE"):
        stacks.of_run("abc123", supervisor)


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ("Error: Failed to find python version from target process", "not a Python process"),
        ("Error: something else went wrong", "something else went wrong"),
    ],
)
def test_one_that_cannot_be_read_is_noted(
    supervisor: ProcessId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, note: str
) -> None:
    says(tmp_path, monkeypatch, said)
    (process,) = stacks.of_run("abc123", supervisor)
    assert (process.note, process.threads) == (note, ())
