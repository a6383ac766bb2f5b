"""What `kit stack up --systemd` writes, run as it is written: PostgreSQL, S3 and MLflow, and a run that uses them."""

from __future__ import annotations

import configparser
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.stack import Stack, up
from kit.stack._parts import Layout
from tests.servers import S3, ended
from tests.support import closed_port, environment, kit, new_project, until


class Units:
    """What a folder of units says, done by hand as systemd would: words, folder and variables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = dict(
            line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if not line.startswith("#")
        )
        # Root may not run PostgreSQL.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            for path in (folder, folder / "data", folder / ".postgres-password"):
                shutil.chown(path, self._user)

    def command(self, name: str) -> tuple[list[str], dict[str, str]]:
        unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        text = (self.folder / "systemd" / f"kit-stack-{name}.service").read_text()
        variables: dict[str, str] = {}
        for line in text.splitlines():
            if line.startswith("Environment="):
                (pair,) = shlex.split(line.removeprefix("Environment="))
                key, _, value = pair.partition("=")
                variables[key] = value
        unit.read_string(text)
        service = unit["Service"]
        if "EnvironmentFile" in service:
            assert service["EnvironmentFile"] == str(self.folder / ".env")
            variables |= self.secrets
        return shlex.split(service["ExecStart"].replace("%%", "%")), variables

    def do(self, name: str) -> None:
        argv, variables = self.command(name)
        user = self._user if name == "initdb" else None
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder)} | variables
        done = subprocess.run(argv, env=env, cwd=self.folder, user=user, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[None]:
        argv, variables = self.command(name)
        if name == "postgres" and self._user is not None:
            argv = ["setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups", *argv]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder)} | variables
        with ended(argv, self.folder / f"{name}.log", cwd=self.folder, env=env):
            yield


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own, which nobody but its user can enter."""
    path = Path(tempfile.mkdtemp(prefix="kit-stack-"))
    yield path
    shutil.rmtree(path)


@pytest.mark.exhaustive  # its SeaweedFS takes ports that a machine has once, and others may have them
def test_what_the_units_name_serves_a_team(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = {name: closed_port() for name in ("postgres", "s3", "mlflow")}
    init: Any = Layout.__init__

    def elsewhere(self: Layout, *arguments: Any, **more: Any) -> None:
        init(self, *arguments, **({"ports": ports} | more))

    monkeypatch.setattr(Layout, "__init__", elsewhere)  # who runs tests may have servers of these kinds already
    written = up(Stack(folder, systemd=True))
    units = Units(folder)
    login = {"MLFLOW_TRACKING_PASSWORD": units.secrets["MLFLOW_AUTH_ADMIN_PASSWORD"]}
    client = {name: units.secrets.get(name, value) for name, value in written.client.items()} | login
    units.do("initdb")
    with units.running("postgres"), units.running("s3"):
        units.do("prepare")
        units.do("prepare")  # what is there already is left alone
        with units.running("mlflow"):
            env = environment(tmp_path / "home") | client
            root = new_project(tmp_path / "tiny")
            until(lambda: _is_well(root, env), "the servers to let a user in")
            run = kit(root, "run", "--json", env=env).json()
            assert (run["status"], run["tracked"]) == ("succeeded", True)
            assert not (root / ".kit" / "store.db").exists()
            assert kit(root, "runs", "--json", env=env).json()[0]["run_id"] == run["run_id"]
            s3 = S3(client["AWS_ENDPOINT_URL_S3"], client["AWS_ACCESS_KEY_ID"], client["AWS_SECRET_ACCESS_KEY"])
            assert any(key.endswith("/config.yaml") for key in s3.objects("mlflow"))
            assert s3.objects("dvc") == {}
            stranger = env | {"MLFLOW_TRACKING_PASSWORD": "not-the-one", "PGPASSWORD": "not-the-one"}
            found = {
                one["subject"]: one for one in kit(root, "doctor", "--json", env=stranger, code=None).json()["findings"]
            }
            assert not found["mlflow login"]["ok"]
            assert "password" in found["store"]["what"]
            assert not found["store"]["ok"]


def _is_well(root: Path, env: dict[str, str]) -> bool:
    found = kit(root, "doctor", "--json", env=env, code=None).json()["findings"]
    told = {one["subject"]: one["ok"] for one in found}
    return all(told.get(subject, False) for subject in ("mlflow", "mlflow login", "artifacts", "store"))
