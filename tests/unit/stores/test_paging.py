"""What a list of runs costs does not grow with the runs that are not in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert

from kit import runs
from kit.project import Project, open_project
from kit.states import RunStatus
from kit.stores.base import RunQuery
from kit.stores.schema import runs as table
from kit.stores.sql import SqlStore, run_row
from tests.conftest import write
from tests.factories import record

_MANY = 3000
_FEW = 20


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with thousands of runs, every seventh of them failed."""
    root = tmp_path_factory.mktemp("many")
    write(root, {"pyproject.toml": "[project]\nname = 'many'\n[tool.kit]\n"})
    opened = open_project(root)
    store = opened.store
    assert isinstance(store, SqlStore)
    begun = record().created_at
    rows = [
        run_row(
            replace(
                record(f"r{number:05}"),
                status=RunStatus.SUCCEEDED if number % 7 else RunStatus.FAILED,
                created_at=begun + timedelta(seconds=number),
                tracked=True,
            )
        )
        for number in range(_MANY)
    ]
    with store._engine.begin() as connection:
        connection.execute(insert(table), rows)
    yield opened
    store.close()


@pytest.mark.parametrize(
    "query",
    [
        RunQuery(limit=_FEW),
        RunQuery(limit=_FEW, statuses=frozenset({RunStatus.FAILED})),
        RunQuery(limit=_FEW, sort="auc"),
    ],
    ids=["newest", "failed", "sorted"],
)
def test_a_page_is_read_in_few_statements_and_no_more(project: Project, query: RunQuery) -> None:
    store = project.store
    assert isinstance(store, SqlStore)
    asked: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append(" ".join(statement.split()))

    for engine in (store._engine, store._reader):
        event.listen(engine, "before_cursor_execute", hear)
    try:
        assert len(runs.listing(project, query) if query.sort is None else store.runs(query)) == _FEW
    finally:
        for engine in (store._engine, store._reader):
            event.remove(engine, "before_cursor_execute", hear)
    page, *of_page = asked[-4:]  # the runs; their metrics, parameters and tags
    assert "LIMIT" in page
    assert [statement.count("?") for statement in of_page] == [_FEW] * 3
    assert len(asked) == (6 if query.sort is None else 4)  # with what is active, and what the tracker did not take
