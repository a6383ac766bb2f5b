"""What `kit stack up` writes: valid, pinned, without a secret where others read."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit.errors import UserError
from kit.stack import Stack, _compose, down, status, up
from kit.stack._parts import SECRETS
from tests.support import closed_port

ANALYZE = shutil.which("systemd-analyze")


@pytest.fixture(autouse=True)
def _no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are what is looked at; who has Docker has nothing started."""
    monkeypatch.setattr("kit.stack.docker_compose", lambda _folder: None)


def secrets_of(folder: Path) -> dict[str, str]:
    lines = [line for line in (folder / ".env").read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "compose.yaml").read_text())
    return found


@pytest.mark.parametrize("with_project", [False, True])
def test_the_compose_file_is_one(tmp_path: Path, project: Path, with_project: bool) -> None:
    up(Stack(tmp_path / "s", project=project if with_project else None))
    check = Path(sys.executable).with_name("check-jsonschema")
    command = [str(check), "--builtin-schema", "vendor.compose-spec", str(tmp_path / "s" / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    services = read(tmp_path / "s")["services"]
    assert ["postgres", "s3", "prepare", "mlflow", *(["scheduler"] if with_project else [])] == list(services)


def test_versions_are_pinned(tmp_path: Path) -> None:
    up(Stack(tmp_path))
    images = [service["image"] for service in read(tmp_path)["services"].values() if "build" not in service]
    base = next(line for line in (tmp_path / "Dockerfile").read_text().splitlines() if line.startswith("FROM "))
    for image in [*images, base.removeprefix("FROM ")]:
        assert image.partition(":")[2].count(".") >= 1
        assert "latest" not in image
    lines = (tmp_path / "requirements.txt").read_text().splitlines()
    assert len(lines) == 5
    assert all("==" in line for line in lines)


def test_no_port_is_open_to_others_unless_asked_for(tmp_path: Path) -> None:
    up(Stack(tmp_path))
    services = read(tmp_path)["services"].values()
    ports = [port for service in services for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("systemd", [False, True])
def test_what_asks_nobody_who_they_are_is_open_to_no_other_host(tmp_path: Path, systemd: bool) -> None:
    """SeaweedFS has an S3 gateway, which does, and three servers behind it, which do not."""
    up(Stack(tmp_path, listen="0.0.0.0", systemd=systemd))
    if systemd:
        words = (tmp_path / "systemd" / "kit-stack-s3.service").read_text()
        assert (tmp_path / "pg_hba.conf").read_text().splitlines()[1:] == ["host all all all scram-sha-256"]
    else:
        words = " ".join(read(tmp_path)["services"]["s3"]["command"])
        assert read(tmp_path)["services"]["s3"]["ports"] == ["0.0.0.0:8333:8333"]
    assert "-ip.bind=127.0.0.1" in words
    assert "-s3.ip.bind=0.0.0.0" in words


@pytest.mark.parametrize("systemd", [False, True])
def test_secrets_lie_in_one_private_file_and_nowhere_else(tmp_path: Path, systemd: bool) -> None:
    written = up(Stack(tmp_path, systemd=systemd))
    secrets = secrets_of(tmp_path)
    assert set(written.drawn) == SECRETS.keys()
    assert len({secrets[name] for name in SECRETS}) == len(SECRETS)
    assert all(len(secrets[name]) >= 20 for name in SECRETS)
    private = {".env", ".postgres-password"}
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        text = path.read_text()
        if path.name in private:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        else:
            assert not any(value in text for value in secrets.values()), path
    assert not any(value in str(written) for value in secrets.values())


def test_no_secret_has_a_default(tmp_path: Path) -> None:
    up(Stack(tmp_path))
    text = (tmp_path / "compose.yaml").read_text()
    for name in SECRETS:
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_a_second_time_changes_no_secret_and_fills_in_what_is_missing(tmp_path: Path) -> None:
    up(Stack(tmp_path))
    before = secrets_of(tmp_path)
    (tmp_path / ".env").chmod(0o644)
    again = up(Stack(tmp_path, systemd=True))
    assert again.drawn == ()
    assert secrets_of(tmp_path) == before
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    own = "".join(f"{name}={value}\n" for name, value in before.items() if name != "PGPASSWORD") + "# mine\nOTHER=1"
    (tmp_path / ".env").write_text(own)
    assert up(Stack(tmp_path)).drawn == ("PGPASSWORD",)
    after = secrets_of(tmp_path)
    assert after["PGPASSWORD"] != before["PGPASSWORD"]
    assert after | {"PGPASSWORD": ""} == before | {"PGPASSWORD": "", "OTHER": "1"}
    assert "# mine" in (tmp_path / ".env").read_text()


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path, project: Path) -> None:
    assert ANALYZE is not None
    folder = tmp_path / "a folder"
    up(Stack(folder, systemd=True, project=project))
    units = sorted(str(path) for path in (folder / "systemd").glob("*.service"))
    assert len(units) == 6
    done = subprocess.run([ANALYZE, "verify", *units], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "kit-stack" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("name", ["", "a b", "evil\nEnvironment=X", "-x", "$HOME"])
def test_a_name_that_is_no_hosts_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no host's name"):
        up(Stack(tmp_path, name=name))
    assert list(tmp_path.iterdir()) == []


def test_where_no_stack_is_that_is_said(tmp_path: Path) -> None:
    for look in (status, down):
        with pytest.raises(UserError, match="no stack"):
            look(tmp_path)


def test_who_has_no_docker_is_told_what_to_type(tmp_path: Path) -> None:
    assert any("docker compose" in command for command in up(Stack(tmp_path / "c")).next_commands)
    assert down(tmp_path / "c")[0] is False
    assert any("systemctl --user" in command for command in up(Stack(tmp_path / "s", systemd=True)).next_commands)
    stopped, commands = down(tmp_path / "s")
    assert not stopped
    assert "kit-stack-mlflow.service" in commands[0]


def test_parts_that_do_not_answer_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up(Stack(tmp_path))
    nobody = {name: closed_port() for name in ("postgres", "s3", "mlflow")}
    elsewhere = replace(_compose.layout("127.0.0.1"), ports=nobody)
    monkeypatch.setattr(_compose, "layout", lambda _name: elsewhere)
    assert status(tmp_path) == dict.fromkeys(nobody, False)
