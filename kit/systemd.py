"""systemd: a user unit that keeps the scheduler running, and word to systemd that it does."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

from kit._files import write_atomic
from kit.errors import HostError, UserError, from_os_error
from kit.project import Project

__all__ = ["Installed", "check_fit", "install", "notify", "plain", "quoted", "search_path", "unit_name", "unit_text"]

_BOOTED = Path("/run/systemd/system")
"""There exactly where systemd is what booted this machine: sd_booted(3)."""
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|^\s|\s$|\\$")
"""What no value in a unit file can have: it ends a line, continues it, is cut off, or is not UTF-8."""
_UNFIT_PROGRAM = re.compile(r"""["'\\]""")

_UNIT = Template("""\
# Written by `kit scheduler --install systemd`, which overwrites it. What is to differ belongs in
# `systemctl --user edit $name`.

[Unit]
Description=kit scheduler of $project ($root)
# Never given up: what keeps it from starting, a full disk or a file half edited, may be mended at any time.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=$python -P -m kit scheduler
WorkingDirectory=$root
Environment=$path PYTHONUNBUFFERED=1
# Secrets, as NAME=VALUE lines; read at each start, if it is there. Keep it to yourself: chmod 600.
EnvironmentFile=-$environment_file
# Files get the modes that they get when you type `kit run`.
UMask=$umask

Restart=always
RestartSec=30
# A turn may wait a minute for a locked database.
WatchdogSec=300
TimeoutStartSec=300
TimeoutStopSec=30
# Runs outlive their scheduler: each has a supervisor of its own, and the next scheduler adopts them.
KillMode=process
# A task that takes all memory is killed, and nothing else.
OOMPolicy=continue

# What no task needs. Not here, since tasks are your code and do what you can do: whatever hides devices (GPUs), homes,
# other file systems or /tmp (data, caches, what a run that goes on has there), forbids code made at run time (numba,
# torch.compile) or namespaces (containers, browsers that draw plots), or refuses setgid folders (shared caches).
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_IB AF_SMC AF_VSOCK
SystemCallArchitectures=native
SystemCallFilter=~@clock @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
""")


@dataclass(frozen=True, slots=True)
class Installed:
    """A unit that was written.

    Attributes:
        changed: Whether it was not there, or another one.
        environment_file: Where systemd reads more variables from; for the user to make.
        next_commands: What to type next.
    """

    path: Path
    text: str
    changed: bool
    environment_file: Path
    next_commands: tuple[str, ...]


def unit_name(project: str, root: Path) -> str:
    """`kit-flights-1a2b3c4d.service`: two projects of one name are told apart by their folders."""
    slug = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")[:40] or "project"
    return f"kit-{slug}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}.service"


def unit_text(
    name: str, *, project: str, root: Path, python: Path, path: str, environment_file: Path, umask: int
) -> str:
    """The unit.

    Args:
        name: The unit's.
        project: The project's.
        python: The interpreter that has kit.
        path: `PATH` for the scheduler and its tasks.

    Raises:
        UserError: If a path cannot be written in a unit file.
    """
    check_fit(str(root), path, str(environment_file), program=str(python))
    return _UNIT.substitute(
        name=name.removesuffix(".service"),
        project=plain(project),
        root=plain(str(root)),
        python=quoted(str(python)),
        path=quoted(f"PATH={path}"),
        environment_file=plain(str(environment_file)),
        umask=f"{umask:04o}",
    )


def check_fit(*values: str, program: str) -> None:
    """Whether a unit file can hold them.

    Raises:
        UserError: If it cannot.
    """
    for value in (*values, program):
        if _UNFIT.search(value) or (value == program and _UNFIT_PROGRAM.search(value)):
            raise UserError(
                "systemd takes no path with control characters, or a blank or backslash at its end, and no program "
                "with quotes or backslashes",
                where=ascii(value),
                fix="Give the folder another name.",
            )


def plain(value: str) -> str:
    """As a unit file's value that is one path, or words for people."""
    return value.replace("%", "%%")  # else a specifier


def quoted(value: str) -> str:
    """As one word of a unit file's value."""
    return '"' + plain(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def install(project: Project, *, home: Path | None = None, booted: Path = _BOOTED) -> Installed:
    """Write a user unit for the project's scheduler; systemd itself is not touched.

    The unit has this process's interpreter, `PATH` and umask.

    Args:
        home: The user's; None asks the system. `XDG_CONFIG_HOME` wins over it.
        booted: What is there if systemd runs this machine.

    Raises:
        HostError: Without systemd, or if the file cannot be written.
        UserError: If a path cannot be written in a unit file.
    """
    if not booted.is_dir():
        raise HostError(
            "systemd does not run this machine",
            where=str(booted),
            fix="Have cron do what is due (`kit scheduler --once`), or whatever supervises here run `kit scheduler`.",
        )
    config = Path(os.environ.get("XDG_CONFIG_HOME") or (home or Path.home()) / ".config")
    name = unit_name(project.name, project.root)
    environment_file = config / "kit" / f"{name.removesuffix('.service')}.env"
    text = unit_text(
        name,
        project=project.name,
        root=project.root,
        python=Path(sys.executable),
        path=search_path(),
        environment_file=environment_file,
        umask=_umask(),
    )
    path = config / "systemd" / "user" / name
    try:
        before = path.read_text("utf-8", "replace") if path.exists() else None
        if before != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text, mode=0o644)
    except OSError as error:
        raise from_os_error(error) from error
    start = f"systemctl --user enable --now {name}"
    restart = [f"systemctl --user restart {name}"] if before not in {None, text} else []
    commands = ("systemctl --user daemon-reload", start, *restart, "loginctl enable-linger")
    return Installed(path, text, before != text, environment_file, commands)


def search_path() -> str:
    """Where this environment's programs are, then where this shell's are; relative folders mean nothing there."""
    folders = [str(Path(sys.executable).parent), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    return os.pathsep.join(dict.fromkeys(folder for folder in folders if Path(folder).is_absolute()))


def _umask() -> int:
    current = os.umask(0o077)  # the one way to read it
    os.umask(current)
    return current


def notify(state: str) -> bool:
    """Tell systemd how this service stands, as sd_notify(3): `READY=1`, `WATCHDOG=1`, `STOPPING=1`.

    Returns:
        Whether systemd could be told; False, too, where it did not ask.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # a name without a file
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.sendto(state.encode(), address)
    except OSError:
        return False
    return True
