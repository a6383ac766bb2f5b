"""The compose file, and the image that all but PostgreSQL run in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from kit.stack._parts import IMAGES, USER, Layout, Part, parts

__all__ = ["DOCKERFILE", "compose", "layout"]

DOCKERFILE = f"""\
# Written by `kit stack up`, which overwrites it.
FROM {IMAGES["python"]}
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir -r /tmp/requirements.txt && useradd --create-home --uid 1000 stack
COPY prepare.py auth.ini /stack/
USER stack
"""
_HEALTH = {"interval": "5s", "timeout": "5s", "retries": 24}
_PORTS = ("postgres", "s3", "mlflow")


def layout(name: str) -> Layout:
    """Each part is reached by its own name; what is kept lies in volumes."""
    hosts = {part: part for part in _PORTS}
    return Layout("", "", PurePosixPath("/stack"), PurePosixPath("/data"), "0.0.0.0", hosts, name)  # noqa: S104


def compose(place: Layout, *, bind: str, project: str | None) -> str:
    """The file.

    Args:
        bind: The address of this machine that the ports are opened on.
        project: The folder of the project whose scheduler runs here, too.
    """
    services = {
        part.name: _service(part, place, bind) for part in parts(place, None if project is None else "/project")
    }
    if project is not None:
        services["scheduler"] |= {
            "volumes": [f"{project}:/project", "environment:/environment"],
            "working_dir": "/project",
        }
        services["scheduler"]["environment"]["UV_PROJECT_ENVIRONMENT"] = "/environment/venv"
    volumes = ["postgres", "s3", *([] if project is None else ["environment"])]
    document = {"name": "kit-stack", "services": services, "volumes": {volume: {} for volume in volumes}}
    head = "# Written by `kit stack up`, which overwrites it; the secrets are in .env, which it never does.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=120)


def _service(part: Part, place: Layout, bind: str) -> dict[str, Any]:
    service: dict[str, Any] = {"restart": "no" if part.once else "unless-stopped"}
    if part.name == "postgres":
        service |= _postgres(place)
    else:
        service |= {"build": ".", "image": "kit-stack", "command": list(part.argv), "init": True}
        service["environment"] = _environment(part)
    if part.name == "s3":
        service["volumes"] = ["s3:/data/s3"]
        service["user"] = "root"  # a volume is root's when it is made
    if part.after:
        service["depends_on"] = {name: {"condition": _condition(name)} for name in part.after}
    if part.name in place.ports:
        port = place.ports[part.name]
        service["ports"] = [f"{bind}:{port}:{port}"]
    return service


def _postgres(place: Layout) -> dict[str, Any]:
    """The image has words of its own for where it listens and whom it lets in: by password, and nobody else."""
    return {
        "image": IMAGES["postgres"],
        "command": ["postgres", "-p", str(place.ports["postgres"])],
        "environment": {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": _secret("PGPASSWORD"), "PGDATA": "/data/postgres"},
        "volumes": ["postgres:/data"],
        "shm_size": "128mb",
        "healthcheck": {"test": ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", USER]} | _HEALTH,
    }


def _environment(part: Part) -> dict[str, str]:
    # Compose would take a `$` in a value for a variable of its own.
    plain = {name: value.replace("$", "$$") for name, value in part.variables.items()}
    return plain | {name: _secret(source) for name, source in part.secrets.items()}


def _secret(name: str) -> str:
    """From .env; without it nothing starts, rather than with none."""
    return f"${{{name}:?see .env}}"


def _condition(name: str) -> str:
    conditions: Mapping[str, str] = {"postgres": "service_healthy", "prepare": "service_completed_successfully"}
    return conditions.get(name, "service_started")
