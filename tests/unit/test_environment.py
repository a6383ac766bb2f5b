"""Interpreter, packages, lock file, machine and command line."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from kit import environment
from kit.models import from_json, to_json
from kit.snapshot import Environment, Host
from tests.conftest import git, write


def test_packages_are_those_that_importlib_knows() -> None:
    expected: dict[str, str] = {}
    for package in metadata.distributions():
        expected.setdefault(re.sub(r"[-_.]+", "-", package.name).lower(), package.version)

    found = environment.capture(Path.cwd()).packages

    assert found == expected
    assert list(found) == sorted(found)


def test_odd_packages_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        {
            "Odd_Name-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Odd_.Name\nVersion: 1.0\n",
            "old.egg-info": "Metadata-Version: 1.0\nName: old\nVersion: 0.1\n",
            "broken-2.0.dist-info/RECORD": "",
            "psutil-0.0.dist-info/METADATA": "Name: psutil\nVersion: 0.0\n",
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    found = environment.capture(tmp_path).packages

    assert (found["odd-name"], found["old"], found["psutil"]) == ("1.0", "0.1", "0.0")
    assert "broken" not in found


def test_interpreter(tmp_path: Path) -> None:
    found = environment.capture(tmp_path)

    assert found.python == platform.python_version()
    assert found.executable == sys.executable
    assert (found.lock_file, found.lock_sha256) == (None, None)
    assert from_json(to_json(found), Environment) == found


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"uv.lock": "1", "poetry.lock": "2", "requirements.txt": "a==1"}, "uv.lock"),
        ({"poetry.lock": "2", "requirements.txt": "a==1"}, "poetry.lock"),
        ({"pylock.toml": "2"}, "pylock.toml"),
        ({"requirements.txt": "# pinned\n--index-url x\na==1\n\nb @ git+https://x\n"}, "requirements.txt"),
        ({"requirements.txt": "a>=1\n", "requirements-lock.txt": "a==1\n"}, "requirements-lock.txt"),
        ({"requirements.txt": "a>=1\n", "requirements-dev.txt": "# nothing\n"}, None),
    ],
)
def test_lock_file(tmp_path: Path, files: dict[str, str], expected: str | None) -> None:
    write(tmp_path, files)

    found = environment.capture(tmp_path)

    assert found.lock_file == expected
    if expected is not None:
        assert found.lock_sha256 == hashlib.sha256((tmp_path / expected).read_bytes()).hexdigest()


def test_lock_of_the_workspace_but_none_from_outside_the_repository(tmp_path: Path) -> None:
    write(tmp_path, {"uv.lock": "outside", "repo/poetry.lock": "workspace", "repo/projects/one/x.py": ""})
    git(tmp_path, "init", "--quiet", "repo")

    assert environment.capture(tmp_path / "repo/projects/one").lock_file == "../../poetry.lock"
    (tmp_path / "repo/poetry.lock").unlink()
    assert environment.capture(tmp_path / "repo/projects/one").lock_file is None


@pytest.fixture
def _fresh() -> Iterator[None]:
    environment._gpus.cache_clear()
    yield
    environment._gpus.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_host() -> None:
    found = environment.host()

    assert found.memory == psutil.virtual_memory().total
    assert found.cores >= 1
    assert found.cpu
    assert found.name == platform.node()
    assert from_json(to_json(found), Host) == found


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            'test "$1" = --query-gpu=name,memory.total,driver_version && echo "NVIDIA H200, 143771 MiB, 550.1"',
            ("NVIDIA H200, 143771 MiB, 550.1",),
        ),
        ("echo 'NVIDIA-SMI has failed because it could not talk to the driver'; exit 9", ()),
        ("exec sleep 60", ()),
    ],
)
def test_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: tuple[str, ...]) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(environment, "_GPU_SECONDS", 0.5)

    assert environment.host().gpus == expected


@pytest.mark.usefixtures("_fresh")
def test_no_gpu_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert environment.host().gpus == ()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/home/me/.venv/bin/kit", "run", "lr=0.1"], ("kit", "run", "lr=0.1")),
        (["/lib/python3.11/site-packages/kit/__main__.py", "run"], ("kit", "run")),
        (
            ["kit", "run", "db.password=a,b", "--token", "abc", "--set", "lr=1", "u=postgresql://u:p@h/d"],
            ("kit", "run", "db.password=***", "--token", "***", "--set", "lr=1", "u=postgresql://u:***@h/d"),
        ),
        (["kit", "run", "--password", "--dry-run"], ("kit", "run", "--password", "--dry-run")),
    ],
)
def test_command(monkeypatch: pytest.MonkeyPatch, argv: list[str], expected: tuple[str, ...]) -> None:
    monkeypatch.setattr(sys, "argv", argv)

    assert environment.command() == expected


def test_command_of_a_script_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", "train.py", "--api-key", "abc"])
    for argv in (["train.py", "--api-key", "abc"], [""], []):
        monkeypatch.setattr(sys, "argv", argv)
        assert environment.command() == ("python", "train.py", "--api-key", "***")
