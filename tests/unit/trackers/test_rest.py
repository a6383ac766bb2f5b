"""Which servers are asked without MLflow, as whom, and how often."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kit.models import MetricPoint
from kit.trackers import _rest
from kit.trackers._rest import RestError, RestService, is_plain

VARIABLES = (*_rest._SPECIAL, "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "NETRC")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_rest, "_PAUSES", (0.0, 0.0))


class Scripted(ThreadingHTTPServer):
    """Answers as it is told, one request after the other, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[tuple[int, object]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.over = threading.Event()
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers.items()), body))
        if not self.server.script:  # it has nothing to say
            self.server.over.wait()
            return
        status, answer = self.server.script.pop(0)
        said = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = _do  # noqa: N815 - the names that they must have

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.over.set()
        made.shutdown()


@pytest.mark.parametrize("uri", ["http://mlflow:5000", "https://mlflow.example.com/base/", "http://me:secret@10.0.0.1"])
def test_a_plain_server_is_asked_directly(uri: str) -> None:
    assert is_plain(uri)


@pytest.mark.parametrize(
    "uri", ["sqlite:///mlflow.db", "databricks", "databricks://profile", "file:///x", "", "http://"]
)
def test_what_is_no_plain_server_is_left_to_mlflow(uri: str) -> None:
    assert not is_plain(uri)


@pytest.mark.parametrize("name", [*_rest._SPECIAL, "http_proxy", "HTTP_PROXY", "all_proxy"])
def test_so_is_one_that_needs_more(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://proxy:3128")
    assert not is_plain("http://mlflow:5000")


def test_so_is_one_whose_login_lies_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine mlflow login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not is_plain("http://mlflow:5000")
    assert is_plain("http://other:5000")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").touch()
    assert not is_plain("http://other:5000")


@pytest.mark.parametrize(
    ("variables", "login", "expected"),
    [
        ({}, "", None),
        ({"MLFLOW_TRACKING_TOKEN": "abc"}, "", "Bearer abc"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "p"}, "", "Basic bWU6cA=="),
        ({"MLFLOW_TRACKING_TOKEN": "abc"}, "me:p%21@", "Basic bWU6cCE="),
    ],
)
def test_it_is_asked_as_who_one_is(
    monkeypatch: pytest.MonkeyPatch, server: Scripted, variables: dict[str, str], login: str, expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    server.script = [(200, {})]
    RestService(server.uri.replace("http://", f"http://{login}")).set_tags("r1", {"a": "1"})
    assert server.asked[0][2].get("Authorization") == expected


def test_a_server_may_lie_below_another_path(server: Scripted) -> None:
    server.script = [(200, {})]
    RestService(f"{server.uri}/tools/mlflow/").delete_run("r1")
    assert server.asked[0][1] == "/tools/mlflow/api/2.0/mlflow/runs/delete"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_asked_again_a_few_times(server: Scripted, status: int) -> None:
    service = RestService(server.uri)
    server.script = [(status, "busy"), (status, "busy"), (200, {})]
    service.log_metrics("r1", [MetricPoint("loss", 0.5, 1, 1.25)])
    assert len({body for _, _, _, body in server.asked}) == 1
    sent = json.loads(server.asked[0][3])
    assert sent == {"run_id": "r1", "metrics": [{"key": "loss", "value": 0.5, "timestamp": 1250, "step": 1}]}
    server.script = [(status, "busy")] * 3
    with pytest.raises(RestError, match=f"HTTP {status}"):
        service.log_metrics("r1", [])
    assert server.script == []


def test_a_run_is_never_begun_twice(server: Scripted) -> None:
    server.script = [(503, "busy"), (200, {"run": {"info": {"run_id": "r1"}}})]
    with pytest.raises(RestError, match="503"):
        RestService(server.uri).create_run("0", "x", {})
    assert len(server.asked) == 1


def test_what_does_not_answer_is_waited_for_once(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "0.2")
    with pytest.raises(TimeoutError):
        RestService(server.uri).set_tags("r1", {})
    assert len(server.asked) == 1


def test_what_is_refused_is_not_asked_again(server: Scripted) -> None:
    server.script = [(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "no"})]
    with pytest.raises(RestError, match="no") as caught:
        RestService(server.uri).log_params("r1", {"a": "1"})
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert server.script == []


def test_every_piece_of_a_file_is_heard_of(server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(1 << 20))
    heard: list[int] = []
    service = RestService(server.uri)
    service.heard = lambda: heard.append(1)
    server.script = [(200, {"run": {"info": {"artifact_uri": "mlflow-artifacts:/1/r1/artifacts"}}}), (200, {})]
    service.log_artifact("r1", tmp_path / "model.bin", "models/my model.bin")
    verb, path, headers, body = server.asked[1]
    assert (verb, path) == ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/r1/artifacts/models/my%20model.bin")
    assert (headers["Content-Length"], len(body)) == (str(1 << 20), 1 << 20)
    assert len(heard) > 10
