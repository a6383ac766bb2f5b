"""What each look of `kit doctor` says of a good and a bad case of what it looks at."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kit import doctor
from kit._dvc_files import Output
from kit._dvc_refusals import explain_refusal
from kit.doctor import _gpu, examine
from kit.doctor._clock import judge
from kit.doctor._dvc import look_at_dvc, object_path
from kit.doctor._environment import drift, look_at_environment
from kit.doctor._finding import Finding, Place
from kit.doctor._gpu import look_at_gpu
from kit.doctor._machine import _fits, look_at_git, look_at_python
from kit.doctor._mlflow import look_at_mlflow
from kit.doctor._state import look_at_permissions
from kit.doctor._store import look_at_scheduler, look_at_store
from kit.errors import ExitCode
from kit.project import open_project
from tests.conftest import git
from tests.support import closed_port

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def only(findings: Iterable[Finding]) -> Finding:
    (found,) = findings
    return found


@pytest.fixture
def place(project: Path) -> Place:
    return Place(project, open_project(project, patience=3.0))


@pytest.mark.parametrize(
    ("version", "rule", "fits"),
    [
        ("3.11.7", ">=3.11,<3.14", True),
        ("3.14.0", ">=3.11,<3.14", False),
        ("3.10.2", ">=3.11", False),
        ("3.11.7", "==3.11.*", True),
        ("3.12.1", "==3.11.*", False),
        ("3.12.1", "~=3.11", True),
        ("4.0.0", "~=3.11", False),
        ("3.11.7", "whatever that is", True),
    ],
)
def test_a_python_fits_its_rule(version: str, rule: str, fits: bool) -> None:
    assert _fits(version, rule) is fits


def test_a_project_that_needs_another_python_says_so(make_project: Callable[..., Path]) -> None:
    root = make_project({"pyproject.toml": '[project]\nname = "tiny"\nrequires-python = ">=3.99"\n\n[tool.kit]\n'})
    found = only(look_at_python(Place(root, open_project(root))))
    assert not found.ok
    assert "the project needs >=3.99" in found.what


def test_git_without_a_repository_or_a_commit(place: Place) -> None:
    assert only(look_at_git(place)).ok
    assert place.project is not None
    shutil.rmtree(place.project.root / ".git")
    assert only(look_at_git(place)).fix == "Start one: `git init && git add --all && git commit -m start`."
    git(place.project.root, "init", "--quiet")
    assert only(look_at_git(place)).what == "the repository has no commit yet"


def test_a_clock_is_compared_with_the_servers() -> None:
    assert judge(NOW, "Sun, 22 Nov 2026 12:00:30 GMT").ok
    assert judge(NOW, None).ok
    assert judge(NOW, "not a date").ok
    behind = judge(NOW, "Sun, 22 Nov 2026 12:20:00 GMT")
    assert (behind.ok, behind.code) == (False, ExitCode.HOST)
    assert "1200 s behind" in behind.what
    assert not judge(datetime(1970, 1, 1, tzinfo=UTC), None).ok


def smi(folder: Path, script: str) -> str:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("script", "ok", "says"),
    [
        ("echo 'NVIDIA H200, 143771 MiB, 570.1'", True, "NVIDIA H200"),
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", False, "version mismatch"),
        ("echo 'No devices were found'; exit 6", True, "none, although there is a driver"),
        ("echo 'it is odd' >&2; exit 9", False, "it is odd"),
    ],
)
def test_a_gpu_is_as_its_driver_says(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch, script: str, ok: bool, says: str
) -> None:
    monkeypatch.setattr(_gpu, "_torch", lambda: "2.13.0+cu128")
    found = only(look_at_gpu(place, program=smi(tmp_path, script)))
    assert (found.ok, says in found.what, found.fix is None) == (ok, True, ok)


def test_a_gpu_that_pytorch_is_not_built_for(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpu, "_torch", lambda: "2.13.0+cpu")
    found = only(look_at_gpu(place, program=smi(tmp_path, "echo 'NVIDIA H200, 143771 MiB, 570.1'")))
    assert not found.ok
    assert "PyTorch 2.13.0+cpu cannot use it" in found.what


def test_a_gpu_without_a_driver_is_found_on_the_bus(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert only(look_at_gpu(place, devices=tmp_path / "none")).what == "none; tasks run on the CPU"
    device = tmp_path / "devices" / "0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x040300\n")  # the sound that comes with one
    assert only(look_at_gpu(place, devices=tmp_path / "devices")).ok
    (device / "class").write_text("0x030200\n")
    assert not only(look_at_gpu(place, devices=tmp_path / "devices")).ok


def test_drift_is_what_the_lock_wants_otherwise() -> None:
    said = (
        "Would uninstall 2 packages\nWould install 3 packages\n - mlekit==0.1.0 (from file:///kit)\n"
        " + mlekit @ file:///kit\n - numpy==1.26.0\n + numpy==2.0.0\n + polars==1.9.0\n"
        "error: The environment is outdated"
    )
    assert drift(said) == ["numpy 1.26.0 -> 2.0.0", "polars 1.9.0 is missing"]
    assert drift("Would make no changes") == []


def test_without_a_lock_nobody_can_make_the_environment_anew(place: Place) -> None:
    found = only(look_at_environment(place))
    assert not found.ok
    assert "uv lock" in (found.fix or "")


def test_a_state_that_others_may_read_is_closed(place: Place) -> None:
    assert only(look_at_permissions(place)).ok
    assert place.project is not None
    state = place.project.paths.state
    place.project.paths.create_state()
    assert only(look_at_permissions(place)).ok
    state.chmod(0o755)
    found = only(look_at_permissions(place))
    assert (found.ok, found.fix) == (False, f"Close it: `chmod 700 {state}`.")
    assert stat.S_IMODE(state.stat().st_mode) == 0o755  # it is only told


def test_a_store_is_looked_at_and_not_made(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.project is not None
    path = place.project.paths.store
    assert only(look_at_store(place)).what == "SQLite, made by the first run"
    assert only(look_at_scheduler(place)).ok
    assert not path.exists()
    assert place.project.store is not None
    assert only(look_at_store(place)).ok
    assert only(look_at_scheduler(place)).what == "none is running, and none ever was"
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "a newer kit wrote it" in only(look_at_store(place)).what
    path.write_bytes(b"this is no database, and long enough to be read as one" * 100)
    assert only(look_at_store(place)).code is ExitCode.HOST
    monkeypatch.setenv("KIT_STORE", f"postgresql://kit:hunter22-hunter22@127.0.0.1:{closed_port()}/kit")
    found = only(look_at_store(place))
    assert (found.ok, found.code) == (False, ExitCode.SERVICE)
    assert "hunter22" not in found.what


def test_a_server_that_is_down_is_told_from_all_else(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter22-hunter22@127.0.0.1:{closed_port()}")
    found = only(look_at_mlflow(place))
    assert (found.subject, found.ok, found.code) == ("mlflow", False, ExitCode.SERVICE)
    assert "connection refused" in found.what
    assert "hunter22" not in found.what


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("The request signature we calculated does not match the signature you provided", "it refuses the secret key"),
        ("An error occurred (InvalidAccessKeyId) when calling", "it knows no such access key"),
        ("An error occurred (ExpiredToken)", "the credentials have expired"),
        ("Unable to locate credentials", "no credentials are given"),
        ("Forbidden: An error occurred (403) when calling the HeadObject", "it refuses this key and secret"),
        ("Permission denied for user root on host 127.0.0.1", "it does not let this user in"),
        ("[Errno 111] Connect call failed ('127.0.0.1', 2222)", "it cannot be reached"),
        ('Could not connect to the endpoint URL: "http://127.0.0.1:1/"', "it cannot be reached"),
        ("Host key is not trusted for host 127.0.0.1", "the host's key is not the one known here"),
        ("URL 's3://x' is supported, but requires these missing dependencies", "what DVC needs"),
    ],
)
def test_what_a_remote_refuses_is_told_by_its_words(said: str, meaning: str) -> None:
    told = explain_refusal(said, "shared")
    assert told is not None
    assert told[0].startswith(meaning)
    assert "{name}" not in told[1]


def test_words_that_mean_nothing_of_the_kind() -> None:
    assert explain_refusal("it is neither in the local cache nor on the remote", "shared") is None


def test_where_a_remote_keeps_a_version() -> None:
    output = Output("a", "/a", "a.dvc", md5="0123456789abcdef.dir")
    assert object_path(output) == "files/md5/01/23456789abcdef.dir"


def test_a_remote_of_which_nobody_opens_is_told_at_once(place: Place) -> None:
    assert place.project is not None
    assert list(look_at_dvc(place)) == []  # there is no DVC
    folder = place.project.root / ".dvc"
    folder.mkdir()
    (folder / "config").write_text("")
    assert only(look_at_dvc(place)).ok
    (folder / "config").write_text(
        f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = s3://b/p\n"
        f"    endpointurl = http://127.0.0.1:{closed_port()}\n"
    )
    found = only(look_at_dvc(place))
    assert (found.ok, found.code) == (False, ExitCode.SERVICE)
    assert "shared (s3://b/p): it cannot be reached" in found.what


def test_outside_of_a_project_the_machine_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    report = examine(tmp_path)
    subjects = {finding.subject for finding in report.findings}
    assert report.project is None
    assert subjects == {"project", "python", "git", "gpu", "disk", "clock"}


def test_a_look_that_breaks_keeps_no_other_from_being_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_place: Place) -> list[Finding]:
        raise RuntimeError("a fault of kit's")

    monkeypatch.setitem(doctor._LOOKS, "git", breaks)
    found = {finding.subject: finding for finding in examine(project).findings}
    assert "a fault of kit's" in found["git"].what
    assert found["python"].ok


def test_what_is_nearest_counts(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a lock this machine is not well; what the server does comes after that."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    assert examine(project).code is ExitCode.HOST
    (project / "pyproject.toml").write_text("[tool.kit]\nno-such-key = 1\n")
    assert examine(project).code is ExitCode.USER
