"""A real MLflow server for tests, and a real proxy before it that does what servers do on bad days."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal, Self

from tests.support import closed_port, until

__all__ = ["Behaviour", "Proxy", "Server", "mlflow_server"]

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
def mlflow_server(folder: Path, *, fresh: bytes | None = None, port: int | None = None) -> Iterator[Server]:
    """Serve what lies in `folder`; `fresh` is a database that has its tables, which takes seconds to make."""
    port = port or closed_port()
    if fresh is not None and not (folder / "mlflow.db").exists():
        (folder / "mlflow.db").write_bytes(fresh)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")),
    ]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True, env=_calm())
    try:
        uri = f"http://127.0.0.1:{port}"
        until(lambda: _is_up(uri) or process.poll() is not None, "the server")
        assert process.poll() is None, (folder / "server.log").read_text()
        yield Server(uri, folder)
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
