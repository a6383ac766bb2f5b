"""What a user can do wrong: one line that says what, where and what to do; the right exit code; nothing left behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.conftest import TINY_PROJECT, git, write
from tests.support import Done, commit_all, environment, kit, mlflow_runs, new_project, run_refs

USER, HOST = 2, 3


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "home")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return new_project(tmp_path / "tiny")


def says(done: Done, code: int, *words: str) -> None:
    """One line on standard error, and nothing else."""
    assert done.code == code, done
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    assert [word for word in words if word not in lines[0]] == [], lines[0]


def nothing_left(root: Path) -> None:
    """No folder, no snapshot, no row, no tracked run."""
    assert list(root.glob(".kit/runs/*")) == []
    if (root / ".git").exists():
        assert run_refs(root) == []
    assert mlflow_runs(root) == {}
    if (root / ".kit" / "store.db").exists():
        with closing(sqlite3.connect(root / ".kit" / "store.db")) as store:
            assert store.execute("SELECT count(*) FROM runs").fetchone() == (0,)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["modle.depth=5"], ["modle", "model"]),
        (["model.dephts=5"], ["model.dephts", "model.depth"]),
        (["model=smal"], ["smal", "small"]),
        (["experiment=basline"], ["basline", "baseline"]),
        (["modell=small"], ["modell", "model"]),
        (["model.depth=[1"], ["model.depth=[1"]),
        (["model.depth"], ["model.depth"]),
        (["model.depth=1,2"], ["-m"]),
        (["~nothing"], ["nothing"]),
        (["seed=-1"], ["seed", "-1"]),
        (["seed=seven"], ["seed", "seven"]),
        (["+extra=${nowhere}"], ["nowhere"]),
        (["+extra=???"], ["extra"]),
        (["task=5"], ["task"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_an_override_that_cannot_be_used(
    root: Path, env: dict[str, str], overrides: list[str], words: list[str]
) -> None:
    says(kit(root, "run", *overrides, env=env, code=None), USER, *words)
    nothing_left(root)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"conf/experiment/baseline.yaml": "# @package _global_\n{}\n"}, ["task", "conf/experiment/baseline.yaml"]),
        ({"conf/config.yaml": "defaults: [nothing]\n"}, ["nothing"]),
        ({"conf/config.yaml": "a: [1\n"}, ["conf/config.yaml"]),
        ({"pyproject.toml": "[tool.kit]\nconfig-dri = 'x'\n"}, ["config-dri", "config-dir", "pyproject.toml"]),
        ({"pyproject.toml": "[tool.kit]\nconfig-dir = 'elsewhere'\n"}, ["elsewhere"]),
        ({"pyproject.toml": "[tool.kit]\nseed = \n"}, ["pyproject.toml", "TOML"]),
        ({"pyproject.toml": "[tool.kit]\ntracking-uri = 'mlruns'\n"}, ["mlruns", "pyproject.toml"]),
    ],
    ids=["no task", "no group", "YAML", "unknown key", "no folder", "TOML", "tracking in a folder"],
)
def test_a_project_that_cannot_be_used(
    root: Path, env: dict[str, str], files: dict[str, str], words: list[str]
) -> None:
    write(root, files)
    code = 4 if "mlruns" in words else USER
    says(kit(root, "run", env=env, code=None), code, *words)
    nothing_left(root)


def test_a_project_file_that_is_no_utf8(root: Path, env: dict[str, str]) -> None:
    (root / "pyproject.toml").write_bytes(b"# caf\xe9\n[tool.kit]\npackage = 'tiny'\n")
    says(kit(root, "run", env=env, code=None), USER, "pyproject.toml")
    nothing_left(root)


NEEDS = {
    "src/tiny/needs.py": """
        import dataclasses


        @dataclasses.dataclass
        class Config:
            model: dict
            width: int


        def train(cfg: Config) -> None: ...
        """
}


@pytest.mark.parametrize(
    ("overrides", "files", "words"),
    [
        (["task=tiny.nope.train"], {}, ["tiny.nope"]),
        (["task=tiny.train.trian"], {}, ["trian", "train"]),
        (["task=nowhere.at.all"], {}, ["nowhere"]),
        (["model.depth=deep"], {}, ["model.depth", "deep", "command line"]),
        ([], {"conf/model/small.yaml": "depth: deep\nrate: 0.1\n"}, ["model.depth", "deep", "conf/model/small.yaml"]),
        (["+model.extra=1"], {}, ["model.extra"]),
        (["~model.rate", "~steps", "task=tiny.needs.train"], NEEDS, ["width"]),
    ],
    ids=["module", "function", "package", "type, command line", "type, file", "unknown field", "missing field"],
)
def test_a_task_or_config_that_does_not_fit(
    root: Path, env: dict[str, str], overrides: list[str], files: dict[str, str], words: list[str]
) -> None:
    write(root, files)
    says(kit(root, "run", *overrides, env=env, code=None), USER, *words)
    nothing_left(root)


def test_a_task_whose_module_cannot_be_imported_fails_with_its_own_traceback(root: Path, env: dict[str, str]) -> None:
    write(root, {"src/tiny/broken.py": "import json\n\n_ = json.loads('{')\n\n\ndef train(cfg: dict) -> None: ...\n"})
    record = kit(root, "run", "--json", "task=tiny.broken.train", env=env, code=1)
    shown = record.json()
    assert (shown["status"], shown["tracked"]) == ("failed", True)
    assert shown["reason"].startswith("JSONDecodeError: ")
    files = [line.split('"')[1] for line in record.err.splitlines() if line.startswith("  File ")]
    assert files[0] == str(root / "src/tiny/broken.py")
    assert mlflow_runs(root)[shown["run_id"]].status == "FAILED"


def test_a_task_whose_module_is_no_python_names_the_line(root: Path, env: dict[str, str]) -> None:
    write(root, {"src/tiny/broken.py": "def train(cfg: dict) -> None:\n    return (\n"})
    done = kit(root, "run", "--json", "task=tiny.broken.train", env=env, code=1)
    assert f'File "{root}/src/tiny/broken.py", line 2' in done.err
    assert "kit/execution.py" not in done.err
    assert done.json()["reason"].startswith("SyntaxError: ")


def test_outside_of_a_project(tmp_path: Path, env: dict[str, str]) -> None:
    for arguments in (["run"], ["runs"], ["show", "last"], ["logs", "last"], ["diff", "a", "b"], ["cancel", "a"]):
        says(kit(tmp_path, *arguments, env=env, code=None), USER, "not a kit project", "kit new")
    assert not (tmp_path / ".kit").exists()


def test_without_git(tmp_path: Path, env: dict[str, str]) -> None:
    root = tmp_path / "tiny"
    write(root, TINY_PROJECT)
    says(kit(root, "run", env=env | {"GIT_CEILING_DIRECTORIES": str(tmp_path)}, code=None), USER, "git init")
    nothing_left(root)


def test_without_a_commit(tmp_path: Path, env: dict[str, str]) -> None:
    root = tmp_path / "tiny"
    write(root, TINY_PROJECT)
    git(root, "init", "--quiet")
    says(kit(root, "run", env=env, code=None), USER, "no commit yet", "git commit")
    nothing_left(root)


def test_a_detached_head_is_recorded_with_a_note(root: Path, env: dict[str, str]) -> None:
    git(root, "checkout", "--quiet", "--detach")
    done = kit(root, "run", env=env)
    assert [line for line in done.err.splitlines() if line.startswith("note: ")] == done.err.splitlines()
    assert "detached" in done.err
    assert "git switch -c" in done.err
    assert kit(root, "show", "last", "--json", env=env).json()["spec"]["snapshot"]["code"]["branch"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--tga", "a=b"], ["--tga", "--tag"]),
        (["run", "--nmae=x"], ["--nmae", "--name"]),
        (["rnu"], ["rnu", "run"]),
        (["run", "--timeout", "soon"], ["--timeout", "number"]),
        (["run", "--timeout", "0"], ["--timeout"]),
        (["run", "-m", "--jobs", "0"], ["--jobs"]),
        (["run", "--tag", "team"], ["team", "KEY=VALUE"]),
        (["run", "--tag", "=x"], ["KEY=VALUE"]),
        (["runs", "--where", "auc"], ["auc", "auc>0.7"]),
        (["runs", "--status", "done"], ["done", "succeeded"]),
        (["runs", "--limit", "0"], ["--limit"]),
        (["runs", "--tag", "team"], ["KEY=VALUE"]),
        (["show"], ["RUN"]),
        (["show", "last"], ["no runs yet", "kit run"]),
        (["show", "abc123"], ["abc123", "kit runs"]),
        (["show", ""], ["kit runs"]),
        (["show", "../../etc"], ["kit runs"]),
        (["logs", "abc123"], ["abc123"]),
        (["diff", "last"], ["RUN"]),
        (["diff", "last", "last~1"], ["no runs yet"]),
        (["cancel", "%"], ["%"]),
    ],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_used(
    root: Path, env: dict[str, str], arguments: list[str], words: list[str]
) -> None:
    says(kit(root, *arguments, env=env, code=None), USER, *words)
    nothing_left(root)


def test_a_store_of_a_newer_kit(root: Path, env: dict[str, str]) -> None:
    kit(root, "runs", env=env)
    with closing(sqlite3.connect(root / ".kit" / "store.db")) as store, store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
    for arguments in (["runs"], ["run"]):
        says(kit(root, *arguments, env=env, code=None), USER, "newer kit", "store.db", "Upgrade")
    assert run_refs(root) == []


def test_a_damaged_store(root: Path, env: dict[str, str]) -> None:
    kit(root, "runs", env=env)
    (root / ".kit" / "store.db").write_bytes(b"no database " * 1000)
    for arguments in (["runs"], ["run"]):
        says(kit(root, *arguments, env=env, code=None), HOST, "store.db", "mv ")
    assert run_refs(root) == []
    assert list(root.glob(".kit/runs/*")) == []


@contextmanager
def mounted(where: Path, *options: str) -> Iterator[None]:
    """A mount of a test's own; skips where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    done = subprocess.run(["mount", *options, str(where)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


@pytest.mark.parametrize("arguments", [["run"], ["runs"]], ids=" ".join)
def test_a_folder_that_cannot_be_written(root: Path, env: dict[str, str], arguments: list[str]) -> None:
    with mounted(root, "--bind", str(root)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(root)], check=True)
        says(kit(root, *arguments, env=env, code=None), HOST, "read-only", str(root))
        assert kit(root, "run", "--dry-run", env=env).out != ""
    assert not (root / ".kit").exists()
    assert run_refs(root) == []


@pytest.mark.parametrize("free", [0, 16, 64], ids=lambda free: f"{free} KiB")
def test_a_full_disk(tmp_path: Path, env: dict[str, str], free: int) -> None:
    root = tmp_path / "tiny"
    root.mkdir()
    with mounted(root, "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        new_project(root)
        with (root / ".git" / "filler").open("wb") as filler:
            left = shutil.disk_usage(root).free - free * 1024
            filler.write(b"x" * left)
        says(kit(root, "run", env=env, code=None), HOST, "disk")
        assert list(root.glob(".kit/runs/*")) == []
        assert run_refs(root) == []
        (root / ".git" / "filler").unlink()
        assert kit(root, "runs", env=env).out == "no runs\n"


def test_a_mistake_in_a_sweep_stops_it_before_anything_runs(root: Path, env: dict[str, str]) -> None:
    says(kit(root, "run", "-m", "modle.depth=1,2", env=env, code=None), USER, "modle", "model")
    nothing_left(root)


def test_untracked_gigabytes_are_not_copied_into_git(root: Path, env: dict[str, str]) -> None:
    write(root, {"pyproject.toml": "[tool.kit]\npackage = 'tiny'\nsnapshot-max-bytes = 1000\n"})
    commit_all(root)
    for number in range(200):
        write(root, {f"heap/{number}.txt": "x" * 999})
    says(kit(root, "run", env=env, code=None), USER, "heap", "dvc add")
    nothing_left(root)
