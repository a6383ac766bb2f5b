"""`kit debug` and `kit run --pdb`: real runs that crash, hang and are killed; real terminals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import git
from tests.support import (
    KIT,
    Done,
    MlflowRun,
    closed_port,
    commit_all,
    environment,
    kit,
    mlflow_runs,
    new_project,
    processes_of,
    start_kit,
    until,
)  # fmt: skip

TASKS = {
    "src/tiny/tasks.py": '''
        """Tasks that end badly."""

        import multiprocessing
        import os
        import signal
        import subprocess
        import threading
        from pathlib import Path

        import kit

        RATE = 0.5


        class Model:
            def __init__(self, depth: int) -> None:
                self.depth = depth

            def step(self, batch: list[int]) -> float:
                return RATE * sum(batch) / (self.depth - 3)


        def crashes(cfg: dict, run: kit.Run) -> None:
            rows = list(range(1000))
            model = Model(cfg["model"]["depth"])
            print("about to crash", flush=True)
            run.log({"loss": 1.0}, step=0)
            model.step(rows[:3])


        def reads(cfg: dict, run: kit.Run) -> None:
            text = Path("data.txt").read_text()
            latest = run.latest_checkpoint()
            begun = 0 if latest is None else int((latest[1] / "state").read_text())
            for step in range(begun, 3):
                with run.checkpoint(step) as folder:
                    (folder / "state").write_text(str(step + 1))
            raise ValueError(f"read {text.strip()}, begun at {begun}")


        def leaves(cfg: dict) -> None:
            raise SystemExit(7)


        def killed(cfg: dict) -> None:
            os.kill(os.getpid(), signal.SIGKILL)


        def edits(cfg: dict) -> None:
            own = Path(__file__)
            own.write_text("# something else\\n" * 5 + own.read_text())
            raise ValueError("after the edit")


        def hangs(cfg: dict, run: kit.Run) -> None:
            child = multiprocessing.get_context("fork").Process(target=waits_in_child)
            child.start()
            subprocess.Popen(["sleep", "1000"])
            print("hangs now", flush=True)
            waits_here()


        def waits_here() -> None:
            threading.Event().wait()


        def waits_in_child() -> None:
            threading.Event().wait()


        def forks(cfg: dict, run: kit.Run) -> dict[str, float]:
            if os.fork() == 0:
                raise ValueError("in a child")
            os.wait()
            return {"score": 1.0}
        ''',
    "src/tiny/broken.py": "def never() -> None: ...\n\n\nVALUE = [1, 2]\nvalue = VALUE[5]\n",
    "conf/experiment/imports.yaml": "# @package _global_\ntask: tiny.broken.never\n",
    "data.txt": "the original\n",
    "conf/schedule/often.yaml": "trigger: {interval: 1 s}\nexperiment: crashes\noverlap: skip\n",
} | {
    f"conf/experiment/{name}.yaml": f"# @package _global_\ntask: tiny.tasks.{name}\n"
    for name in ("crashes", "reads", "leaves", "killed", "edits", "hangs", "forks")
}


class Place:
    """A project whose tasks crash."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.env = environment(folder / "home", KIT_FORKSERVER="on", **variables)
        self.root = new_project(folder / "tiny", TASKS)

    def kit(self, *arguments: str, code: int | None = 0) -> Done:
        return kit(self.root, *arguments, env=self.env, code=code)

    def crashed(self, experiment: str = "crashes", *overrides: str, code: int = 1) -> str:
        """Run an experiment that fails; its id."""
        done = self.kit("run", "--json", f"experiment={experiment}", *overrides, code=code)
        return str(done.json()["run_id"])

    def folder_of(self, run_id: str) -> Path:
        return self.root / ".kit/runs" / run_id

    def tracked(self, run_id: str) -> MlflowRun:
        return mlflow_runs(self.root)[run_id]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("debug"))


@pytest.fixture(scope="module")
def crash(place: Place) -> str:
    return place.crashed()


class Terminal:
    """A command on a terminal of 80 columns, at which is typed."""

    def __init__(self, root: Path, *arguments: str, env: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [str(KIT), *arguments], cwd=root, env=env | {"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def sees(self, text: str) -> str:
        """Wait for it, from where it was looked last; what was shown before it and with it."""
        seen = ""
        end = time.monotonic() + 120
        while text not in seen:
            if not select.select([self._ours], [], [], max(0.0, end - time.monotonic()))[0]:
                pytest.fail(f"waited for {text!r}: {self.shown}")
            try:
                data = os.read(self._ours, 1)
            except OSError:
                pytest.fail(f"it ended without {text!r}: {self.shown}")
            seen += data.decode(errors="replace")
            self.shown += data.decode(errors="replace")
        return seen

    def types(self, line: str) -> str:
        """Type a line at the debugger; what it answers."""
        os.write(self._ours, f"{line}\n".encode())
        self.sees(line)
        return self.sees("(Pdb) ")

    def presses(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def interrupts(self) -> None:
        """As Ctrl-C does: the terminal tells the command, and nobody else."""
        self.process.send_signal(signal.SIGINT)

    def is_interrupted(self) -> None:
        """Ctrl-C until there is another prompt: one that comes before the line is being read is not seen."""
        self.interrupts()
        while not select.select([self._ours], [], [], 5.0)[0]:
            self.interrupts()
        self.sees("(Pdb) ")

    def ends(self) -> tuple[int, str]:
        """Its exit code, and what it showed at last."""
        rest = b""
        with contextlib.suppress(OSError):
            while data := os.read(self._ours, 1 << 16):
                rest += data
        self.shown += rest.decode(errors="replace")
        return self.process.wait(60), rest.decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(place: Place, *arguments: str) -> Terminal:
        opened.append(Terminal(place.root, *arguments, env=place.env))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


class TestCapsule:
    """What a failed run leaves behind."""

    def test_it_lies_in_the_folder_and_in_mlflow(self, place: Place, crash: str) -> None:
        own = place.folder_of(crash) / "crash"
        sent = place.tracked(crash).artifacts / "crash"
        for folder in (own, sent):
            assert {path.name for path in folder.iterdir()} == {"crash.txt", "crash.json"}
        assert (own / "crash.json").read_bytes() == (sent / "crash.json").read_bytes()
        assert place.tracked(crash).status == "FAILED"

    def test_on_a_pipe_it_is_printed(self, place: Place, crash: str) -> None:
        out = place.kit("debug", crash).out
        assert out == (place.folder_of(crash) / "crash/crash.txt").read_text()
        assert out == place.kit("debug", crash[:6], "--print").out
        assert "return RATE * sum(batch) / (self.depth - 3)" in out
        assert "batch = [0, 1, 2]" in out
        assert "model = Model(depth=3)" in out
        assert out.endswith("ZeroDivisionError: float division by zero\n")

    def test_it_is_json_if_wanted(self, place: Place, crash: str) -> None:
        made = place.kit("debug", crash, "--json").json()
        assert made["run_id"] == crash
        assert [frame["function"] for frame in made["raised"][0]["frames"]] == ["crashes", "step"]

    def test_the_command_says_how_to_open_it(self, place: Place) -> None:
        done = place.kit("run", "experiment=crashes", code=1)
        assert re.search(r"next: kit show (\w+)  or  kit debug \1", done.out)

    def test_a_module_that_cannot_be_imported_leaves_one_too(self, place: Place) -> None:
        run_id = place.crashed("imports")
        out = place.kit("debug", run_id).out
        assert "value = VALUE[5]" in out
        assert "VALUE = [1, 2]" in out
        assert out.endswith("IndexError: list index out of range\n")
        until((place.tracked(run_id).artifacts / "crash/crash.json").exists, "it to be told afterwards")

    def test_who_leaves_by_himself_leaves_one_too(self, place: Place) -> None:
        run_id = place.crashed("leaves", code=7)
        assert place.kit("debug", run_id).out.endswith("SystemExit: 7\n")

    def test_the_code_is_that_which_ran(self, tmp_path: Path) -> None:
        place = Place(tmp_path)
        run_id = place.crashed("edits")
        assert 'raise ValueError("after the edit")' in place.kit("debug", run_id).out
        log = (place.folder_of(run_id) / "console.log").read_text()
        assert 'raise ValueError("after the edit")' in log  # the traceback shows it as well

    def test_a_child_that_fails_leaves_none(self, place: Place) -> None:
        run_id = place.crashed("forks", code=0)
        assert not (place.folder_of(run_id) / "crash").exists()

    def test_one_that_cannot_be_written_changes_nothing(self, tmp_path: Path) -> None:
        place = Place(tmp_path)
        hook = place.root / "src/tiny/tasks.py"
        text = hook.read_text().replace(
            'print("about to crash"', '(run.dir / "crash").write_text(""); print("about to crash"'
        )
        hook.write_text(text)
        run_id = place.crashed()
        record = place.kit("show", run_id, "--json").json()
        assert (record["status"], record["reason"]) == ("failed", "ZeroDivisionError: float division by zero")
        assert place.tracked(run_id).status == "FAILED"
        assert "warning: no crash capsule could be written" in (place.folder_of(run_id) / "console.log").read_text()

    def test_without_mlflow_it_is_in_the_folder(self, tmp_path: Path) -> None:
        place = Place(
            tmp_path, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{closed_port()}", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"
        )
        run_id = place.crashed()
        assert place.kit("debug", run_id).out.endswith("float division by zero\n")


class TestNone:
    """Runs that left no capsule, and how that is told."""

    def test_a_killed_one(self, place: Place) -> None:
        run_id = place.crashed("killed")
        said = place.kit("debug", run_id, code=2).err
        assert f"run {run_id} left no crash capsule" in said
        assert "killed by SIGKILL (out of memory?)" in said
        assert f"`kit logs {run_id}`" in said

    def test_a_timed_out_one(self, place: Place) -> None:
        done = place.kit("run", "--json", "--timeout", "0.5", "experiment=hangs", code=124)
        assert "stopped at its time limit" in place.kit("debug", str(done.json()["run_id"]), code=2).err

    def test_one_that_succeeded(self, place: Place) -> None:
        run_id = place.crashed("baseline", code=0)
        assert "has succeeded: there is no crash" in place.kit("debug", run_id, code=2).err
        assert "is not running: succeeded" in place.kit("debug", run_id, "--live", code=2).err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["no-such-run"], "there is no run 'no-such-run'"),
            (["./no/such/file.json"], "no crash capsule there"),
            (["./pyproject.toml"], "not a crash capsule"),
            (["--live", "--print", "last"], "--live and --print exclude each other"),
            (["last", "model.depth=4"], "overrides go with --rerun"),
            (["--rerun", "last"], "--rerun needs a terminal"),
            (["--live", "conf/config.json"], "--live is for a run, not for a file"),
        ],
    )
    def test_wrong_input_is_one_line(self, place: Place, arguments: list[str], said: str) -> None:
        done = place.kit("debug", *arguments, code=2)
        assert said in done.err
        assert done.err.count("\n") == 1


class TestElsewhere:
    """A capsule needs neither the run, nor the project, nor this machine."""

    def test_a_failed_scheduled_run_opens_in_another_clone_from_its_artifacts_alone(
        self, tmp_path: Path, terminal: Callable[..., Terminal]
    ) -> None:
        place = Place(tmp_path / "production")
        scheduler = start_kit(place.root, "scheduler", env=place.env)
        try:
            run_id = str(until(lambda: _failed(place), "a scheduled run to fail"))
        finally:
            scheduler.kill()
            scheduler.communicate()
        until((place.tracked(run_id).artifacts / "crash/crash.json").exists, "MLflow to have it")
        downloaded = tmp_path / "downloads"
        shutil.copytree(place.tracked(run_id).artifacts / "crash", downloaded)
        clone = Place.__new__(Place)
        clone.folder, clone.env, clone.root = tmp_path, place.env, tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(place.root), str(clone.root))
        (clone.root / "src/tiny/tasks.py").write_text("# rewritten since\n")
        until(lambda: not processes_of(place.root), "production to be quiet")
        shutil.rmtree(place.root)

        out = clone.kit("debug", str(downloaded)).out
        assert run_id in out
        assert "batch = [0, 1, 2]" in out
        opened = terminal(clone, "debug", str(downloaded / "crash.json"))
        assert "return RATE * sum(batch) / (self.depth - 3)" in opened.sees("(Pdb) ")
        assert "(0, 1, 2, 3)" in opened.types("p (*batch, self.depth)")
        assert "model.step(rows[:3])" in opened.types("u")
        assert "1000" in opened.types("p len(rows)")
        assert "def crashes(cfg: dict, run: kit.Run) -> None:" in opened.types("ll")
        opened.presses("q\n")
        assert opened.ends()[0] == 0

    def test_also_outside_of_any_project(self, place: Place, crash: str, tmp_path: Path) -> None:
        shutil.copytree(place.folder_of(crash) / "crash", tmp_path / "crash")
        for named in (".", "crash", "crash/crash.json", "crash/crash.txt", str(tmp_path)):
            assert crash in kit(tmp_path, "debug", named, env=place.env).out


def _failed(place: Place) -> str | None:
    runs = place.kit("runs", "--json", "--status", "failed").json()
    scheduled = [run["run_id"] for run in runs if run["origin"]["kind"] == "schedule" and run["tracked"]]
    return scheduled[0] if scheduled else None


class TestOnATerminal:
    def test_the_session_begins_at_the_failing_frame(
        self, place: Place, crash: str, terminal: Callable[..., Terminal]
    ) -> None:
        opened = terminal(place, "debug", crash)
        shown = opened.sees("(Pdb) ")
        assert "ZeroDivisionError" in shown
        assert "-> return RATE * sum(batch) / (self.depth - 3)" in shown
        assert all(
            len(line) <= 80 for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).splitlines() if "/" not in line
        )
        assert "3\r\n" in opened.types("p self.depth")
        opened.is_interrupted()
        opened.presses("\x04")
        assert opened.ends()[0] == 0

    def test_printing_needs_no_session(self, place: Place, crash: str, terminal: Callable[..., Terminal]) -> None:
        code, shown = terminal(place, "debug", crash, "--print").ends()
        assert code == 0
        assert "(Pdb)" not in shown


class TestPdb:
    """`kit run --pdb`."""

    def test_the_crash_is_entered_at_once_and_the_run_has_failed(
        self, place: Place, terminal: Callable[..., Terminal]
    ) -> None:
        opened = terminal(place, "run", "--pdb", "experiment=crashes", "--timeout", "60")
        shown = opened.sees("(Pdb) ")
        assert shown.index("about to crash") < shown.index("Traceback") < shown.index("-> return RATE")
        (folder,) = [path.parent for path in place.root.glob(".kit/runs/*/terminal.lent")]
        limits = json.loads((folder / "launch.json").read_text())["limits"]
        assert limits["timeout"] is None  # who looks into it takes as long as it takes
        assert "[0, 1, 2]" in opened.types("p batch")
        assert "True" in opened.types("import os; p os.isatty(1)") + opened.types("p os.isatty(1)")
        opened.presses("while open('busy', 'w'): pass\n")
        until((place.root / "busy").exists, "the loop to be in it")
        opened.interrupts()
        assert "KeyboardInterrupt" in opened.sees("(Pdb) ")
        (place.root / "busy").unlink()
        assert "999" in opened.types("p rows[-1]") + opened.types("u") + opened.types("p rows[-1]")
        opened.presses("q\n")
        code, rest = opened.ends()
        assert code == 1
        run_id = str(place.kit("show", "last", "--json").json()["run_id"])
        assert run_id in rest
        assert place.kit("show", run_id, "--json").json()["status"] == "failed"
        assert place.tracked(run_id).status == "FAILED"
        assert (place.folder_of(run_id) / "crash/crash.json").exists()
        assert not list(place.folder_of(run_id).glob("terminal.*"))
        assert "(Pdb)" not in (place.folder_of(run_id) / "console.log").read_text()

    def test_one_that_does_not_crash_is_as_any_other(self, place: Place, terminal: Callable[..., Terminal]) -> None:
        code, shown = terminal(place, "run", "--pdb").ends()
        assert code == 0
        assert "succeeded" in shown

    def test_it_can_be_cancelled_while_somebody_looks(self, place: Place, terminal: Callable[..., Terminal]) -> None:
        opened = terminal(place, "run", "--pdb", "experiment=crashes")
        opened.sees("(Pdb) ")
        place.kit("cancel", "last")
        code, shown = opened.ends()
        assert code == 130
        assert "cancelled" in shown

    @pytest.mark.parametrize("others", [["-m"], ["--schedule", "often"], ["--cron", "0 2 * * *"], ["--dry-run"]])
    def test_it_is_refused_with_what_has_nobody_at_the_terminal(
        self, place: Place, terminal: Callable[..., Terminal], others: list[str]
    ) -> None:
        code, shown = terminal(place, "run", "--pdb", *others).ends()
        assert code == 2
        assert f"--pdb and {others[0]} exclude each other" in " ".join(shown.split())

    def test_it_is_refused_without_a_terminal(self, place: Place) -> None:
        assert "--pdb needs a terminal" in place.kit("run", "--pdb", code=2).err


class TestRerun:
    """The same run once more, and alive where it crashes."""

    def test_it_stops_where_it_crashed_with_the_original_inputs(
        self, tmp_path: Path, terminal: Callable[..., Terminal]
    ) -> None:
        place = Place(tmp_path)
        run_id = place.crashed("reads", "model.depth=4")
        (place.root / "data.txt").write_text("overwritten\n")
        tasks = place.root / "src/tiny/tasks.py"
        tasks.write_text(tasks.read_text().replace("read {text", "changed {text"))
        commit_all(place.root)
        opened = terminal(place, "debug", run_id, "--rerun")
        assert "ValueError: read the original, begun at 0" in opened.sees("(Pdb) ")
        assert "'the original\\n'" in opened.types("p text")
        assert "4" in opened.types('p cfg["model"]["depth"]')
        opened.presses("q\n")
        code, shown = opened.ends()
        assert code == 1
        assert "kit diff" in shown
        record = place.kit("show", "last", "--json").json()
        assert record["origin"]["parent"] == run_id
        assert not any((place.root / ".kit/worktrees").iterdir())
        assert git(place.root, "status", "--porcelain") == ""

    def test_from_its_last_checkpoint(self, tmp_path: Path, terminal: Callable[..., Terminal]) -> None:
        place = Place(tmp_path)
        run_id = place.crashed("reads")
        opened = terminal(place, "debug", run_id, "--from-checkpoint")
        assert "ValueError: read the original, begun at 3" in opened.sees("(Pdb) ")
        opened.presses("q\n")
        assert opened.ends()[0] == 1

    def test_without_a_checkpoint_it_says_so(self, place: Place, crash: str, terminal: Callable[..., Terminal]) -> None:
        code, shown = terminal(place, "debug", crash, "--from-checkpoint").ends()
        assert code == 2
        assert f"run {crash} left no checkpoint" in shown


@pytest.fixture(scope="module")
def hanging(place: Place) -> Iterator[str]:
    command = start_kit(place.root, "run", "experiment=hangs", env=place.env)
    try:
        yield str(until(lambda: _hanging(place), "the run to hang"))
    finally:
        command.terminate()
        command.communicate()


class TestLive:
    """What a run that hangs does."""

    def test_every_process_is_shown_and_goes_on(self, place: Place, hanging: str) -> None:
        out = place.kit("debug", hanging, "--live").out
        assert "src/tiny/tasks.py:" in out
        assert "in waits_here\n      threading.Event().wait()" in out
        assert "in waits_in_child\n" in out
        assert re.search(r"process \d+  sleep 1000\n  not a Python process", out)
        assert _status(place, hanging) == "running"

    def test_as_json(self, place: Place, hanging: str) -> None:
        found: list[dict[str, Any]] = place.kit("debug", hanging, "--live", "--json").json()
        task = found[0]["threads"][0]
        assert task["name"] == "MainThread"
        assert "waits_here" in [call["function"] for call in task["calls"]]
        assert task["calls"][-1]["function"] == "hangs"  # the way to the task is left out

    def test_it_has_not_crashed(self, place: Place, hanging: str) -> None:
        said = place.kit("debug", hanging, code=2).err
        assert f"is running: it has not crashed. See what it does: `kit debug {hanging} --live`" in said


def _hanging(place: Place) -> str | None:
    for folder in place.root.glob(".kit/runs/*"):
        log = folder / "console.log"
        if log.exists() and "hangs now" in log.read_text() and _status(place, folder.name) == "running":
            return folder.name
    return None


def _status(place: Place, run_id: str) -> str:
    return str(json.loads(place.kit("show", run_id, "--json").out)["status"])
