"""`kit run --profile`: a real py-spy looks at real runs, and changes nothing about how they end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from kit import _pyspy
from kit._process import marked
from kit.project import open_project
from tests.support import KIT, kit, mlflow_runs, new_project, start_kit, until

TASK = '''
    """Computes for a while, in two processes, and ends as it is told to."""

    import ctypes
    import os
    import signal
    import subprocess
    import sys
    import time
    from dataclasses import dataclass

    if os.environ.get("TINY_HIDES"):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: nobody may look into it


    @dataclass(frozen=True)
    class TrainConfig:
        end: str = "well"


    def compute(seconds: float) -> None:
        until = time.process_time() + seconds
        while time.process_time() < until:
            sum(index * index for index in range(1000))


    def helper() -> None:
        compute(0.5)


    def train(cfg: TrainConfig) -> dict[str, float]:
        if os.fork() == 0:
            helper()
            os._exit(0)
        code = "import time\\nend = time.process_time() + 0.3\\nwhile time.process_time() < end: pass"
        subprocess.run([sys.executable, "-c", code, "--password=hunter2-on-a-command-line"], check=True)
        compute(1.0)
        os.wait()
        print("computed", flush=True)
        if cfg.end == "badly":
            raise ValueError("as it was told to")
        if cfg.end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        while cfg.end == "never":
            compute(0.1)
        return {"score": 1.0}
    '''


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not _can_look():
        pytest.skip("py-spy may not look into processes here")
    config = "defaults: [_self_, {experiment: baseline}]\nseed: 7\nend: well\n"
    return new_project(
        tmp_path_factory.mktemp("profiled") / "tiny", {"src/tiny/train.py": TASK, "conf/config.yaml": config}
    )


def _can_look() -> bool:
    command = [str(_pyspy.program()), "dump", "--nonblocking", "--pid", str(os.getpid())]
    return _pyspy.program() is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


def picture(root: Path, run_id: str) -> str:
    """The flame graph, which MLflow has as well."""
    kept = (open_project(root).paths.run(run_id).profile / "flamegraph.svg").read_text()
    assert (mlflow_runs(root)[run_id].artifacts / "profile" / "flamegraph.svg").read_text() == kept
    return kept


def widths(svg: str) -> dict[str, float]:
    boxes = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")
    return {box.attrib["data-name"]: float(box.attrib["data-w"]) for box in boxes}


def last_run(root: Path) -> dict[str, object]:
    found: dict[str, object] = kit(root, "runs", "--limit", "1", "--json").json()[0]
    return found


def test_the_task_is_what_is_seen(root: Path) -> None:
    done = kit(root, "run", "--profile", "--json")
    run_id = done.json()["run_id"]
    svg = picture(root, run_id)
    seen = widths(svg)
    assert seen["train (src/tiny/train.py)"] >= seen["compute (src/tiny/train.py)"] > 0
    assert "helper (src/tiny/train.py)" in seen
    assert seen["processes that it started"] > 0
    rows = {
        box.attrib["data-name"]: box.attrib["data-y"] for box in ET.fromstring(svg).iter() if "data-y" in box.attrib
    }
    assert rows["train (src/tiny/train.py)"] in {"1", "2"}  # not below all that kit does to get there
    assert (open_project(root).paths.run(run_id).log).read_text() == "computed\n"
    for path in (path for path in (root / ".kit" / "runs" / run_id).rglob("*") if path.is_file()):
        assert b"hunter2" not in path.read_bytes()
    assert not marked("KIT_RUN_ID", run_id)


@pytest.mark.parametrize(
    ("end", "arguments", "code", "status"),
    [
        ("badly", (), 1, "failed"),
        ("killed", (), 1, "failed"),
        pytest.param("never", ("--timeout", "30"), 124, "timed_out", marks=pytest.mark.slow),
    ],
)
def test_however_the_task_ends_it_ends_so_and_there_is_a_picture(
    root: Path, end: str, arguments: tuple[str, ...], code: int, status: str
) -> None:
    done = kit(root, "run", "--profile", f"end={end}", *arguments, code=code)
    assert "profile  .kit/runs/" in done.out
    assert "warning" not in done.out + done.err
    run = last_run(root)
    assert run["status"] == status
    assert "compute (src/tiny/train.py)" in widths(picture(root, str(run["run_id"])))
    assert not marked("KIT_RUN_ID", str(run["run_id"]))


def test_a_run_that_is_cancelled_ends_at_once_and_has_its_picture(root: Path) -> None:
    process = start_kit(root, "run", "--profile", "end=never")
    try:
        paths = open_project(root).paths
        before = {path.name for path in paths.runs.glob("*")}
        started = until(lambda: [path for path in paths.runs.glob("*") if path.name not in before], "the run")
        run = paths.run(started[0].name)
        until(lambda: run.log.exists() and "computed" in run.log.read_text(), "the task to compute")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.communicate()
    assert "compute (src/tiny/train.py)" in widths(picture(root, run.root.name))
    assert not marked("KIT_RUN_ID", run.root.name)


@pytest.mark.slow
def test_each_trial_of_a_sweep_has_its_own(root: Path) -> None:
    done = kit(root, "run", "--profile", "-m", "seed=1,2", "--json")
    for run in done.json()["runs"]:
        assert f"run {run['run_id']}" in picture(root, run["run_id"])


def test_a_profiler_that_may_not_look_says_so_once(root: Path) -> None:
    setpriv = shutil.which("setpriv")
    if os.geteuid() == 0 and setpriv is None:
        pytest.skip("there is no setpriv to take a permission away with")
    without = [str(setpriv), "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*without, str(KIT), "run", "--profile", "--json"],
        cwd=root,
        env=os.environ | {"TINY_HIDES": "1"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0
    assert done.stderr.count("no flame graph: py-spy cannot look into the run") == 1
    paths = open_project(root).paths.run(json.loads(done.stdout)["run_id"])
    assert not paths.profile.exists()


@pytest.mark.parametrize("other", ["--schedule=nightly", "--cron=0 2 * * *"])
def test_a_clocks_runs_are_not_profiled(root: Path, other: str) -> None:
    assert "exclude each other" in kit(root, "run", "--profile", other, code=2).err
