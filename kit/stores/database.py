"""What the stores of every kind of database have in common: who writes, who reads, and what is tried again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from kit.stores.base import Held

__all__ = ["Database", "one_transaction_each"]

Result = TypeVar("Result")
Kind = TypeVar("Kind", bound=type)


class Database:
    """A database by two engines: transactions of `engine` may write and come one after the other, those of `reader` see
    one state of everything and keep nobody waiting.
    """

    def __init__(self, engine: Engine, reader: Engine) -> None:
        self.engine = engine
        self.reader = reader

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that nobody else's comes between, committed at the end."""
        with self.engine.begin() as connection:
            yield connection

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state."""
        return self.reader.connect()

    def repeated(self, work: Callable[[], Result]) -> Result:
        """Do what is one transaction; again if there is reason to, and then nothing of it was done."""
        return work()

    def hold(self) -> Held:
        """As `Store.hold`."""
        # The last connection to leave a write-ahead log brings the database file up to date, which takes milliseconds.
        connection = self.reader.raw_connection()
        connection.cursor().execute("SELECT 1 FROM alembic_version").fetchall()
        return connection

    def close(self) -> None:
        self.engine.dispose()
        self.reader.dispose()


def one_transaction_each(kind: Kind) -> Kind:
    """A class of which every public method is one transaction on its `_database`, to be repeated where that says so."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(kind, name, _repeated(method))
    return kind


def _repeated(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def repeated(self: Any, *args: object, **kwargs: object) -> object:  # noqa: ANN401
        return self._database.repeated(lambda: method(self, *args, **kwargs))

    return repeated
