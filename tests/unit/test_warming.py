"""What a forkserver does ahead: both databases are as before, and their statements are known afterwards."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.sql import compiler

from kit import warming
from kit.project import Project, open_project
from kit.stores.base import RunQuery
from kit.trackers.mlflow import client_of
from tests import factories
from tests.support import new_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One with a run in kit's store, and one in MLflow's."""
    opened = open_project(new_project(tmp_path / "tiny"))
    opened.store.create(factories.spec(), factories.record())
    client = client_of(opened.tracking_uri, locks=opened.paths.locks)
    client.create_run(client.create_experiment("tiny/baseline"), run_name="first")
    return opened


def content(folder: Path) -> dict[str, str]:
    """What lies there, but for what SQLite makes where somebody reads: shared memory, and a log with nothing in it."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    files = [path for path in files if path.stat().st_size or not path.name.endswith("-wal")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_nothing_is_changed_and_no_connection_is_left(project: Project) -> None:
    before, threads = content(project.root), threading.active_count()
    warming.warm(project.root)
    assert content(project.root) == before
    assert threading.active_count() == threads
    assert [record.run_id for record in project.store.runs(RunQuery())] == ["abc123"]


def test_what_was_rehearsed_is_not_compiled_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    warming.warm(project.root)
    compiled: list[str] = []
    initialise = compiler.SQLCompiler.__init__

    def count(self: Any, dialect: Any, statement: Any, *arguments: Any, **options: Any) -> None:
        initialise(self, dialect, statement, *arguments, **options)
        compiled.append(self.string)

    monkeypatch.setattr(compiler.SQLCompiler, "__init__", count)
    store = open_project(project.root).store
    store.create(factories.spec("second"), factories.record("second"))
    assert store.get("second").run_id == "second"
    client = client_of(project.tracking_uri, locks=project.paths.locks)
    run = client.create_run(client.get_experiment_by_name("tiny/baseline").experiment_id, run_name="second")
    client.log_metric(run.info.run_id, "loss", 1.0)
    client.set_terminated(run.info.run_id)
    assert client.get_run(run.info.run_id).data.metrics == {"loss": 1.0}
    assert compiled == []


def test_it_is_asked_for_again_by_a_new_database_and_by_another_config(tmp_path: Path) -> None:
    root = new_project(tmp_path / "tiny")
    warming.warm(root)
    opened = open_project(root)
    opened.store.create(factories.spec(), factories.record())
    assert warming.is_cold(root)
    warming.warm(root)
    (root / "conf" / "config.yaml").write_text("seed: 1\n")
    assert warming.is_cold(root)
