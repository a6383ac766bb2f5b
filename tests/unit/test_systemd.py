"""systemd: the unit that it is given, and the words that it is sent."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kit import systemd
from kit.errors import HostError, UserError
from kit.project import Project, open_project
from tests.conftest import write

ANALYZE = shutil.which("systemd-analyze")
NASTY = 'my projects 100% "b" $HOME \\x41 %h'


def project(root: Path) -> Project:
    write(root, {"pyproject.toml": '[tool.kit]\npackage = "tiny"\n'})
    return open_project(root)


def installed(root: Path, tmp_path: Path) -> systemd.Installed:
    return systemd.install(project(root), home=tmp_path / "home", booted=tmp_path)


def entries(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def verify(unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.CompletedProcess[str]:
    """What systemd says of a unit. It asks for the folder that a login makes."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert ANALYZE is not None
    command = [ANALYZE, "verify", "--user", "--man=no", str(unit)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze")
@pytest.mark.parametrize("folder", ["tiny", NASTY, "Prüfung ☃"])
def test_systemd_takes_the_unit(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / folder
    python = tmp_path / "tools 5% $HOME" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    found = installed(root, tmp_path)
    verified = verify(found.path, tmp_path, monkeypatch)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze")
def test_systemd_would_say_so_if_a_setting_were_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = installed(tmp_path / "tiny", tmp_path)
    found.path.write_text(found.text.replace("WatchdogSec", "WatchDogSec").replace("/bin/python", "/bin/no-python"))
    verified = verify(found.path, tmp_path, monkeypatch)
    assert "WatchDogSec" in verified.stderr
    assert "not executable" in verified.stderr


def test_what_systemd_would_read_differently_is_escaped(tmp_path: Path) -> None:
    text = systemd.unit_text(
        "kit-x.service",
        project="tiny",
        root=Path("/p 100%"),
        python=Path("/v $e 5%/python"),
        path='/a "b" \\n/$HOME:/usr/bin',
        environment_file=Path("/c %h/x.env"),
        umask=0o27,
    )
    found = entries(text)
    assert found["ExecStart"] == '"/v $e 5%%/python" -P -m kit scheduler'
    assert found["WorkingDirectory"] == "/p 100%%"
    assert found["Environment"] == '"PATH=/a \\"b\\" \\\\n/$HOME:/usr/bin" PYTHONUNBUFFERED=1'
    assert found["EnvironmentFile"] == "-/c %%h/x.env"
    assert found["UMask"] == "0027"


@pytest.mark.parametrize("folder", ["two\nlines", "ends blank ", "backslash\\", "b\udcffd"])
def test_a_path_that_no_unit_can_hold_is_refused(folder: str, tmp_path: Path) -> None:
    refused(Path("/projects") / folder, Path(sys.executable), tmp_path)


@pytest.mark.parametrize("folder", ['a "b"', "it's", "a\\b"])
def test_a_program_that_systemd_does_not_start_is_refused(folder: str, tmp_path: Path) -> None:
    refused(tmp_path, Path("/tools") / folder / "python", tmp_path)


def refused(root: Path, python: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        systemd.unit_text(
            "kit-x.service",
            project="tiny",
            root=root,
            python=python,
            path="/usr/bin",
            environment_file=tmp_path / "x.env",
            umask=0o22,
        )
    str(caught.value).encode()
    assert caught.value.fix


def test_the_unit_lies_where_systemd_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    found = installed(tmp_path / "tiny", tmp_path)
    assert found.path.parent == tmp_path / "home" / ".config" / "systemd" / "user"
    assert found.path.read_text() == found.text
    assert found.path.stat().st_mode & 0o777 == 0o644
    assert found.environment_file.parent == tmp_path / "home" / ".config" / "kit"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert installed(tmp_path / "tiny", tmp_path).path.parent == tmp_path / "config" / "systemd" / "user"


def test_a_second_time_nothing_changes_and_a_changed_one_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = installed(tmp_path / "tiny", tmp_path)
    assert first.changed
    assert first.next_commands == (
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {first.path.name}",
        "loginctl enable-linger",
    )
    before = first.path.stat().st_mtime_ns
    assert not installed(tmp_path / "tiny", tmp_path).changed
    assert first.path.stat().st_mtime_ns == before
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/opt/more/bin")
    third = installed(tmp_path / "tiny", tmp_path)
    assert third.changed
    assert f"systemctl --user restart {third.path.name}" in third.next_commands


def test_the_scheduler_finds_what_this_shell_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/opt/tools/bin:relative::/usr/bin:/opt/tools/bin")
    old = os.umask(0o007)
    try:
        found = entries(installed(tmp_path / "tiny", tmp_path).text)
    finally:
        os.umask(old)
    assert f'"PATH={Path(sys.executable).parent}:/opt/tools/bin:/usr/bin"' in found["Environment"]
    assert found["UMask"] == "0007"


def test_projects_of_one_name_have_units_of_their_own() -> None:
    names = [systemd.unit_name("Flüge & more", Path(root)) for root in ("/a/flights", "/b/flights")]
    assert names[0] != names[1]
    assert all(name.startswith("kit-fl-ge-more-") and name.endswith(".service") for name in names)
    assert systemd.unit_name("☃", Path("/a")).startswith("kit-project-")
    assert len(systemd.unit_name("x" * 300, Path("/a"))) < 80


def test_where_systemd_does_not_run_it_says_what_does(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        systemd.install(project(tmp_path / "tiny"), home=tmp_path, booted=tmp_path / "nothing")
    assert "kit scheduler --once" in str(caught.value)
    assert not (tmp_path / ".config").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(HostError):
        installed(tmp_path / "tiny", tmp_path)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(*, abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@kit-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert systemd.notify("READY=1")
        assert listener.recv(100) == b"READY=1"


def test_without_systemd_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not systemd.notify("READY=1")
