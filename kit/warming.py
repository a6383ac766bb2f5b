"""What a library does once in a process and then has done: a forkserver does it before it forks."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit import config, environment
from kit._process import this_process
from kit.errors import KitError
from kit.forkserver._preload import ThreadStarted
from kit.models import RunRecord, RunSpec
from kit.project import Project, open_project
from kit.snapshot import CodeVersion, Environment, Host, Snapshot
from kit.states import TERMINAL, RunStatus
from kit.stores.base import RunQuery
from kit.stores.engine import create_sqlite_engine

if TYPE_CHECKING:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import Engine

__all__ = ["is_cold", "warm"]

_ID = "rehearsal"
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_rehearsed: set[Path] = set()


def warm(root: Path) -> None:
    """Compose the project's configs as far as files alone go, and rehearse a run's way into both databases.

    Most of what a first statement costs is SQLAlchemy finding out how to say it; whoever is forked then knows. The
    databases are empty copies, and no connection is left. May be called again.

    Raises:
        ThreadStarted: If something started a thread.
    """
    threads = threading.active_count()
    with contextlib.suppress(KitError, OSError):
        environment.capture(root)
        _compose_nothing()
        project = open_project(root)
        config.compose_ahead(project.root, project.settings.config_dir, project.settings.config_name)
        for database, rehearse in zip(_databases(project), (_rehearse_store, _rehearse_tracking), strict=False):
            if database not in _rehearsed and database.exists():
                _rehearsed.add(database)
                rehearse(project, database)
    if threading.active_count() > threads:
        raise ThreadStarted("mlflow")


def is_cold(root: Path) -> bool:
    """Whether there is something to be warmed: a database that was not there yet, or another config."""
    with contextlib.suppress(KitError):
        project = open_project(root)
        return config.is_outdated() or any(file not in _rehearsed and file.exists() for file in _databases(project))
    return False


def _databases(project: Project) -> list[Path]:
    uri = project.tracking_uri
    return [project.paths.store, *([Path(uri.removeprefix("sqlite:///"))] if uri.startswith("sqlite:///") else [])]


def _compose_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        (Path(folder) / "conf").mkdir()
        (Path(folder) / "conf" / "config.yaml").write_text("task: a.b\nx: ${y}\ny: 1\n")
        config.compose(Path(folder), "conf", "config", ("y=2",), run_dir=Path(folder))


@contextlib.contextmanager
def _diverted(database: Path, *engines: Engine) -> Iterator[Path]:
    """For as long as this lasts, who connects to this database by these engines gets an empty copy of it.

    Gives a folder that is there as long.
    """
    from sqlalchemy import event

    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        copy = Path(folder) / "copy.db"
        _copy_tables(database, copy)

        def connect(*_: object) -> sqlite3.Connection:
            return sqlite3.connect(copy, check_same_thread=False)

        for engine in engines:
            engine.dispose()
            event.listen(engine, "do_connect", connect)
        try:
            yield Path(folder)
        finally:
            for engine in engines:
                event.remove(engine, "do_connect", connect)
                engine.dispose()


def _copy_tables(database: Path, copy: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as new,
    ):
        statements = source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        for (statement,) in statements.fetchall():
            new.execute(statement)
        new.execute("PRAGMA journal_mode = MEMORY")


def _rehearse_store(project: Project, path: Path) -> None:
    """Each statement that `kit run` and its run have for kit's own store, where that is a file."""
    if project.store_server is not None:
        return
    store = project.store
    with _diverted(path, create_sqlite_engine(path), create_sqlite_engine(path, writes=False)):
        spec, process = _spec(project), this_process()
        store.create(spec, RunRecord.queued(spec, at=_AT, params={"x": "1"}))
        store.transition(_ID, RunStatus.STARTING, at=_AT)
        store.attach(_ID, supervisor=process, process=process, heartbeat_at=_AT)
        store.attach(_ID, mlflow_run_id=_ID)
        store.transition(_ID, RunStatus.RUNNING, at=_AT)
        store.set_metrics(_ID, {"x": 1.0})
        store.set_params(_ID, {"x": "1"})
        store.transition(_ID, RunStatus.SUCCEEDED, at=_AT, exit_code=0)
        store.attach(_ID, tracked=True)
        store.get(_ID)
        store.spec(_ID)
        store.ids(_ID[:4], limit=2)
        store.runs(RunQuery())
        store.runs(RunQuery(statuses=frozenset({RunStatus.STARTING, RunStatus.RUNNING})))
        store.runs(RunQuery(statuses=TERMINAL, tracked=False, limit=1))


def _spec(project: Project) -> RunSpec:
    code = CodeVersion(commit=_ID, base=_ID, branch=None, dirty=False, ref=_ID)
    environment = Environment("", "", "", {}, None, None)
    snapshot = Snapshot(code, (), environment, Host(_ID, "", "", "", 1, 0), 0, (), _AT)
    return RunSpec(
        _ID, _ID, project.name, _ID, _ID, (), {}, snapshot, str(project.root), project.tracking_uri, tags={"x": "1"}
    )


def _rehearse_tracking(project: Project, database: Path) -> None:
    """The same for MLflow's, where that is a file; a connection to a server cannot be shared."""
    uri = project.tracking_uri
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    from kit.trackers.mlflow import client_of

    # Opened by MLflow's client, as each run does, but asked without it, since that counts what it is asked for.
    opened: Any = client_of(uri, locks=project.paths.locks)
    store: SqlAlchemyStore = opened._tracking_client.store  # noqa: SLF001 - MLflow has no other word for its store
    engine = SqlAlchemyStore._engine_map[uri]  # noqa: SLF001 - nor for closing it
    try:
        with _diverted(database, engine) as folder:
            _log_a_run(store, folder)
    finally:
        engine.dispose()


def _log_a_run(store: SqlAlchemyStore, folder: Path) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag

    experiment = store.create_experiment(_ID, artifact_location=str(folder))
    store.get_experiment_by_name(_ID)
    now = round(time.time() * 1000)
    run = store.create_run(experiment, "", now, [RunTag("x", "1")], _ID).info.run_id
    store.log_batch(run, metrics=[], params=[Param("x", "1"), Param("y", "1")], tags=[])
    dataset = Dataset(name="x", digest="1", source_type="dvc", source="x")
    store.log_inputs(run, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "input")])])
    store.get_run(run)
    store.get_experiment(experiment)
    store.log_batch(run, metrics=[Metric("x", 1.0, now, step) for step in (0, 1)], params=[], tags=[])
    store.log_batch(run, metrics=[Metric("x", 1.0, now, 2)], params=[], tags=[])
    store.log_batch(run, metrics=[], params=[], tags=[RunTag("y", "1")])
    store.update_run_info(run, RunStatus.FINISHED, now, None)
