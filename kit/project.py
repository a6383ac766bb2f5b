"""A project, opened: its paths, its settings and its store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import ServiceError, UserError
from kit.paths import ProjectPaths, find_project
from kit.settings import Settings, parse_settings

if TYPE_CHECKING:
    from kit.stores.base import Store
    from kit.stores.servers import Server

__all__ = ["Project", "open_project"]

_WORDS = {"databricks", "databricks-uc", "uc"}
"""What MLflow takes for a server although it is no URI."""


@dataclass(frozen=True)
class Project:
    """Everything a service needs to know about where it works.

    Attributes:
        patience: Seconds to wait for whoever else writes to the store; None for as long as is usual.
        worktree: A copy of the project that runs are made from; None for the project itself, which keeps them.
    """

    paths: ProjectPaths
    settings: Settings
    patience: float | None = None
    worktree: Path | None = None

    @property
    def root(self) -> Path:
        return self.paths.root

    @property
    def source(self) -> Path:
        """Where code, config and data lie that runs are made from."""
        return self.worktree or self.root

    @property
    def name(self) -> str:
        return self.settings.package or self.root.name

    @cached_property
    def store(self) -> Store:
        """kit's own state; made on first use.

        Raises:
            UserError: If what says where it is cannot be used.
            HostError: If it cannot be opened or made.
        """
        from kit.stores.opening import open_store

        self.paths.create_state()
        return open_store(self.paths, self.settings, patience=self.patience)

    @property
    def store_server(self) -> Server | None:
        """The server that keeps the store; None if it lies in the project.

        Raises:
            UserError: If what says where it is cannot be used.
        """
        from kit.stores.opening import server_of

        return server_of(self.settings)

    @property
    def tracking_uri(self) -> str:
        """`MLFLOW_TRACKING_URI`, else `[tool.kit] tracking-uri`, else the project's own SQLite file.

        Raises:
            ServiceError: For a plain folder, which MLflow no longer takes.
        """
        uri = os.environ.get("MLFLOW_TRACKING_URI") or self.settings.tracking_uri
        if uri is None:
            return f"sqlite:///{self.paths.mlflow_store}"
        if uri in _WORDS:
            return uri
        if uri.startswith("file:") or "://" not in uri:
            raise ServiceError(
                f"MLflow no longer keeps runs in a plain folder ({uri})",
                where="MLFLOW_TRACKING_URI" if os.environ.get("MLFLOW_TRACKING_URI") else "pyproject.toml, [tool.kit]",
                fix="Name a server or `sqlite:///PATH`, or leave it out to use the project's own file.",
            )
        if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
            return f"sqlite:///{(self.root / uri.removeprefix('sqlite:///')).resolve()}"
        return uri


def open_project(start: Path, *, patience: float | None = None) -> Project:
    """Open the project that `start` lies in, to wait so many seconds for whoever else writes to its store.

    Raises:
        UserError: If there is none, or its `[tool.kit]` cannot be used.
    """
    paths = find_project(start)
    try:
        text = paths.pyproject.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8: {error.reason}", where="pyproject.toml", fix="Save the file as UTF-8.") from error
    return Project(paths, parse_settings(text, where="pyproject.toml"), patience)
