"""What a library does once in a process and then has done: a forkserver does it before it forks."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path

from kit import config
from kit.errors import KitError
from kit.forkserver._preload import ThreadStarted
from kit.project import Project, open_project

__all__ = ["warm"]


def warm(root: Path) -> None:
    """Compose a config, which has Hydra find its plugins, and open MLflow's store, which has SQLAlchemy map its tables.

    The config is an empty one, since the project's own may name the project's code. No connection is left.

    Raises:
        ThreadStarted: If something started a thread.
    """
    with contextlib.suppress(KitError):
        _compose_nothing()
        _open_tracking(open_project(root))
    if threading.active_count() > 1:
        raise ThreadStarted("mlflow")


def _compose_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        (Path(folder) / "conf").mkdir()
        (Path(folder) / "conf" / "config.yaml").write_text("task: a.b\nx: ${y}\ny: 1\n")
        config.compose(Path(folder), "conf", "config", ("y=2",), run_dir=Path(folder))


def _open_tracking(project: Project) -> None:
    uri = project.tracking_uri
    if not uri.startswith("sqlite:///") or not Path(uri.removeprefix("sqlite:///")).exists():
        return  # a server is asked by each run for itself: a connection cannot be shared
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    from kit.trackers.mlflow import client_of

    client_of(uri, locks=project.paths.locks).search_experiments(max_results=1)
    for engine in SqlAlchemyStore._engine_map.values():  # noqa: SLF001 - MLflow has no word for closing its store
        engine.dispose()
