"""`kit doctor` by its command: what it prints, what it leaves with, and that it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import closed_port, environment, kit, on_screen


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "home")


def test_a_machine_is_told_of_without_a_project(tmp_path: Path, env: dict[str, str]) -> None:
    told = kit(tmp_path, "doctor", "--json", env=env).json()
    assert (told["project"], told["well"]) == (None, True)
    assert {"python", "git", "gpu", "disk", "clock"} <= {one["subject"] for one in told["findings"]}
    assert all(one.keys() == {"subject", "ok", "what", "fix"} for one in told["findings"])


def test_it_leaves_with_3_for_the_machine_and_4_for_a_service(project: Path, env: dict[str, str]) -> None:
    down = env | {"MLFLOW_TRACKING_URI": f"http://me:hunter22-hunter22@127.0.0.1:{closed_port()}"}
    first = kit(project, "doctor", "--json", env=down, code=3)
    found = {one["subject"]: one for one in first.json()["findings"]}
    assert [subject for subject, one in found.items() if not one["ok"]] == ["environment", "mlflow"]
    assert all(one["fix"] for one in found.values() if not one["ok"])
    assert "hunter22" not in first.out + first.err
    (project / "poetry.lock").write_text("# of another tool\n")
    assert kit(project, "doctor", "--json", env=down, code=4).json()["well"] is False
    assert kit(project, "doctor", "--json", env=env).json()["well"] is True


def test_nothing_is_made_or_changed(project: Path, env: dict[str, str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if ".git" not in path.parts}
    kit(project, "doctor", env=env, code=3)
    after = {path: path.stat().st_mtime_ns for path in project.rglob("*") if ".git" not in path.parts}
    assert after == before


def test_a_project_that_cannot_be_opened_is_a_finding(make_project: Callable[..., Path], env: dict[str, str]) -> None:
    root = make_project({"pyproject.toml": "[tool.kit]\nno-such-key = 1\n"})
    done = kit(root, "doctor", "--json", env=env, code=2)
    (found,) = [one for one in done.json()["findings"] if not one["ok"]]
    assert (found["subject"], "no-such-key" in found["what"]) == ("project", True)
    assert "Traceback" not in done.err


def test_it_fits_on_a_screen_and_a_pipe(project: Path, env: dict[str, str]) -> None:
    down = env | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{closed_port()}"}
    lines = on_screen(project, "doctor", env=down, code=3)
    assert all(len(line) <= 80 for line in lines)
    assert any(line.startswith("bad  mlflow ") for line in lines)
    assert lines[-1].strip() == "2 to mend"
    piped = kit(project, "doctor", env=down, code=3).out.splitlines()
    assert piped[0].split("\t") == ["state", "subject", "what", "fix"]
    assert all(line.count("\t") == 3 for line in piped)
    assert json.loads(kit(project, "doctor", "--json", env=down, code=3).out)
