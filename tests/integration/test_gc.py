"""`kit gc` as it is typed: what it shows, what it frees, and that nothing of the user's notices."""

from __future__ import annotations

import hashlib
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kit import _clock
from kit._process import ProcessId, identify
from kit.project import Project, open_project
from tests.conftest import git, write
from tests.garbage import DAYS, add_run, environment, everything, sweep, worktree
from tests.support import KIT, kit, mlflow_runs, new_project, on_screen, run_refs, start_kit, until

KITS = (".kit/", ".git/refs/kit/", ".git/worktrees/left/", ".git/packed-refs", "mlflow.db")
"""Where kit may write, or, as git's pack of refs and MLflow's database, is asked for what is in it instead."""
ALL = ("gc", "--runs", "--forget", "--orphans", "--older-than", "2h")


@pytest.fixture
def dead() -> ProcessId:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1) as process:
        named = identify(process.pid)
    assert named is not None
    return named


@pytest.fixture
def opened(project: Path) -> Project:
    opened = open_project(project)
    opened.paths.create_state()
    return opened


def grow_old(project: Project) -> None:
    """All that kit keeps here was written a month ago, or more."""
    then = (_clock.now() - 40 * DAYS).timestamp()
    paths = [project.root / ".git" / "refs" / "kit", project.paths.state]
    for folder in paths:
        for path in (folder, *folder.rglob("*")):
            if path.exists() or path.is_symlink():
                os.utime(path, (then, then), follow_symlinks=False)


def the_users(root: Path, beside: Path) -> dict[str, str]:
    """Everything that is not kit's: files, index, refs, stash, reflogs, DVC's cache, MLflow's runs, other worktrees."""
    found = {
        "refs": "\n".join(line for line in git(root, "for-each-ref").splitlines() if "refs/kit/" not in line),
        "worktrees": str([line.split() for line in git(root, "worktree", "list").splitlines() if ".kit/" not in line]),
        "mlflow": str(sorted(mlflow_runs(root).items())),
    }
    for path in (*root.rglob("*"), *beside.rglob("*")):
        place = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        if not place.startswith(KITS) and (path.is_file() or path.is_symlink()):
            what = str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
            found[place] = f"{what} {path.lstat().st_mode:o} {path.lstat().st_mtime_ns}"
    assert len(found) > 30
    return found


@pytest.fixture
def full(opened: Project, dead: ProcessId, tmp_path: Path) -> Project:
    """One thing of each kind, and a user who is in the middle of work."""
    root = opened.root
    git(root, "branch", "feature")
    write(root, {"src/tiny/train.py": "stashed = 1\n"})
    git(root, "stash")
    write(root, {"src/tiny/new.py": "staged = 1\n", "notes.txt": "untracked\n", "conf/config.yaml": "seed: 8\n"})
    git(root, "add", "src/tiny/new.py")
    git(root, "worktree", "add", "--quiet", str(tmp_path / "beside"), "feature")
    write(root, {".dvc/cache/files/md5/ab/cdef": "data " * 1000})
    everything(opened, dead)
    data = opened.paths.worktree("left") / "data"
    data.symlink_to(root / ".dvc/cache/files/md5")
    os.link(root / ".dvc/cache/files/md5/ab/cdef", data.with_name("linked"))
    return opened


def test_a_pipe_is_shown_what_there_is_and_nothing_goes(full: Project, tmp_path: Path) -> None:
    grow_old(full)
    before = the_users(full.root, tmp_path / "beside")
    shown = kit(full.root, *ALL)
    rows = [line.split("\t") for line in shown.out.splitlines()]
    assert rows[0] == ["what", "name", "frees", "why"]
    assert ["worktree", "left"] in [row[:2] for row in rows]
    assert "kit gc --runs --forget --orphans --older-than 2h --yes" in shown.out
    assert full.paths.worktree("left").is_dir()
    told = kit(full.root, *ALL, "--json").json()
    assert not told["freed"]
    assert len(told["found"]) == len([row for row in rows[1:] if len(row) == 4])
    assert not any(each["removed"] for each in told["found"])
    assert the_users(full.root, tmp_path / "beside") == before


def test_everything_goes_and_nothing_of_the_users(full: Project, tmp_path: Path) -> None:
    grow_old(full)
    before = the_users(full.root, tmp_path / "beside")
    told = kit(full.root, *ALL, "--yes", "--json").json()
    assert all(each["removed"] for each in told["found"])
    assert told["bytes"] == sum(each["bytes"] for each in told["found"]) > 0
    assert the_users(full.root, tmp_path / "beside") == before
    assert run_refs(full.root) == ["refs/kit/runs/nightly"]
    assert kit(full.root, *ALL).out == "nothing to free\n"
    assert git(full.root, "fsck", "--no-dangling") == ""


@pytest.mark.slow
def test_killed_at_any_point_the_next_time_finishes(full: Project, tmp_path: Path) -> None:
    for run in range(3):
        add_run(full, f"big{run}", ended=100 * DAYS)
        for index in range(1500):
            write(full.paths.run(f"big{run}").artifacts / str(index % 50), {f"{index}.txt": "x"})
    grow_old(full)
    before = the_users(full.root, tmp_path / "beside")
    pause = threading.Event()
    kills = 0
    for moment in (0.0, 0.01, 0.02, 0.05, 0.0, 0.03, 0.1, 0.2):
        process = start_kit(full.root, *ALL, "--yes")
        lock = full.paths.locks / "gc.lock"
        lock.unlink(missing_ok=True)
        until(lambda: lock.exists() or process.poll() is not None, "the removing to begin")  # noqa: B023
        pause.wait(moment)
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills
    kit(full.root, *ALL, "--yes")
    assert kit(full.root, *ALL).out == "nothing to free\n"
    assert the_users(full.root, tmp_path / "beside") == before
    assert run_refs(full.root) == ["refs/kit/runs/nightly"]
    assert [path.name for path in full.paths.runs.iterdir()] == []
    assert not list(full.paths.trash.glob("*"))


def test_on_a_terminal_it_asks(opened: Project) -> None:
    environment(opened, "old")
    grow_old(opened)
    assert "Free it?" in _answered(opened.root, b"\n")
    assert (opened.paths.environments / "old").is_dir()
    said = _answered(opened.root, b"y\n")
    assert "freed:" in said
    assert not (opened.paths.environments / "old").exists()


def _answered(root: Path, answer: bytes) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(KIT), "gc"], cwd=root, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            more = os.read(ours, 1 << 12)
        except OSError:  # the other end is closed
            break
        said += more
        if b"[y/N]" in said and answer:
            os.write(ours, answer)
            answer = b""
    os.close(ours)
    assert process.wait(60) == 0
    return said.decode()


def test_a_screen_holds_what_is_largest(opened: Project) -> None:
    for index in range(30):
        environment(opened, f"unused-environment-{index:02}")
    grow_old(opened)
    lines = on_screen(opened.root, "gc", "--yes")
    assert all(len(line) <= 80 for line in lines)
    assert sum("environment" in line for line in lines) == 20
    assert any("and 10 more" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--runs",), "--older-than 90d"),
        (("--forget",), "--forget goes with --runs"),
        (("--older-than", "soon"), "not a length of time"),
        (("--runs", "--older-than", "-3d"), "not a length of time"),
    ],
)
def test_what_makes_no_sense_is_refused(project: Path, arguments: tuple[str, ...], said: str) -> None:
    refused = kit(project, "gc", *arguments, code=2)
    assert said in refused.err
    assert refused.err.count("\n") == 1


def test_a_project_that_never_ran_has_nothing(project: Path) -> None:
    assert kit(project, "gc", "--yes").out == "nothing to free\n"
    assert not (project / ".kit").exists()


def test_what_is_gone_is_missed_by_no_command(opened: Project) -> None:
    kit(opened.root, "run", "--name", "first")
    kit(opened.root, "run", "steps=4")
    before = mlflow_runs(opened.root)
    with_ends = kit(opened.root, "runs", "--json").json()
    told = kit(opened.root, "gc", "--runs", "--older-than", "1s", "--yes", "--json").json()
    assert told["found"] == []  # whatever is asked: it ended just now
    _end_long_ago(opened)
    kit(opened.root, "gc", "--runs", "--older-than", "1d", "--yes")
    assert list(opened.paths.runs.iterdir()) == []
    assert [run["run_id"] for run in kit(opened.root, "runs", "--json").json()] == [run["run_id"] for run in with_ends]
    kit(opened.root, "show", "last")
    assert kit(opened.root, "logs", "last").out == ""
    kit(opened.root, "diff", "last", "last~1")
    assert mlflow_runs(opened.root) == before
    assert len(run_refs(opened.root)) == 2


def _end_long_ago(project: Project) -> None:
    import sqlite3

    month = 30 * 86400 * 1_000_000
    with sqlite3.connect(project.paths.store) as store:
        store.execute("UPDATE runs SET created_at = created_at - ?, ended_at = ended_at - ?", (month, month))


@pytest.mark.slow
def test_runs_and_a_scheduler_go_on_meanwhile(tmp_path: Path, dead: ProcessId) -> None:
    """Again and again, with everything asked for, while runs begin, work and end."""
    root = new_project(
        tmp_path / "tiny",
        {"conf/schedule/often.yaml": "trigger: {interval: 3 s}\nexperiment: baseline\n"},
    )
    opened = open_project(root)
    opened.paths.create_state()
    scheduler = start_kit(root, "scheduler")
    try:
        until(lambda: opened.paths.runs.is_dir() and len(list(opened.paths.runs.iterdir())) > 1, "scheduled runs")
        manual = start_kit(root, "run", "-m", "model.rate=0.1,0.2,0.3", "--jobs", "2")
        for index in range(6):
            worktree(opened, f"left{index}", dead)
            sweep(opened, f"sweep-{index}")
            kit(root, "gc", "--runs", "--forget", "--orphans", "--older-than", "0s", "--yes")
        manual.communicate(timeout=120)
        assert manual.returncode == 0
    finally:
        scheduler.send_signal(signal.SIGTERM)
        scheduler.communicate(timeout=60)
    runs = until(lambda: _all_ended(root), "the last run to end")
    assert {run["status"] for run in runs} == {"succeeded"}
    assert {f"refs/kit/runs/{run['run_id']}" for run in runs} == set(run_refs(root))
    assert {path.name for path in opened.paths.runs.iterdir()} == {run["run_id"] for run in runs}
    assert not list(opened.paths.worktrees.iterdir())


def _all_ended(root: Path) -> list[dict[str, str]]:
    runs: list[dict[str, str]] = kit(root, "runs", "--limit", "1000", "--json").json()
    return runs if all(run["status"] not in {"queued", "starting", "running"} for run in runs) else []


def test_a_copy_of_the_project_that_is_in_use_stays(opened: Project) -> None:
    """As while `kit reproduce` runs: it is its own command that removes it."""
    holder = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        owner = identify(holder.pid)
        assert owner is not None
        folder = worktree(opened, "used", owner)
        grow_old(opened)
        assert kit(opened.root, *ALL, "--yes").out == "nothing to free\n"
        assert folder.is_dir()
    finally:
        holder.kill()
        holder.communicate()
    kit(opened.root, "gc", "--yes")
    assert not folder.exists()
