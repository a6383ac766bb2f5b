"""`kit run` out of a forkserver: quick, and for everyone who looks like one that was started anew."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kit.forkserver import _client
from kit.forkserver._control import status
from kit.outcomes import ABANDONED
from tests.support import KIT, commit_all, environment, forkserver, kit, new_project, processes_of, start_kit, until

pytestmark = pytest.mark.slow  # the others are measured for coverage, and who is measured is not forked

TASKS = """
    import json
    import os
    import random
    import resource
    import signal
    import sys
    import threading
    import time
    from pathlib import Path

    import kit


    def facts(run: kit.Run) -> dict:
        fixed = {"KIT_RUN_ID", "KIT_SUPERVISOR", "KIT_CONTROL_FD", "KIT_FORKSERVER", "MLFLOW_RUN_ID"}
        lines = Path("/proc/self/status").read_text().splitlines()
        status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
        main = sys.modules["__main__"]
        return {
            "arguments": [text.replace(run.id, "RUN") for text in sys.argv],
            "started with": [text.replace(run.id, "RUN") for text in sys.orig_argv],
            "folder": os.getcwd(),
            "environment": {name: value for name, value in sorted(os.environ.items()) if name not in fixed},
            "shown environment": sorted(
                item.decode().partition("=")[0]
                for item in Path("/proc/self/environ").read_bytes().split(b"\\0")
                if item and item.decode().partition("=")[0] not in fixed
            ),
            "main": [main.__name__, main.__spec__.name, main.__file__],
            "path": sys.path,
            "flags": str(sys.flags),
            "warnings": sys.warnoptions,
            "streams": [
                [str(s.name), s.encoding, s.errors, s.line_buffering, s.isatty(), s.fileno(), type(s).__name__]
                for s in (sys.stdin, sys.stdout, sys.stderr)
            ],
            "unbuffered": [s.write_through for s in (sys.stdout, sys.stderr)],
            "mask": status["Umask"],
            "signals": [status[name].strip() for name in ("SigBlk", "SigIgn", "SigCgt")],
            "nice": os.nice(0),
            "cores": sorted(os.sched_getaffinity(0)),
            "limits": {
                name: resource.getrlimit(number) for name, number in vars(resource).items() if name[:7] == "RLIMIT_"
            },
            "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd") if int(name) < 3),
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "group": os.getpgrp() == os.getpid(),
            "session": os.getsid(0) == os.getppid(),
            "draws": random.random(),
            "hash": hash("a text"),
            "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        }


    def tells(cfg: dict, run: kit.Run) -> dict[str, float]:
        print("said", flush=True)
        Path(cfg["out"]).write_text(json.dumps(facts(run)))
        return {"score": 0.5}


    def reads(cfg: dict) -> dict[str, float]:
        return {"bytes": float(len(sys.stdin.read()))}


    def fails(cfg: dict) -> None:
        raise SystemExit(cfg.get("exit", 3))


    def dies(cfg: dict) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


    def waits(cfg: dict, run: kit.Run) -> None:
        print("started", flush=True)
        gate = threading.Event()
        while not (run.dir / "go").exists():
            gate.wait(0.05)


    def leaves_open(cfg: dict) -> None:
        global kept
        kept = open(cfg["out"], "w")
        kept.write("in a buffer")
"""
EXPERIMENTS = ("tells", "reads", "fails", "dies", "waits", "leaves_open")
FILES = {"src/tiny/tasks.py": TASKS} | {
    f"conf/experiment/{name}.yaml": f"# @package _global_\ntask: tiny.tasks.{name}\nout: null\nexit: 3\n"
    for name in EXPERIMENTS
}


class Forking:
    """A project with a forkserver, and the environment in which it is the one to ask."""

    def __init__(self, root: Path, env: dict[str, str]) -> None:
        self.root = root
        self.env = env

    def run(self, *arguments: str, code: int | None = 0, **variables: str) -> Any:
        """`kit run --json`, which must be forked."""
        done = kit(self.root, "run", "--verbose", "--json", *arguments, env=self.env | variables, code=code)
        assert "forked from process" in done.err, done.err
        return json.loads(done.out)

    def cold(self, *arguments: str, **variables: str) -> str:
        """Why `kit run` is not."""
        done = kit(
            self.root, "run", "--verbose", "experiment=tells", "out=/dev/null", *arguments, env=self.env | variables
        )
        assert "forked from" not in done.err
        return next(line for line in done.err.splitlines() if line.startswith("starting cold: "))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return start_kit(self.root, "run", *arguments, env=self.env)


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    env = environment(tmp_path_factory.mktemp("home"))
    root = new_project(tmp_path_factory.mktemp("forking") / "tiny", FILES)
    kit(root, "run", "experiment=tells", "out=/dev/null", env=env)  # learns, and leaves MLflow's store
    del env["KIT_FORKSERVER"]
    with forkserver(root, env):
        yield Forking(root, env)
    until(lambda: processes_of(root) == [], "nothing to be left of any run")


def started(forking: Forking, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
    """A run whose task waits in the background, and its folder."""
    runs = forking.root / ".kit" / "runs"
    before = set(runs.iterdir())
    client = forking.start("experiment=waits", *arguments)

    def waiting() -> Path | None:
        new = set(runs.iterdir()) - before
        return next(
            (run for run in new if (run / "console.log").exists() and b"started" in (run / "console.log").read_bytes()),
            None,
        )

    found = until(waiting, "the task to start")
    assert found is not None
    return client, found


def told(
    forking: Forking, tmp_path: Path, *how: str, prepare: Callable[[], None] | None = None, **variables: str
) -> Any:
    out = tmp_path / f"facts{len(list(tmp_path.iterdir()))}.json"
    done = subprocess.run(
        [KIT, "run", "--verbose", *how, "experiment=tells", f"out={out}"],
        cwd=forking.root / "src",
        env=forking.env | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=prepare,
    )
    assert ("forked from process" in done.stderr) is not bool(how)
    return json.loads(out.read_text())


def _odd() -> None:
    os.umask(0o027)
    os.nice(3)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, 900))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


@pytest.mark.parametrize("prepare", [None, _odd], ids=["usual", "odd"])
def test_a_task_sees_what_it_sees_in_a_run_that_is_started_anew(
    forking: Forking, tmp_path: Path, prepare: Callable[[], None] | None
) -> None:
    forked = told(forking, tmp_path, prepare=prepare, MY_OWN="ü", LINES="7")
    cold = told(forking, tmp_path, "--cold", prepare=prepare, MY_OWN="ü", LINES="7")
    assert forked.pop("environment").items() >= cold.pop("environment").items()  # libraries may set more
    assert set(forked.pop("shown environment")) >= set(cold.pop("shown environment"))
    assert forked == cold


def test_an_edit_of_the_code_is_seen(forking: Forking) -> None:
    tasks = forking.root / "src" / "tiny" / "tasks.py"
    before = tasks.read_text()
    try:
        assert forking.run("experiment=tells", "out=/dev/null")["metrics"] == {"score": 0.5}
        tasks.write_text(before.replace('"score": 0.5', '"score": 0.25'))
        assert forking.run("experiment=tells", "out=/dev/null")["metrics"] == {"score": 0.25}
    finally:
        tasks.write_text(before)


@pytest.mark.parametrize(("experiment", "code", "reason"), [("fails", 3, ""), ("dies", 1, "killed by SIGKILL")])
def test_a_run_that_fails_leaves_with_its_code(forking: Forking, experiment: str, code: int, reason: str) -> None:
    record = forking.run(f"experiment={experiment}", code=code)
    assert record["status"] == "failed"
    assert reason in (record["reason"] or "")
    assert record["tracked"] is True


def test_a_mistake_is_told_as_ever(forking: Forking) -> None:
    forked, cold = (
        kit(forking.root, "run", *how, "experiment=nono", env=forking.env, code=2) for how in ([], ["--cold"])
    )
    assert (forked.out, forked.err) == (cold.out, cold.err)


def test_standard_input_is_the_commands(forking: Forking) -> None:
    done = subprocess.run(
        [KIT, "run", "--json", "experiment=reads"],
        cwd=forking.root, env=forking.env, input=b"x" * 100_000, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["metrics"] == {"bytes": 100_000}


def test_what_a_task_left_in_a_buffer_is_written(forking: Forking, tmp_path: Path) -> None:
    forking.run("experiment=leaves_open", f"out={tmp_path / 'kept'}")
    assert (tmp_path / "kept").read_text() == "in a buffer"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_stops_the_run(forking: Forking, number: signal.Signals) -> None:
    client, run = started(forking)
    client.send_signal(number)
    client.communicate(timeout=100)
    assert client.returncode == 130
    assert '"exit_code":130' in (run / "result.json").read_text()


def test_the_run_of_a_command_that_is_killed_is_stopped(forking: Forking) -> None:
    client, run = started(forking)
    client.kill()
    client.communicate()
    until(lambda: processes_of(forking.root) == [], "the run to end")
    assert kit(forking.root, "show", run.name, "--json", env=forking.env).json()["reason"] == ABANDONED


def test_a_command_that_is_stopped_for_a_while_goes_on(forking: Forking) -> None:
    client, run = started(forking)
    server = status(forking.root)
    assert server is not None

    def states() -> list[str]:
        children = psutil.Process(server.pid).children()
        command = [child for child in children if "/kit run " in " ".join(child.cmdline())]
        return [process.status() for process in (psutil.Process(client.pid), *command)]

    client.send_signal(signal.SIGTSTP)
    until(lambda: states() == [psutil.STATUS_STOPPED] * 2, "both to stop")
    client.send_signal(signal.SIGCONT)
    until(lambda: psutil.STATUS_STOPPED not in states(), "both to go on")
    (run / "go").touch()
    client.communicate(timeout=100)
    assert client.returncode == 0


def test_a_terminal_is_the_commands(forking: Forking) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [KIT, "run", "--verbose", "experiment=tells", "out=/dev/null"],
        cwd=forking.root,
        env=forking.env | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(ours, 1 << 16):
            shown += data
    os.close(ours)
    assert process.wait() == 0
    assert b"forked from process" in shown
    assert b"\x1b[" in shown  # colours


def test_the_variables_of_a_library_have_the_run_started_anew(forking: Forking) -> None:
    assert forking.cold(OMP_NUM_THREADS="1") == "starting cold: OMP_NUM_THREADS is another in the environment"
    assert (
        forking.cold(COVERAGE_PROCESS_START="x")
        == "starting cold: COVERAGE_PROCESS_START is another in the environment"
    )
    assert forking.cold(KIT_FORKSERVER="off") == "starting cold: KIT_FORKSERVER is off"


def test_what_a_child_of_the_server_could_not_be_is_started_anew(forking: Forking) -> None:
    more = f"echo 500 > /proc/self/oom_score_adj; exec {KIT} run --verbose experiment=tells out=/dev/null"
    done = subprocess.run(
        ["sh", "-c", more], cwd=forking.root, env=forking.env, capture_output=True, text=True, check=True
    )
    assert "starting cold: its score for running out of memory is another\n" in done.stderr


def test_what_nobody_understands_does_not_harm(forking: Forking) -> None:
    for said in (b"", b"\0" * 12, b"\xff" * 12, b"GET / HTTP/1.0\r\n\r\n", os.urandom(5000)):
        link = _client.connect(str(forking.root))
        assert link is not None
        with contextlib.closing(link), contextlib.suppress(OSError):
            link.sendall(said)
            link.shutdown(socket.SHUT_WR)
            assert link.recv(1) == b""
    assert forking.run("experiment=tells", "out=/dev/null")["status"] == "succeeded"


def test_sweeps_and_schedules_use_it(forking: Forking) -> None:
    before = status(forking.root)
    kit(forking.root, "run", "-m", "experiment=tells", "out=/dev/null", "seed=1,2,3", env=forking.env)
    after = status(forking.root)
    assert before is not None
    assert after is not None
    assert after.forked - before.forked == 4  # the command, and three supervisors


def test_a_server_that_is_killed_takes_nothing_with_it(forking: Forking) -> None:
    client, run = started(forking)
    server = status(forking.root)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    (run / "go").touch()
    out, err = client.communicate(timeout=100)
    assert client.returncode == 0, out + err
    assert forking.cold() == "starting cold: there is no forkserver yet"
    until(lambda: status(forking.root), "another to be there")
    assert forking.run("experiment=tells", "out=/dev/null")["status"] == "succeeded"


def test_a_lock_file_that_changed_has_another_take_its_place(forking: Forking) -> None:
    first = status(forking.root)
    assert first is not None
    (forking.root / "uv.lock").write_text("changed\n")
    commit_all(forking.root)
    assert forking.cold().endswith("uv.lock has changed")
    second = until(lambda: status(forking.root), "another to be there")
    assert second is not None
    assert second.pid != first.pid
    assert forking.run("experiment=tells", "out=/dev/null")["status"] == "succeeded"


def test_one_that_is_told_to_leave_leaves(forking: Forking) -> None:
    shown = kit(forking.root, "forkserver", "status", env=forking.env).out
    assert "imported" in shown
    server = kit(forking.root, "forkserver", "status", "--json", env=forking.env).json()
    client, run = started(forking)
    assert kit(forking.root, "forkserver", "stop", env=forking.env).out == f"stopped: process {server['pid']}\n"
    assert kit(forking.root, "forkserver", "stop", env=forking.env).out.startswith("no forkserver runs")
    assert psutil.pid_exists(server["pid"])  # a command of its own goes on
    (run / "go").touch()
    client.communicate(timeout=100)
    assert client.returncode == 0
    until(lambda: not psutil.pid_exists(server["pid"]), "it to leave")
