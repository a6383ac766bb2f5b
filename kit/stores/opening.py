"""Where a project's store is, and how it is opened: the one place that knows."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from kit.errors import UserError, from_os_error
from kit.paths import ProjectPaths
from kit.settings import Settings, parse_settings
from kit.stores.base import Store
from kit.stores.servers import Server, parse_server

__all__ = ["VARIABLE", "open_store", "read_settings", "server_of"]

VARIABLE = "KIT_STORE"


def server_of(settings: Settings) -> Server | None:
    """The server that keeps the store, by the environment or else by `[tool.kit]`; None if it lies in the project.

    Raises:
        UserError: If what is given there is no such server.
    """
    if url := os.environ.get(VARIABLE):
        return parse_server(url, where=VARIABLE)
    if settings.store is None:
        return None
    server = parse_server(settings.store, where="pyproject.toml, [tool.kit] store")
    if urlsplit(settings.store).password or "password=" in settings.store:
        fix = f"Put it into ~/.pgpass or PGPASSWORD, or give the whole URL in {VARIABLE}."
        raise UserError("a password in a file that git keeps", where="pyproject.toml, [tool.kit] store", fix=fix)
    return server


def read_settings(paths: ProjectPaths) -> Settings:
    """Raises:
    UserError: If they cannot be used.
    HostError: If they cannot be read.
    """
    try:
        text = paths.pyproject.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8: {error.reason}", where="pyproject.toml", fix="Save the file as UTF-8.") from error
    except OSError as error:
        raise from_os_error(error) from error
    return parse_settings(text, where="pyproject.toml")


def open_store(paths: ProjectPaths, settings: Settings, *, patience: float | None = None) -> Store:
    """Open the store of a project; it is made, or brought up to date, if need be.

    Args:
        paths: The project.
        settings: What `[tool.kit]` says of it.
        patience: Seconds to wait for whoever else writes, and for a server that is not there; None for as long as is
            usual.

    Raises:
        UserError: If a newer kit wrote it, or what is said of where it is cannot be used.
        HostError: If it cannot be opened, read or written.
    """
    from kit.stores.sql import SqlStore

    if (server := server_of(settings)) is None:
        return SqlStore(paths.store, lock=paths.store_lock, patience=patience)
    from kit.stores.postgres import open_postgres

    return SqlStore.on(open_postgres(server, settings.package or paths.root.name, patience=patience))
