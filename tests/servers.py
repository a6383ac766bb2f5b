"""Real servers for tests: MLflow, S3, SSH; and real proxies before them that do what servers do on bad days."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self

import pytest

from tests.support import closed_port, until

__all__ = ["S3", "Behaviour", "Proxy", "Server", "Ssh", "Wire", "ended", "mlflow_server", "s3_server", "ssh_server"]

Behaviour = Literal["pass", "500", "429", "silent", "lost", "hang up"]
"""What becomes of a request. `silent`: it is taken, and answered two minutes later at the earliest. `lost`: the server
does what it was asked, and nobody hears of it. `hang up`: as from a server that dies."""


@dataclass(frozen=True, slots=True)
class Server:
    """An MLflow server, its database and its artifacts."""

    uri: str
    folder: Path

    def artifacts_of(self, mlflow_run_id: str) -> dict[str, bytes]:
        found = next(self.folder.glob(f"artifacts/*/{mlflow_run_id}/artifacts"), None)
        files = [] if found is None else [path for path in found.rglob("*") if path.is_file()]
        return {path.relative_to(found).as_posix(): path.read_bytes() for path in files if found is not None}


@contextlib.contextmanager
def mlflow_server(
    folder: Path,
    *,
    fresh: bytes | None = None,
    port: int | None = None,
    store: str | None = None,
    artifacts: str | None = None,
    options: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Serve what lies in `folder`, or elsewhere.

    Args:
        fresh: A database that has its tables, which takes seconds to make.
        store: A database instead of a file in `folder`.
        artifacts: A place instead of one in `folder`.
        options: More of the command's.
        env: More variables.
    """
    port = port or closed_port()
    if fresh is not None and not (folder / "mlflow.db").exists():
        (folder / "mlflow.db").write_bytes(fresh)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", store or f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", artifacts or str(folder / "artifacts"), *options),
    ]
    with ended(command, folder / "server.log", cwd=folder, env=_calm() | dict(env or {})) as process:
        uri = f"http://127.0.0.1:{port}"
        until(lambda: _is_up(uri) or process.poll() is not None, "the server")
        assert process.poll() is None, (folder / "server.log").read_text()
        yield Server(uri, folder)


@contextlib.contextmanager
def ended(
    command: list[str], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed with its whole group."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, env=env
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _calm() -> dict[str, str]:
    return os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _is_up(uri: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{uri}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


class Proxy:
    """Hands requests on to a server, or not, as `behaves` says of each: its path, and how many came before it.

    Attributes:
        seen: The requests that came, and what became of each.
        answered: How many were answered.
    """

    def __init__(self, server: str, *, port: int = 0) -> None:
        self.behaves: Callable[[str, int], Behaviour] = lambda _path, _before: "pass"
        self.seen: list[tuple[str, Behaviour]] = []
        self.answered = 0
        self.closing = threading.Event()
        self._upstream = server.removeprefix("http://")
        self._http = _HttpServer(("127.0.0.1", port), _Handler)
        self._http.proxy = self
        self.uri = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def always(self, behaviour: Behaviour) -> None:
        self.behaves = lambda _path, _before: behaviour

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        with contextlib.closing(http.client.HTTPConnection(self._upstream, timeout=60)) as upstream:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            upstream.request(request.command, request.path, body, headers)
            answer = upstream.getresponse()
            return answer.status, answer.getheader("Content-Type") or "text/plain", answer.read()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy = self.server.proxy
        behaviour = proxy.behaves(self.path, len(proxy.seen))
        proxy.seen.append((self.path, behaviour))
        with contextlib.suppress(OSError):
            self._behave(proxy, behaviour, body)

    def _behave(self, proxy: Proxy, behaviour: Behaviour, body: bytes) -> None:
        if behaviour == "silent":
            proxy.closing.wait(120)
        if behaviour in {"500", "429"}:
            self._answer(int(behaviour), "text/plain", b"not now")
        elif behaviour == "hang up":
            self._hang_up()
        else:
            answer = proxy.forward(self, body)
            if behaviour == "lost":
                self._hang_up()
            else:
                self._answer(*answer)
                proxy.answered += 1

    def _answer(self, status: int, kind: str, said: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815 - the names that they must have

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@dataclass(frozen=True, slots=True)
class S3:
    """SeaweedFS, which checks signatures, with one user who may do everything."""

    uri: str
    key: str
    secret: str

    @property
    def variables(self) -> dict[str, str]:
        """What lets a process in."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.uri,
            "MLFLOW_S3_ENDPOINT_URL": self.uri,
            # Nobody asks a cloud's machines who this is.
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        import boto3

        login = {"aws_access_key_id": self.key, "aws_secret_access_key": self.secret}
        return boto3.client("s3", endpoint_url=self.uri, region_name="us-east-1", **login)

    def bucket(self, name: str) -> str:
        """A new one."""
        self.client().create_bucket(Bucket=name)
        return name

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@contextlib.contextmanager
def s3_server(folder: Path, *, key: str = "kit-tests", secret: str = "open-sesame-and-more") -> Iterator[S3]:
    """An S3 server on ports of its own."""
    weed = Path(sys.executable).with_name("weed")
    identity = {"name": "kit", "credentials": [{"accessKey": key, "secretKey": secret}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir(exist_ok=True)
    names = ("master", "volume", "filer", "s3")
    ports = {f"-{name}.port{kind}": closed_port() for name in names for kind in ("", ".grpc")}
    ports |= {option: closed_port() for option in ("-s3.port.iceberg", "-s3.port.lance", "-metricsPort")}
    command = [
        *(str(weed), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}/data", "-filer", "-s3"),
        *(f"-s3.config={folder}/s3.json", "-volume.max=0", "-master.volumeSizeLimitMB=64"),
        *(f"{option}={port}" for option, port in ports.items()),
    ]
    server = S3(f"http://127.0.0.1:{ports['-s3.port']}", key, secret)
    with ended(command, folder / "weed.log", cwd=folder) as process:
        until(lambda: _takes(server) or process.poll() is not None, "the S3 server")
        assert process.poll() is None, (folder / "weed.log").read_text()
        yield server


def _takes(server: S3) -> bool:
    """Whether it keeps what it is given: it answers a while before that."""
    from botocore.exceptions import BotoCoreError, ClientError

    with contextlib.suppress(BotoCoreError, ClientError):
        if "ready" not in {found["Name"] for found in server.client().list_buckets()["Buckets"]}:
            server.bucket("ready")
        server.client().put_object(Bucket="ready", Key="one", Body=b"1")
        return True
    return False


@dataclass(frozen=True, slots=True)
class Ssh:
    """Debian's sshd, which lets this user in by a key."""

    port: int
    user: str
    key: Path
    host_key: str


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[Ssh]:
    """An sshd on a port of its own; as root, since OpenSSH's own folder is root's."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(sshd).exists():
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(keygen, check=True, capture_output=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    port = closed_port()
    lines = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host", "PidFile": folder / "sshd.pid",
        "AuthorizedKeysFile": folder / "authorized", "StrictModes": "no", "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no", "UsePAM": "no", "PermitRootLogin": "yes",
        "Subsystem": "sftp internal-sftp",
    }  # fmt: skip
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    with ended([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], folder / "sshd.log", cwd=folder) as process:
        until(lambda: _listens(port) or process.poll() is not None, "sshd")
        assert process.poll() is None, (folder / "sshd.log").read_text()
        host_key = f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}"
        yield Ssh(port, getpass.getuser(), folder / "user", host_key)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


class Wire:
    """Carries bytes to a server and back, until told otherwise: below HTTP, where nobody says why.

    Attributes:
        state: `stalls`: it takes what comes and hands nothing on. `resets`: connections end with a reset.
        carried: Bytes that came from clients.
    """

    def __init__(self, server: str) -> None:
        self.state: Literal["carries", "stalls", "resets"] = "carries"
        self.carried = 0
        self.lead_to(server)
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.close()

    def lead_to(self, server: str) -> None:
        """Carry what comes from now on to this one."""
        host, _, port = server.removeprefix("http://").partition(":")
        self._server = (host, int(port))

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._server) as server:
            ends = {client: server, server: client}
            while not self._closing.is_set():
                for end in select.select(list(ends), [], [], 0.1)[0]:
                    data = end.recv(1 << 16)
                    self.carried += len(data) if end is client else 0
                    if not data or self.state == "resets":
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    if self.state == "carries":
                        ends[end].sendall(data)
