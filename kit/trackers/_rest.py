"""The way to a plain MLflow server over its documented REST API, without loading MLflow.

Loading MLflow takes a second and more; this module takes hundredths. What it asks goes by one connection and one
thread, is asked again a few times where that may help and cannot do anything twice, and never waits without a bound.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

import msgspec

from kit.models import MetricPoint
from kit.snapshot import DataVersion
from kit.trackers.service import Opened

__all__ = ["RestError", "RestService", "is_plain", "login", "trusted"]

_PATIENCE = 5.0
"""Seconds."""
_PAUSES = (0.3, 1.0)
"""Seconds before it is asked once more."""
_TIMEOUT = 20.0
_PASSING = {429, 500, 502, 503, 504}
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
# Each makes MLflow's client do more than is done here.
_SPECIAL = (
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_WORKSPACE",
)
_PLUGINS = ("mlflow.request_header_provider", "mlflow.request_auth_provider")


class RestError(Exception):
    """What the server said, and MLflow's word for it, if it gave one."""

    def __init__(self, said: str, error_code: str | None = None) -> None:
        super().__init__(said)
        self.error_code = error_code


def is_plain(uri: str) -> bool:
    """Whether the server needs nothing that only MLflow's own client can do: proxies, certificates, other logins."""
    address = urlsplit(uri)
    if address.scheme not in {"http", "https"} or not address.hostname or any(map(os.environ.get, _SPECIAL)):
        return False
    home = Path.home()
    if (home / ".mlflow" / "credentials").exists() or _is_in_netrc(address.hostname):
        return False
    return not _has_proxy(address) and not any(entry_points(group=group) for group in _PLUGINS)


def _is_in_netrc(host: str) -> bool:
    with contextlib.suppress(OSError):
        return host in Path(os.environ.get("NETRC") or Path.home() / ".netrc").read_text(errors="replace")
    return False


def _has_proxy(address: SplitResult) -> bool:
    names = (f"{address.scheme}_proxy", "all_proxy")
    return any(os.environ.get(name) or os.environ.get(name.upper()) for name in names)


class RestService:
    """A `Service` of one server; safe to use from any thread, one request at a time."""

    def __init__(self, uri: str) -> None:
        self._connection: http.client.HTTPConnection | None = None
        self.patience: float | None = _PATIENCE
        self.heard: Callable[[], None] = lambda: None
        self._address = urlsplit(uri)
        self._root = self._address.path.rstrip("/")
        self._timeout = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") or _TIMEOUT)
        self._headers = {"Content-Type": "application/json", "User-Agent": "kit"} | login(self._address)
        self._artifact_roots: dict[str, str] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def experiment(self, name: str) -> str:
        for _ in range(2):
            with contextlib.suppress(_Missing):
                return str(self._get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"])
            try:
                return str(self._post("experiments/create", name=name)["experiment_id"])
            except RestError as error:  # somebody else was quicker, or the answer was lost
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        raise RestError(f"there is an experiment {name!r} that cannot be found")

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        # Asked once: a second time would make a second run. Who does so again looks first whether it is there.
        made = self._post(
            "runs/create",
            once=True,
            experiment_id=experiment_id,
            user_id="unknown",
            run_name=name,
            start_time=_now(),
            tags=_pairs(tags),
        )
        return str(made["run"]["info"]["run_id"])

    def made(self, run_id: str) -> None:
        """It has nothing of MLflow's."""

    def tagged(self, experiment_id: str, key: str, value: str) -> list[str]:
        found = self._post(
            "runs/search",
            experiment_ids=[experiment_id],
            filter=f"tags.`{key}` = '{value}'",
            order_by=["attributes.start_time ASC"],
            max_results=100,
        )
        return [str(run["info"]["run_id"]) for run in found.get("runs", [])]

    def opened(self, run_id: str) -> Opened:
        run = self._get("runs/get", run_id=run_id)["run"]
        return str(run["info"]["experiment_id"]), {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}

    def set_status(self, run_id: str, status: str) -> None:
        ended: dict[str, Any] = {} if status == "RUNNING" else {"end_time": _now()}
        self._post("runs/update", run_id=run_id, status=status, **ended)

    def delete_run(self, run_id: str) -> None:
        self._post("runs/delete", run_id=run_id)

    def delete_tag(self, run_id: str, key: str) -> None:
        with contextlib.suppress(_Missing):
            self._post("runs/delete-tag", run_id=run_id, key=key)

    def log_inputs(self, run_id: str, data: Sequence[DataVersion]) -> None:
        datasets = [
            {
                "tags": _pairs({"mlflow.data.context": "input", "workspace": version.state}),
                "dataset": {
                    "name": version.path,
                    "digest": version.used,
                    "source_type": "dvc",
                    "source": version.source,
                },
            }
            for version in data
        ]
        self._post("runs/log-inputs", run_id=run_id, datasets=datasets)

    def log_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        metrics = [
            {"key": each.key, "value": each.value, "timestamp": round(each.timestamp * 1000), "step": each.step}
            for each in points
        ]
        self._post("runs/log-batch", run_id=run_id, metrics=metrics)

    def log_params(self, run_id: str, values: Mapping[str, str]) -> None:
        self._post("runs/log-batch", run_id=run_id, params=_pairs(values))

    def set_tags(self, run_id: str, values: Mapping[str, str]) -> None:
        self._post("runs/log-batch", run_id=run_id, tags=_pairs(values))

    def log_artifact(self, run_id: str, path: Path, name: str) -> None:
        root = self._artifact_roots.get(run_id)
        if root is None:
            root = self._artifact_roots[run_id] = str(
                self._get("runs/get", run_id=run_id)["run"]["info"]["artifact_uri"]
            )
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        for file in files:
            inner = file.relative_to(path).as_posix() if path.is_dir() else ""
            self._upload(file, root, f"{name}/{inner}".rstrip("/"))

    def _upload(self, file: Path, root: str, name: str) -> None:
        if not root.startswith("mlflow-artifacts:"):
            _upload_past_the_server(file, root, name)
            return
        target = f"{_ARTIFACTS}/{urlsplit(root).path.strip('/')}/{name}"

        def put() -> bytes:
            with file.open("rb") as content:
                size = os.fstat(content.fileno()).st_size
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
                return self._ask("PUT", quote(target), _Heard(content, self.heard), headers)

        _patiently(put)

    def _get(self, method: str, **query: str) -> Any:  # noqa: ANN401 - as the server says
        return self._call("GET", f"{_API}/{method}?{urlencode(query)}", None)

    def _post(self, method: str, *, once: bool = False, **body: Any) -> Any:  # noqa: ANN401
        return self._call("POST", f"{_API}/{method}", msgspec.json.encode(body), once=once)

    def _call(self, verb: str, target: str, body: bytes | None, *, once: bool = False) -> Any:  # noqa: ANN401
        def ask() -> bytes:
            return self._ask(verb, target, body, {})

        return msgspec.json.decode((ask() if once else _patiently(ask)) or b"{}")

    def _ask(self, verb: str, target: str, body: bytes | _Heard | None, headers: Mapping[str, str]) -> bytes:
        with self._lock:
            connection = self._connected()
            try:
                connection.request(verb, self._root + target, body, self._headers | dict(headers))
                answer = connection.getresponse()
                said = answer.read()
            except BaseException:
                self._hang_up()  # what comes on it now would be the answer to something else
                raise
            if answer.will_close:
                self._hang_up()
        self.heard()
        if answer.status != 200:
            raise _refusal(answer.status, answer.reason, said)
        return said

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None or self._pid != os.getpid():  # a process that was forked has none of its own
            host, port = self._address.hostname or "", self._address.port
            if self._address.scheme == "https":
                self._connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=trusted())
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
            self._pid = os.getpid()
        return self._connection

    def __del__(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _patiently(ask: Callable[[], bytes]) -> bytes:
    for pause in _PAUSES:
        try:
            return ask()
        except TimeoutError:  # it was waited for long enough
            raise
        except (OSError, http.client.HTTPException, _Passing):
            time.sleep(pause)
    return ask()


class _Passing(RestError):
    """The server is busy, or in trouble."""


class _Missing(RestError):
    """There is no such thing."""


class _Heard:
    """A file that tells whenever a piece of it was taken."""

    def __init__(self, file: IO[bytes], heard: Callable[[], None]) -> None:
        self._file = file
        self._heard = heard

    def read(self, size: int = -1) -> bytes:
        self._heard()
        return self._file.read(size)


def _refusal(status: int, reason: str, said: bytes) -> RestError:
    code: str | None = None
    message = said[:300].decode(errors="replace")
    with contextlib.suppress(msgspec.DecodeError, AttributeError):
        told = msgspec.json.decode(said)
        code, message = told.get("error_code"), told.get("message", message)
    what = f"HTTP {status} {reason}: {message}"
    if status in _PASSING:
        return _Passing(what, code if status not in {429, 503} else None)
    if code == "RESOURCE_DOES_NOT_EXIST":
        return _Missing(what, code)
    return RestError(what, "BAD_REQUEST" if status == 413 else code)


def login(address: SplitResult) -> dict[str, str]:
    """The header that says who asks: by the address, else by the environment; nothing if neither names anybody."""
    name = address.username and unquote(address.username)
    password = address.password and unquote(address.password)
    name = name or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = password or os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if name and password:
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def trusted() -> ssl.SSLContext:
    """What MLflow's client trusts."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if named:
        is_folder = Path(named).is_dir()
        return ssl.create_default_context(cafile=None if is_folder else named, capath=named if is_folder else None)
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _upload_past_the_server(file: Path, root: str, name: str) -> None:
    """To where the server says that artifacts are: MLflow knows how."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    folder, _, last = name.rpartition("/")
    if last != file.name:
        with _renamed(file, last) as renamed:
            get_artifact_repository(root).log_artifact(str(renamed), folder or None)
    else:
        get_artifact_repository(root).log_artifact(str(file), folder or None)


@contextlib.contextmanager
def _renamed(file: Path, name: str) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        link = Path(folder, name)
        link.symlink_to(file.resolve())
        yield link


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now() -> int:
    return round(time.time() * 1000)
