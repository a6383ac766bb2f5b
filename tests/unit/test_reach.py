"""Whether MLflow and DVC's remote answer: asked of real files, servers and ports."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kit import _reach
from kit._reach import Answer, ask, dvc_remote, tracking
from tests.conftest import write
from tests.support import closed_port


class _Server(BaseHTTPRequestHandler):
    """Answers `/500/health` with 500."""

    def do_GET(self) -> None:
        code = int(self.path.split("/")[1])
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


# MLflow


def test_a_file_that_is_not_there_is_made_by_the_first_run(tmp_path: Path) -> None:
    assert tracking(f"sqlite:///{tmp_path}/mlflow.db") == Answer(ok=True, what="mlflow.db is made by the first run")


def test_a_file_that_cannot_be_made_is_none(tmp_path: Path) -> None:
    found = tracking(f"sqlite:///{tmp_path}/nowhere/mlflow.db")
    assert not found.ok
    assert found.fix is not None


def test_a_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "odd name?#%.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE runs (id)")
    good = tmp_path / "mlflow.db"
    path.rename(good)
    assert tracking(f"sqlite:///{good}").ok
    good.write_bytes(b"no database at all, but long enough to have a header")
    found = tracking(f"sqlite:///{good}")
    assert (found.ok, "not a database" in found.what) == (False, True)


@pytest.mark.parametrize("code", [200, 302, 401, 403, 404])
def test_a_server_that_says_anything_is_there(server: str, code: int) -> None:
    """It may want to know who asks, or be older than this page."""
    assert tracking(f"http://{server}/{code}") == Answer(ok=True, what=f"http://{server}/{code} answers")


@pytest.mark.parametrize("code", [500, 503, 407])
def test_a_server_that_is_in_trouble_is_not(server: str, code: int) -> None:
    found = tracking(f"http://{server}/{code}")
    assert not found.ok
    assert str(code) in found.what


def test_a_port_that_nobody_listens_on_is_not() -> None:
    found = tracking(f"http://user:hunter22secret@127.0.0.1:{closed_port()}")
    assert not found.ok
    assert found.what.endswith("does not answer: Connection refused")
    assert "hunter22secret" not in found.what


def test_a_name_and_a_password_are_not_part_of_the_host(server: str) -> None:
    found = tracking(f"http://user:hunter22secret@{server}/200")
    assert found.ok
    assert "hunter22secret" not in found.what


def test_who_says_nothing_is_not_waited_for(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reach, "_PATIENCE", 0.2)
    found = tracking(f"http://{silent}")
    assert not found.ok
    assert "nothing for" in found.what


@pytest.mark.parametrize("uri", ["http://", "http://[", "http://127.0.0.1:99999", "https://127.0.0.1:0"])
def test_a_uri_that_is_none_does_not_answer(uri: str) -> None:
    assert not tracking(uri).ok


def test_a_bundle_of_certificates_that_is_not_there_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere/ca.pem")
    assert not tracking("https://127.0.0.1:1").ok


def test_a_database_is_called(silent: str) -> None:
    assert tracking(f"postgresql+psycopg2://user:pw@{silent}/mlflow").ok
    found = tracking(f"mysql://user:hunter22secret@127.0.0.1:{closed_port()}/mlflow")
    assert not found.ok
    assert "hunter22secret" not in found.what


@pytest.mark.parametrize("uri", ["databricks", "databricks://profile", "uc:http://127.0.0.1"])
def test_what_cannot_be_asked_is_taken_for_well(uri: str) -> None:
    found = tracking(uri)
    assert found.ok
    assert "cannot be checked" in found.what


def test_who_does_not_answer_in_time_has_not_answered() -> None:
    never = threading.Event()

    def question() -> Answer:
        never.wait(60)
        return Answer(ok=True, what="")

    found = ask(question, patience=0.05)()
    never.set()
    assert not found.ok


# DVC


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".git").mkdir()
    return root


def configure(root: Path, url: str, *, local: str | None = None) -> None:
    """As `dvc remote add --default store URL` writes it."""
    write(root, {".dvc/config": f"[core]\n    remote = store\n['remote \"store\"']\n    url = {url}\n"})
    if local is not None:
        write(root, {".dvc/config.local": f"['remote \"store\"']\n    url = {local}\n    password = hunter22secret\n"})


def test_a_project_may_have_no_dvc_and_no_remote(tmp_path: Path, repository: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ".git").mkdir(parents=True)
    assert dvc_remote(elsewhere) == Answer(ok=True, what="DVC is not used here")
    assert dvc_remote(repository).what == "no default DVC remote: the data is on this machine only"
    write(repository, {".dvc/config": "[core]\n    analytics = false\n"})
    assert dvc_remote(repository).ok


def test_a_folder_is_relative_to_dvcs_own(repository: Path) -> None:
    configure(repository, "../.dvc-storage")
    assert dvc_remote(repository).what == "store (.dvc-storage) is made by the first `dvc push`"
    (repository / ".dvc-storage").mkdir()
    assert dvc_remote(repository) == Answer(ok=True, what="store (.dvc-storage) can be used")


def test_a_folder_elsewhere_must_be_there(repository: Path, tmp_path: Path) -> None:
    configure(repository, f"{tmp_path}/nas/store")
    found = dvc_remote(repository)
    assert (found.ok, found.what) == (False, f"store ({tmp_path}/nas/store) is not there")
    (tmp_path / "nas" / "store").mkdir(parents=True)
    assert dvc_remote(repository).ok
    configure(repository, f"file://{tmp_path}/nas/store")
    assert dvc_remote(repository).ok
    (tmp_path / "nas" / "store").rmdir()
    (tmp_path / "nas" / "store").write_text("")
    assert not dvc_remote(repository).ok


def test_the_local_config_has_the_last_word(repository: Path, server: str, tmp_path: Path) -> None:
    configure(repository, "/nowhere/at/all", local=f"http://{server}/404")
    assert dvc_remote(repository) == Answer(ok=True, what=f"http://{server}/404 answers")
    configure(repository, str(tmp_path), local=f"https://127.0.0.1:{closed_port()}/x")
    found = dvc_remote(repository)
    assert not found.ok
    assert "Connection refused" in found.what


def test_a_default_without_a_section_and_a_file_that_is_none_are_told_of(repository: Path) -> None:
    write(repository, {".dvc/config": "[core]\n    remote = gone\n"})
    assert dvc_remote(repository).what == "the default DVC remote 'gone' has no URL"
    write(repository, {".dvc/config": "[[[\n"})
    found = dvc_remote(repository)
    assert (found.ok, found.fix) == (False, "Mend .dvc/config.")


def test_another_kind_of_place_is_asked_by_dvc(repository: Path) -> None:
    """Its own words: here, that it lacks what it takes to talk to it."""
    configure(repository, "hdfs://127.0.0.1:1/store")
    write(repository, {".dvc/.gitignore": "/config.local\n/tmp\n/cache\n"})
    found = dvc_remote(repository)
    assert not found.ok
    assert found.what.startswith("store: ")
    assert "hdfs" in found.what
