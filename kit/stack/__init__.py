"""What a team shares, on one machine of its own: PostgreSQL, S3, MLflow with passwords, and kit's scheduler."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kit._files import write_atomic
from kit.errors import HostError, UserError, from_os_error
from kit.stack import _compose, _units
from kit.stack._parts import SECRETS, Layout, requirements

__all__ = ["Stack", "Written", "docker_compose", "down", "status", "up"]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_SECONDS = 3.0
_SCHEDULER_ALIAS = {"MLFLOW_TRACKING_PASSWORD": "MLFLOW_AUTH_ADMIN_PASSWORD"}
"""What the scheduler calls a secret: systemd hands a variable on under the name that it has in the file."""
_AUTH = """\
; Written by `kit stack up`, which overwrites it. The password is in PGPASSWORD, the administrator's in
; MLFLOW_AUTH_ADMIN_PASSWORD.
[mlflow]
default_permission = EDIT
database_uri = {database}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""
_HBA = (
    "# Written by `kit stack up`, which overwrites it: nobody without the password.\nhost all all all scram-sha-256\n"
)


@dataclass(frozen=True, slots=True)
class Stack:
    """What is asked for.

    Attributes:
        folder: Where it is written.
        name: What the machine is called by those who use it.
        listen: The address that the ports are opened on.
        systemd: Whether systemd starts it, instead of Docker.
        project: The folder of the project whose scheduler belongs to it.
    """

    folder: Path
    name: str = "localhost"
    listen: str = "127.0.0.1"
    systemd: bool = False
    project: Path | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        files: Everything, by its path below the folder.
        drawn: The secrets that were drawn now, by their names; those that were there stay as they are.
        started: Whether Docker runs it now.
        next_commands: What to type next.
        client: What those who use it set; the names of secrets where those belong.
    """

    folder: Path
    files: tuple[str, ...]
    drawn: tuple[str, ...]
    started: bool
    next_commands: tuple[str, ...]
    client: Mapping[str, str]


def up(stack: Stack) -> Written:
    """Write it all, and start it where Docker is there; what was drawn before is kept.

    Raises:
        UserError: If the machine's name or the folder cannot be used.
        HostError: If a file cannot be written, a program is missing, or Docker does not start it.
    """
    if not _NAME.fullmatch(stack.name):
        raise UserError(
            f"{stack.name!r} is no host's name", where="--host", fix="Give the one that others reach it by."
        )
    folder = stack.folder.resolve()
    project = None if stack.project is None else str(stack.project.resolve())
    place = _units.layout(folder, stack.name, stack.listen) if stack.systemd else _compose.layout(stack.name)
    files = {"auth.ini": _AUTH.format(database=place.database("mlflow", driver="postgresql+psycopg"))}
    files["prepare.py"] = Path(__file__).with_name("prepare.py").read_text("utf-8")
    if stack.systemd:
        files["pg_hba.conf"] = _HBA
        files |= {f"systemd/{name}": text for name, text in _units.units(place, project).items()}
    else:
        files |= {
            "Dockerfile": _compose.DOCKERFILE,
            "requirements.txt": requirements(),
            ".dockerignore": ".env\ndata\n",
        }
        files["compose.yaml"] = _compose.compose(place, bind=stack.listen, project=project)
    try:
        drawn = _draw(folder, systemd=stack.systemd)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / name, text, mode=0o644)
        if stack.systemd:
            (folder / "data" / "s3").mkdir(parents=True, mode=0o700, exist_ok=True)
    except OSError as error:
        raise from_os_error(error) from error
    started = not stack.systemd and _start(folder)
    commands = _systemctl(folder, sorted(files)) if stack.systemd else _commands(folder, started=started)
    return Written(folder, tuple(sorted(files)), drawn, started, commands, _client(stack, place))


def _draw(folder: Path, *, systemd: bool) -> tuple[str, ...]:
    """Give each secret that has no value yet one; no value that is there is touched."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".env"
    before = path.read_text("utf-8") if path.exists() else ""
    known = _values(before)
    new = {name: secrets.token_urlsafe(size) for name, size in SECRETS.items() if not known.get(name)}
    values = known | new
    lines = {name: f"{name}={value}\n" for name, value in new.items()}
    lines |= {to: f"{to}={values[source]}\n" for to, source in _SCHEDULER_ALIAS.items() if not known.get(to)}
    if lines:
        head = "" if before else "# Secrets of this stack, drawn by `kit stack up`; never overwritten. Keep a copy.\n"
        gap = "" if not before or before.endswith("\n") else "\n"
        write_atomic(path, head + before + gap + "".join(lines.values()), mode=0o600)
    elif path.stat().st_mode & 0o077:
        path.chmod(0o600)
    if systemd:  # what initdb reads: one line, nothing else
        write_atomic(folder / ".postgres-password", f"{values['PGPASSWORD']}\n", mode=0o600)
    return tuple(new)


def _values(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _client(stack: Stack, place: Layout) -> Mapping[str, str]:
    ports = place.ports
    return {
        "KIT_STORE": f"postgresql://kit@{stack.name}:{ports['postgres']}/kit",
        "PGPASSWORD": "(.env)",
        "MLFLOW_TRACKING_URI": f"http://{stack.name}:{ports['mlflow']}",
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": "(.env)",
        "AWS_ENDPOINT_URL_S3": f"http://{stack.name}:{ports['s3']}",
        "AWS_ACCESS_KEY_ID": "(.env)",
        "AWS_SECRET_ACCESS_KEY": "(.env)",
    }


def _commands(folder: Path, *, started: bool) -> tuple[str, ...]:
    if started:
        return (f"kit stack status --dir {folder}", "kit doctor")
    return (f"docker compose --project-directory {folder} up --detach --build",)


def _systemctl(folder: Path, files: list[str]) -> tuple[str, ...]:
    units = [folder / name for name in files if name.startswith("systemd/")]
    return (
        f"systemctl --user link {folder}/systemd/*.service",
        f"systemctl --user enable --now {' '.join(unit.name for unit in units)}",
        "loginctl enable-linger",
    )


def docker_compose(folder: Path) -> list[str] | None:
    """The command, if Docker with compose is there and its daemon answers."""
    if shutil.which("docker") is None:
        return None
    for asked in (["docker", "compose", "version"], ["docker", "info"]):
        try:
            done = subprocess.run(asked, capture_output=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode != 0:
            return None
    return ["docker", "compose", "--project-directory", str(folder)]


def _start(folder: Path) -> bool:
    """Whether Docker did; where there is none, the files are all there is."""
    command = docker_compose(folder)
    if command is None:
        return False
    done = subprocess.run([*command, "up", "--detach", "--build"], check=False)
    if done.returncode != 0:
        fix = f"See what each says: `docker compose --project-directory {folder} logs`."
        raise HostError("Docker did not start the stack", where=str(folder), fix=fix)
    return True


def down(folder: Path) -> tuple[bool, tuple[str, ...]]:
    """Stop it; data and secrets stay. Whether it is stopped, and else what to type for that.

    Raises:
        UserError: If no stack was written there.
        HostError: If Docker does not stop it.
    """
    folder = _written(folder)
    if not (folder / "compose.yaml").exists():
        names = " ".join(sorted(path.name for path in (folder / "systemd").glob("*.service")))
        return False, (f"systemctl --user disable --now {names}",)
    command = docker_compose(folder)
    if command is None:
        return False, (f"docker compose --project-directory {folder} down",)
    if subprocess.run([*command, "down"], check=False).returncode != 0:
        raise HostError("Docker did not stop the stack", where=str(folder), fix="See what it says above.")
    return True, ()


def status(folder: Path, *, name: str = "127.0.0.1") -> Mapping[str, bool]:
    """Whether somebody listens where each part is to be found from here.

    Raises:
        UserError: If no stack was written there.
    """
    _written(folder)
    found = {}
    for part, port in _compose.layout(name).ports.items():
        found[part] = False
        with contextlib.suppress(OSError), socket.create_connection((name, port), timeout=_SECONDS):
            found[part] = True
    return found


def _written(folder: Path) -> Path:
    folder = folder.resolve()
    if not (folder / ".env").exists() or not ((folder / "compose.yaml").exists() or (folder / "systemd").exists()):
        fix = f"Write one: `kit stack up --dir {os.path.relpath(folder)}`."
        raise UserError("no stack was written here", where=str(folder), fix=fix)
    return folder
