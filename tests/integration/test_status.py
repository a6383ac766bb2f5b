"""`kit status`: is production well? The real command, on real projects."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.project import open_project
from tests.conftest import write
from tests.support import KIT, closed_port, commit_all, environment, kit, new_project, on_screen, start_kit, until

HOURLY = {"conf/schedule/hourly.yaml": 'trigger: {cron: "0 * * * *"}\n'}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "home")


def checks(root: Path, env: dict[str, str], *, code: int) -> dict[str, str]:
    """Each check's state, the worst of those with one name."""
    found: dict[str, str] = {}
    for check in kit(root, "status", "--json", env=env, code=code).json()["checks"]:
        found[check["name"]] = max(found.get(check["name"], ""), check["state"], key=["", "ok", "warning", "bad"].index)
    return found


def test_a_fresh_project_is_well_and_asking_loads_nothing_heavy(tmp_path: Path, env: dict[str, str]) -> None:
    root = new_project(
        tmp_path / "tiny", HOURLY | {"conf/schedule/hourly.yaml": 'trigger: {once: "2999-01-01"}\nenabled: no\n'}
    )
    assert set(checks(root, env, code=0).values()) == {"ok"}
    heavy = {"mlflow", "dvc", "hydra", "omegaconf", "numpy", "alembic", "apprise", "requests"}
    code = (
        "import sys\nfrom kit.cli import main\n"
        "for line in (['status'], ['status', '--prometheus'], ['schedule', 'list'], ['schedule', 'history']):\n"
        f"    assert main(line) == 0\nprint({{*sys.modules}} & {heavy!r}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


def test_outside_of_a_project_there_is_nothing_to_ask(tmp_path: Path, env: dict[str, str]) -> None:
    assert "not a kit project" in kit(tmp_path, "status", env=env, code=2).err


def test_two_formats_are_one_too_many(tmp_path: Path, env: dict[str, str]) -> None:
    root = new_project(tmp_path / "tiny")
    assert "--json" in kit(root, "status", "--json", "--prometheus", env=env, code=2).err


def test_the_scheduler_is_known_while_it_runs_when_it_is_killed_and_when_it_takes_turns(
    tmp_path: Path, env: dict[str, str]
) -> None:
    root = new_project(tmp_path / "tiny", HOURLY)
    assert checks(root, env, code=1)["scheduler"] == "bad"
    process = start_kit(root, "scheduler", env=env)
    try:
        store = open_project(root).store
        until(lambda: [one for one in store.fires.schedulers() if one.process.pid == process.pid], "the scheduler")
        assert checks(root, env, code=0)["scheduler"] == "ok"
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finally:
        process.kill()
    out = kit(root, "status", env=env, code=1).out
    assert "stopped without a word, last heard of" in out
    assert "kit scheduler" in out
    kit(root, "scheduler", "--once", env=env)
    assert checks(root, env, code=0)["scheduler"] == "ok"


def test_the_whole_of_it_is_one_screen(tmp_path: Path, env: dict[str, str]) -> None:
    broken = {f"conf/schedule/broken{number}.yaml": "trigger: {crom: x}\n" for number in range(20)}
    root = new_project(tmp_path / "tiny", HOURLY | broken)
    lines = on_screen(root, "status", env=env, code=1)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("tiny  is not well: 21 problems")
    assert any("and 17 more" in line for line in lines)
    rows = [line.split("\t") for line in kit(root, "status", env=env, code=1).out.splitlines()]
    assert rows[0] == ["state", "check", "what", "fix"]
    assert sum(row[0] == "bad" for row in rows) == 21


def test_metrics_are_printed_and_the_exit_code_is_the_same(tmp_path: Path, env: dict[str, str]) -> None:
    root = new_project(tmp_path / "tiny", HOURLY)
    out = kit(root, "status", "--prometheus", env=env, code=1).out
    assert 'kit_well{project="tiny"} 0\n' in out
    assert 'kit_schedule_health{project="tiny",schedule="hourly",health="new"} 1\n' in out


def test_a_store_that_is_damaged_and_a_server_that_is_down(tmp_path: Path, env: dict[str, str]) -> None:
    root = new_project(tmp_path / "tiny")
    write(root, {".kit/store.db": "no database at all, but long enough to look like one" * 20})
    env["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{closed_port()}"
    assert checks(root, env, code=1) == {"store": "bad", "disk": "ok", "mlflow": "bad", "dvc": "ok"}
    assert 'kit_up{project="tiny"} 0\n' in kit(root, "status", "--prometheus", env=env, code=1).out


def test_a_failing_schedule_is_told_of_until_it_succeeds(tmp_path: Path, env: dict[str, str]) -> None:
    root = new_project(
        tmp_path / "tiny",
        {
            "src/tiny/fails.py": "def train(cfg: dict) -> None:\n    raise ValueError('the column is gone')\n",
            "conf/experiment/fails.yaml": "# @package _global_\ntask: tiny.fails.train\n",
            "conf/schedule/nightly.yaml": 'trigger: {cron: "0 2 * * *"}\nexperiment: fails\n',
        },
    )
    kit(root, "run", "--schedule", "nightly", env=env, code=1)
    out = kit(root, "status", env=env, code=1).out
    assert "nightly fails: its last fire failed" in out
    assert "ValueError: the column is gone" in out
    write(root, {"src/tiny/fails.py": "def train(cfg: dict) -> None:\n    pass\n"})
    commit_all(root)
    kit(root, "run", "--schedule", "nightly", env=env)
    (one,) = kit(root, "schedule", "list", "--json", env=env).json()
    assert (one["health"], one["streak"], one["last"]["status"]) == ("ok", 1, "succeeded")


def test_nobody_has_to_read_to_the_end(tmp_path: Path, env: dict[str, str]) -> None:
    root = new_project(tmp_path / "tiny")
    command = ["bash", "-c", f"{KIT} status --json | head -c 2"]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{\n", "")
