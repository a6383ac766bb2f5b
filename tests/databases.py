"""A real PostgreSQL server for tests, and a real proxy before it whose line can be cut."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from sqlalchemy import text

from kit.stores.fire_tables import fires
from kit.stores.postgres import open_postgres
from kit.stores.schema import METADATA
from kit.stores.servers import parse_server
from kit.stores.sql import SqlStore
from tests.support import closed_port, until

__all__ = ["PASSWORD", "Line", "Postgres", "open_at", "postgres_server"]

PASSWORD = "correct-horse-battery"
_USER = "kit"
_QUICK = [*("-c", "max_connections=200"), *("-c", "shared_buffers=16MB"), *("-c", "unix_socket_directories=")]


class Postgres:
    """A server in a folder of its own, with a user `kit` that may make databases.

    Attributes:
        port: Where it listens, at first on 127.0.0.1 only.
    """

    def __init__(self, *, listen: str = "127.0.0.1") -> None:
        self._programs = _programs()
        # Root may not run it; and what lies in root's own folders, pytest's among them, nobody else can read.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="kit-postgres-"))
        self._data = self._folder / "data"
        self._log = self._folder / "postgres.log"
        self._listen = listen
        self._process: subprocess.Popen[bytes] | None = None
        self.port = closed_port()
        self._make()

    def _make(self) -> None:
        word = self._folder / "word"
        word.write_text(PASSWORD)
        if self._user is not None:
            shutil.chown(word, self._user)
            shutil.chown(self._folder, self._user)
        initdb = [str(self._programs / "initdb"), "-D", str(self._data), "-U", _USER, "--pwfile", str(word)]
        # It sorts words as people do, unless told otherwise: what has to be sorted by bytes is told so by kit.
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en-US"]
        command = [*initdb, *options, "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self._folder, timeout=120)
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 0.0.0.0/0 scram-sha-256\n")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-c", f"listen_addresses={self._listen}", *_QUICK],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._data,
                user=self._user,
                start_new_session=True,
            )
        until(self._answers, "the server to take connections")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(psycopg.OperationalError):
            self.connect("postgres").close()
            return True
        return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends what is under way, SIGQUIT is as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def end(self) -> None:
        """Leave nothing behind."""
        if self._process is not None:
            group = self._process.pid
            self.stop(signal.SIGQUIT)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=10)

    def url(self, database: str, *, host: str = "127.0.0.1", port: int | None = None, password: str = PASSWORD) -> str:
        return f"postgresql://{_USER}:{password}@{host}:{port or self.port}/{database}"

    def new_database(self) -> str:
        """An empty one; gives its name."""
        name = f"t{secrets.token_hex(6)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def empty_store(self) -> SqlStore:
        """A store in which nothing is yet: always the same, since making one takes a second."""
        store = open_at(self.url(self._shared))
        with store._engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {', '.join({*METADATA.tables, fires.name})} CASCADE"))
        return store

    @cached_property
    def _shared(self) -> str:
        return self.new_database()

    def ask(self, database: str, question: str) -> list[tuple[Any, ...]]:
        with self.connect(database) as connection:
            return connection.execute(question.encode()).fetchall()

    def connections(self, database: str) -> int:
        """How many there are to it, by kit."""
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kit' AND datname = "
        return int(self.ask("postgres", f"{asked}'{database}'")[0][0])


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    if (there := shutil.which("postgres")) is not None and shutil.which("initdb") is not None:
        return Path(there).resolve().parent
    return pytest.skip("PostgreSQL is not installed (Debian: postgresql)")


@contextlib.contextmanager
def postgres_server(*, listen: str = "127.0.0.1") -> Iterator[Postgres]:
    """One that runs as long as this lasts."""
    server = Postgres(listen=listen)
    try:
        server.start()
        yield server
    finally:
        server.end()


def open_at(url: str, *, patience: float | None = None) -> SqlStore:
    """The store of the project `tiny` in this database."""
    return SqlStore.on(open_postgres(parse_server(url, where="tests"), "tiny", patience=patience))


class Line:
    """Carries bytes between clients and a server, until it is told to hang up.

    Attributes:
        port: Where clients find the server.
        hides_questions: Called with what the server is asked; where it gives True, that never arrives, and the
            connection ends.
        hides_answers: Called with what the server says, and what it was asked last; where it gives True, that is not
            heard any more, and the connection ends.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.hides_questions: Callable[[bytes], bool] = lambda _asked: False
        self.hides_answers: Callable[[bytes, bytes], bool] = lambda _said, _asked: False
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection, as a restarted router does."""
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
            except OSError:
                continue
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        ends = {client: server, server: client}
        self._open |= ends.keys()
        asked = b""
        try:
            while not self._closing.is_set():
                for end in select.select(list(ends), [], [], 0.5)[0]:
                    if not (data := end.recv(1 << 16)):
                        return
                    if end is client:
                        asked = data
                        if self.hides_questions(asked):
                            return
                    elif self.hides_answers(data, asked):
                        return
                    ends[end].sendall(data)
        except OSError:
            return
        finally:
            self._open -= ends.keys()
            for end in ends:
                end.close()
