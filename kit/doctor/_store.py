"""kit's own store: where it is, whether it can be used, which schema it has; and the scheduler that writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from kit import _clock, health
from kit.doctor._finding import Finding, Place, failed
from kit.errors import ExitCode, KitError
from kit.project import Project
from kit.schedules import Schedules
from kit.status._check import State
from kit.status._schedules import check_scheduler
from kit.stores.schema import REVISION
from kit.stores.servers import Server

__all__ = ["look_at_scheduler", "look_at_store"]

_SECONDS = 3.0
_UPGRADE = "Upgrade kit: `uv lock --upgrade-package mlekit && uv sync`."


def look_at_store(place: Place) -> Iterator[Finding]:
    """Read only: nothing is made, and nothing brought up to date."""
    if place.project is None:
        return
    try:
        server = place.project.store_server
        if server is None:
            yield _sqlite(place.project.paths.store)
        else:
            yield _postgres(server, place.project.settings.package or place.project.root.name)
    except KitError as error:
        yield failed("store", error)


def _sqlite(path: Path) -> Finding:
    if not path.exists():
        return Finding("store", ok=True, what="SQLite, made by the first run")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_SECONDS)) as db:
            found = db.execute("SELECT version_num FROM alembic_version").fetchone()
            problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        return _damaged(path, str(error))
    return _damaged(path, problem) if problem != "ok" else _judge("SQLite in .kit", None if found is None else found[0])


def _damaged(path: Path, said: str) -> Finding:
    if "locked" in said:
        return Finding("store", ok=False, what="another process holds it", fix=f"Find which: `fuser {path}`.")
    fix = f"Move it away and start a new one: `mv {path} {path}.damaged` (MLflow keeps its own record)."
    return Finding("store", ok=False, what=f"SQLite: {said}", fix=fix)


def _postgres(server: Server, project: str) -> Finding:
    from sqlalchemy import text

    from kit.stores.postgres import PostgresDatabase, schema_of

    database = PostgresDatabase(server, schema_of(project), patience=_SECONDS)
    with database.reading() as connection:
        there = connection.execute(text("SELECT to_regclass('alembic_version')")).scalar()
        found = None if there is None else connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        version = connection.execute(text("SHOW server_version")).scalar()
    return _judge(f"PostgreSQL {str(version).split()[0]} on {server.shown}", None if found is None else str(found))


def _judge(where: str, revision: str | None) -> Finding:
    if revision is None:
        return Finding("store", ok=True, what=f"{where}; its tables are made by the first run")
    if revision > REVISION:
        what = f"{where}: a newer kit wrote it (schema {revision}, this one knows {REVISION})"
        return Finding("store", ok=False, what=what, fix=_UPGRADE)
    if revision < REVISION:
        return Finding("store", ok=True, what=f"{where}, schema {revision}; the next run brings it to {REVISION}")
    return Finding("store", ok=True, what=f"{where}, schema {revision}")


def look_at_scheduler(place: Place) -> Iterator[Finding]:
    """Whether there is one, if there is anything for one to do. A store that is not there yet is not made for that."""
    if place.project is None:
        return
    project = place.project
    try:
        if project.store_server is None and not project.paths.store.exists():
            yield Finding("scheduler", ok=True, what="none ever was")
            return
        if not any(finding.ok for finding in look_at_store(place)):
            return  # what is wrong with the store is said there
        yield _scheduler(project, _clock.now())
    except (KitError, OSError) as error:
        yield failed("scheduler", error)


def _scheduler(project: Project, now: datetime) -> Finding:
    loaded = Schedules(project).load()
    found = check_scheduler(project, loaded, health.look(project, loaded, now), now)
    return Finding("scheduler", found.state is not State.BAD, found.what, found.fix, ExitCode.HOST)
