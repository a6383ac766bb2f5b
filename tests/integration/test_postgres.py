"""The store on a real PostgreSQL server: made once, exactly once whatever is lost, clear when it cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from kit.errors import HostError, UserError
from kit.forkserver._control import status
from kit.models import RunRecord
from kit.project import open_project
from kit.states import RunStatus
from kit.stores import RunQuery
from kit.stores import postgres as of_postgres
from kit.stores.base import Store
from kit.stores.opening import VARIABLE
from kit.stores.postgres import open_postgres, schema_of
from kit.stores.schema import METADATA, REVISION
from kit.stores.servers import ServerFailed, parse_server
from kit.stores.sql import SqlStore
from tests.conftest import write
from tests.databases import PASSWORD, Line, Postgres, open_at, postgres_server
from tests.factories import INSTANT, record, row_of_0001, spec
from tests.support import Done, closed_port, environment, forkserver, kit, new_project, until


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def line(postgres: Postgres) -> Iterator[Line]:
    with Line(postgres.port) as made:
        yield made


def starting(store: Store, run_id: str = "a1") -> RunRecord:
    store.create(spec(run_id), record(run_id))
    return store.transition(run_id, RunStatus.STARTING, at=INSTANT)


# How it is made

OPENS = """
import sys
from tests.databases import open_at
from tests.factories import record, spec

print("ready", flush=True)
sys.stdin.readline()
store = open_at(sys.argv[1])
store.create(spec(sys.argv[2]), record(sys.argv[2]))
"""


def test_six_processes_open_an_empty_database_at_once(postgres: Postgres, database: str) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS, postgres.url(database), f"w{number}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(6)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    ended = [(*worker.communicate(timeout=200), worker.returncode) for worker in workers]
    assert [(err, code) for _, err, code in ended] == [("", 0)] * 6
    assert len(open_at(postgres.url(database)).runs(RunQuery())) == 6
    assert postgres.ask(database, "SELECT version_num FROM kit_tiny.alembic_version") == [(REVISION,)]


def test_what_migrations_make_is_what_the_code_expects(postgres: Postgres, database: str) -> None:
    store = open_at(postgres.url(database))
    assert store.fires.active() == []
    with store._reader.connect() as connection:
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, _parents: (kind, name) != ("table", "commits"),
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []


def test_a_store_from_before_schedules_keeps_its_runs(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        for module in ("engine", "postgres"):
            before.setattr(f"kit.stores.{module}.REVISION", "0001")
        before.setattr("kit.stores.sql.run_row", row_of_0001)
        made = record("a1")
        open_at(postgres.url(database)).create(spec("a1"), made)
    of_postgres._connect.cache_clear()  # as another process, which has yet to look
    store = open_at(postgres.url(database))
    assert postgres.ask(database, "SELECT version_num FROM kit_tiny.alembic_version") == [(REVISION,)]
    assert store.get("a1") == made
    assert store.fires.active() == []


def test_a_newer_schema_is_refused_and_left_alone(postgres: Postgres, database: str) -> None:
    open_at(postgres.url(database)).close()
    postgres.ask(database, "UPDATE kit_tiny.alembic_version SET version_num = '9999' RETURNING 1")
    of_postgres._connect.cache_clear()
    with pytest.raises(UserError, match="newer kit") as caught:
        open_at(postgres.url(database))
    assert caught.value.where == f"127.0.0.1:{postgres.port}/{database}"
    assert postgres.ask(database, "SELECT version_num FROM kit_tiny.alembic_version") == [("9999",)]


def test_projects_in_one_database_are_apart(postgres: Postgres, database: str) -> None:
    server = parse_server(postgres.url(database), where="")
    names = ["one", "5%s %", 'it\'s "1"; DROP TABLE runs', "x" * 90 + "1", "x" * 90 + "2"]
    stores = [SqlStore.on(open_postgres(server, name)) for name in names]
    for store, name in zip(stores, names, strict=True):
        store.create(spec("a1", name=name), record("a1"))
    assert [len(store.runs(RunQuery())) for store in stores] == [1] * 5
    assert len({schema_of(name) for name in names}) == 5


def test_a_user_who_may_not_make_a_schema_uses_one_that_is_there(postgres: Postgres, database: str) -> None:
    with postgres.connect(database) as connection:
        user = f"u{database}".encode()
        connection.execute(b"CREATE ROLE %s LOGIN PASSWORD '%s'" % (user, PASSWORD.encode()))
        url = postgres.url(database).replace("//kit:", f"//{user.decode()}:")
        with pytest.raises(ServerFailed, match="may not do that") as caught:
            open_at(url)
        assert "GRANT CREATE" in (caught.value.fix or "")
        connection.execute(b"CREATE SCHEMA kit_tiny AUTHORIZATION %s" % user)
    starting(open_at(url))


# Who writes, and who is cut off


def test_texts_keep_all_but_what_the_server_cannot(postgres: Postgres) -> None:
    store = postgres.empty_store()
    store.create(spec("a1"), replace(record("a1"), note="a\0b \\0 \\x00 %s :mark \N{SNOWMAN}"))
    assert store.get("a1").note == "a\N{REPLACEMENT CHARACTER}b \\0 \\x00 %s :mark \N{SNOWMAN}"


def test_writers_come_one_after_the_other_and_readers_do_not_wait(postgres: Postgres, database: str) -> None:
    store = open_at(postgres.url(database), patience=0.5)
    made = starting(store)
    other = open_at(postgres.url(database))
    with other._database.writing():
        assert store.get("a1") == made
        with pytest.raises(ServerFailed, match="busy") as caught:
            store.attach("a1", mlflow_run_id="x")
        assert caught.value.exit_code == 4
        assert caught.value.where == f"127.0.0.1:{postgres.port}/{database}"
    store.attach("a1", mlflow_run_id="x")


COUNTS = """
import sys
from tests.databases import open_at

store = open_at(sys.argv[1])
for _ in range(40):
    with store._database.writing() as connection:
        (was,) = connection.exec_driver_sql("SELECT count(*) FROM params").one()
        connection.exec_driver_sql(f"INSERT INTO params VALUES ('a1', '{was}', 'x', {was})")
"""


def test_what_was_read_is_still_so_when_it_is_acted_on(postgres: Postgres, database: str) -> None:
    """Each adds the number of what is there: one who does not see what another wrote adds a number twice."""
    store = open_at(postgres.url(database))
    starting(store)
    begun = len(store.get("a1").params)
    # The server's own habit must not matter: with this one, what is seen is from before the lock was had.
    with postgres.connect("postgres") as connection:
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'".encode())
    command = [sys.executable, "-c", COUNTS, postgres.url(database)]
    rivals = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(rival.communicate(timeout=200)[1], rival.returncode) for rival in rivals] == [("", 0)] * 3
    assert len(store.get("a1").params) == begun + 120


def test_who_is_stopped_while_it_writes_is_given_up(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_postgres, "_IDLE_SECONDS", 1)
    stopped, store = open_at(postgres.url(database)), open_at(postgres.url(database))
    starting(store)
    began, go_on = threading.Event(), threading.Event()
    tries: list[int] = []

    def write() -> None:
        def work() -> None:
            tries.append(len(tries))
            with stopped._database.writing() as connection:
                connection.exec_driver_sql("UPDATE runs SET note = coalesce(note, '') || 'x'")
                began.set()
                go_on.wait(60)

        stopped._database.repeated(work)

    writer = threading.Thread(target=write)
    writer.start()
    assert began.wait(60)
    store.attach("a1", mlflow_run_id="mine")  # waits for a second, not for ever
    go_on.set()
    writer.join(60)
    found = store.get("a1")
    assert (found.note, found.mlflow_run_id, tries) == ("x", "mine", [0, 1])


def test_a_connection_is_there_as_long_as_it_is_used_or_held(postgres: Postgres, database: str) -> None:
    store = open_at(postgres.url(database))
    starting(store)
    assert postgres.connections(database) == 0
    with closing(store.hold()), closing(store.hold()):
        store.get("a1")
        store.attach("a1", mlflow_run_id="x")
        assert postgres.connections(database) == 1
    until(lambda: postgres.connections(database) == 0, "the connection to be let go")


def test_no_connection_crosses_a_fork(postgres: Postgres, database: str) -> None:
    store = open_at(postgres.url(database))
    starting(store)
    with closing(store.hold()):
        store.get("a1")
        [(own,)] = postgres.ask("postgres", f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'")
        for number in range(3):
            if (child := os.fork()) == 0:
                try:
                    store.set_params("a1", {f"from-{number}": "x"})
                    with store._reader.connect() as connection:
                        other = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
                    os._exit(0 if other != own else 9)
                finally:
                    os._exit(8)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with store._reader.connect() as connection:
            assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() == own
    assert {"from-0", "from-1", "from-2"} < store.get("a1").params.keys()


# What is lost on the way


def at_commit(*, times: int = 1) -> Callable[[bytes, bytes], bool]:
    """Whether a server's answer is one to a commit, so many times."""
    left = [times]

    def hides(_said: bytes, asked: bytes) -> bool:
        if b"COMMIT\0" not in asked or not left[0]:
            return False
        left[0] -= 1
        return True

    return hides


def test_a_commit_whose_answer_is_lost_is_done_once(postgres: Postgres, database: str, line: Line) -> None:
    store = open_at(postgres.url(database, port=line.port))
    store.create(spec("a1"), record("a1"))
    line.hides_answers = at_commit()
    begun = store.transition("a1", RunStatus.STARTING, at=INSTANT)  # a second time would be refused
    assert begun.status is RunStatus.STARTING
    line.hides_answers = at_commit(times=3)
    store.create(spec("a2"), record("a2"))  # nor is there a second run of that name
    assert [found.run_id for found in store.runs(RunQuery(descending=False))] == ["a1", "a2"]


def test_a_commit_that_never_arrives_is_done_again(postgres: Postgres, database: str, line: Line) -> None:
    store = open_at(postgres.url(database, port=line.port))
    store.create(spec("a1"), record("a1"))
    hides = at_commit()
    line.hides_questions = lambda asked: hides(b"", asked)
    begun = store.transition("a1", RunStatus.STARTING, at=INSTANT)
    assert store.get("a1") == begun
    assert begun.status is RunStatus.STARTING


def test_a_transaction_that_is_cut_off_before_its_end_is_done_again(
    postgres: Postgres, database: str, line: Line
) -> None:
    store = open_at(postgres.url(database, port=line.port))
    store.create(spec("a1"), record("a1"))
    lost: list[bytes] = []

    def hides(said: bytes, _asked: bytes) -> bool:
        if b"UPDATE" in said and not lost:
            lost.append(said)
            return True
        return False

    line.hides_answers = hides
    store.transition("a1", RunStatus.STARTING, at=INSTANT)
    assert lost
    assert store.get("a1").status is RunStatus.STARTING


def test_a_server_that_is_restarted_is_waited_for() -> None:
    with postgres_server() as server:
        store = open_at(server.url(server.new_database()))
        starting(store)
        with closing(store.hold()):
            for how in (signal.SIGINT, signal.SIGQUIT):
                store.get("a1")
                server.stop(how)
                again = threading.Timer(1, server.start)
                again.start()
                store.attach("a1", mlflow_run_id=how.name)
                again.join()
                assert store.get("a1").mlflow_run_id == how.name
        server.stop()
        impatient = SqlStore.on(less_patient(store, 0.5))
        with pytest.raises(ServerFailed, match="cannot be reached: connection refused") as caught:
            impatient.get("a1")
        assert caught.value.exit_code == 4
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert PASSWORD not in str(caught.value)


def less_patient(store: SqlStore, patience: float) -> of_postgres.PostgresDatabase:
    database = store._database
    assert isinstance(database, of_postgres.PostgresDatabase)
    return of_postgres.PostgresDatabase(database.server, database.schema, patience=patience)


def test_a_server_that_has_no_connection_left_is_waited_for(postgres: Postgres, database: str) -> None:
    open_at(postgres.url(database)).close()
    user = f"u{database}"
    with postgres.connect(database) as connection:
        connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 1".encode())
        connection.execute(f"GRANT ALL ON SCHEMA kit_tiny TO {user}".encode())
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA kit_tiny TO {user}".encode())
    url = postgres.url(database).replace("//kit:", f"//{user}:")
    impatient, store = open_at(url, patience=0.3), open_at(url)
    with psycopg.connect(url):
        with pytest.raises(ServerFailed, match="no connection left"):
            impatient.counts()
        found: list[object] = []
        waiting = threading.Thread(target=lambda: found.append(store.counts()))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join(60)
    assert found == [{}]


def test_a_server_that_takes_no_changes_is_told_apart(postgres: Postgres, database: str) -> None:
    store = open_at(postgres.url(database))
    made = starting(store)
    with postgres.connect("postgres") as connection:
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on".encode())
    assert store.get("a1") == made
    with pytest.raises(ServerFailed, match="takes no changes"):
        store.attach("a1", mlflow_run_id="x")


# What people see


class Place:
    """A project whose store is on a server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.env = environment(folder / "home", **{VARIABLE: url})
        self.root = new_project(folder / "tiny")

    def kit(self, *arguments: str, code: int = 0) -> Done:
        done = kit(self.root, *arguments, env=self.env, code=code)
        assert PASSWORD not in done.out + done.err
        assert "Traceback" not in done.err
        return done


def test_a_run_on_a_server(tmp_path: Path, postgres: Postgres, database: str) -> None:
    place = Place(tmp_path, postgres.url(database))
    place.kit("run", "--name", "first")
    [run] = place.kit("runs", "--json").json()
    assert (run["name"], run["status"]) == ("first", "succeeded")
    assert postgres.ask(database, "SELECT name, status, tracked FROM kit_tiny.runs") == [("first", "succeeded", True)]
    assert not (place.root / ".kit" / "store.db").exists()
    until(lambda: postgres.connections(database) == 0, "everyone to have left")
    kept = [path for path in place.root.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert kept == []


def test_a_task_that_fails_with_the_url_does_not_tell_it(tmp_path: Path, postgres: Postgres, database: str) -> None:
    place = Place(tmp_path, postgres.url(database))
    tells = """
        import os

        def train(cfg: dict) -> None:
            url = os.environ["KIT_STORE"]
            raise RuntimeError(f"cannot reach {url}: {url.split(':')[2]}")
        """
    experiment = "# @package _global_\ntask: tiny.tells.train\n"
    write(place.root, {"src/tiny/tells.py": tells, "conf/experiment/tells.yaml": experiment})
    failed = place.kit("run", "experiment=tells", code=1)
    assert "cannot reach postgresql://kit:***@127.0.0.1" in " ".join(failed.err.split()) + " ".join(failed.out.split())
    [(reason,)] = postgres.ask(database, "SELECT reason FROM kit_tiny.runs")
    assert "cannot reach" in reason
    assert PASSWORD not in reason
    kept = [path for path in place.root.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert kept == []


def test_the_setting_names_it_too_and_the_environment_wins(
    tmp_path: Path, postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = new_project(tmp_path / "tiny")
    project = root / "pyproject.toml"
    url = postgres.url(database)
    text = project.read_text()
    project.write_text(text.replace("[tool.kit]", f'[tool.kit]\nstore = "{url.replace(f":{PASSWORD}", "")}"'))
    assert "store =" in project.read_text()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    starting(open_project(root).store)
    assert postgres.ask(database, "SELECT run_id FROM kit_tiny.runs") == [("a1",)]
    monkeypatch.setenv(VARIABLE, postgres.url(postgres.new_database()))
    assert open_project(root).store.runs(RunQuery()) == []
    monkeypatch.delenv(VARIABLE)
    project.write_text(text.replace("[tool.kit]", f'[tool.kit]\nstore = "{url}"'))
    with pytest.raises(UserError, match="a password in a file that git keeps") as caught:
        _ = open_project(root).store
    assert PASSWORD not in str(caught.value)


def wrong(server: Postgres, database: str) -> dict[str, tuple[str, int, str]]:
    """URLs that do not work: with what code kit leaves, and what it says."""
    port = closed_port()
    return {
        "password": (server.url(database, password="wr0ng-h0rse"), 4, "the password is wrong"),
        "database": (server.url("nothing"), 4, "there is no such database"),
        "port": (server.url(database, port=port), 4, "connection refused"),
        "host": (server.url(database, host="nowhere.invalid"), 4, "there is no such host"),
        "user": (server.url(database).replace("//kit:", "//nobody:"), 4, "the password is wrong"),
        "option": (server.url(database) + "?sslmoed=require", 4, "sslmoed"),
        "scheme": (server.url(database).replace("postgresql:", "mysql:"), 2, "mysql: is no store that kit knows"),
        "nothing": (f"postgresql://kit:{PASSWORD}@127.0.0.1", 2, "names no database"),
        "no url": (f"kit:{PASSWORD}@127.0.0.1/x", 2, "no store that kit knows"),
        "no port": (f"postgresql://kit:{PASSWORD}@127.0.0.1:x/y", 2, "cannot be understood"),
    }


@pytest.mark.parametrize(
    "fault", ["password", "database", "port", "host", "user", "option", "scheme", "nothing", "no url", "no port"]
)
def test_a_url_that_does_not_work_is_explained(fault: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    url, code, says = wrong(postgres, "postgres")[fault]
    monkeypatch.setattr(of_postgres, "_FIRST_SECONDS", 1.0)
    with pytest.raises((HostError, UserError), match=says) as caught:
        open_at(url)
    assert caught.value.exit_code == code
    assert caught.value.fix
    assert PASSWORD not in str(caught.value)
    assert "wr0ng-h0rse" not in str(caught.value)
    if code == 4:
        assert "127.0.0.1" in str(caught.value) or "nowhere.invalid" in str(caught.value)


def test_a_command_says_what_is_wrong(tmp_path: Path, postgres: Postgres) -> None:
    place = Place(tmp_path, postgres.url("nothing"))
    done = place.kit("runs", code=4)
    assert f"127.0.0.1:{postgres.port}/nothing" in " ".join(done.err.split())
    assert "createdb" in done.err


def test_without_the_driver_it_is_said_how_to_get_it(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_postgres._connect.cache_clear()
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(HostError, match="driver for PostgreSQL is not installed") as caught:
        open_at(postgres.url(database))
    assert caught.value.exit_code == 3
    assert "mlekit[postgres]" in (caught.value.fix or "")


# Slow ones are not measured for coverage, and who is measured is not forked.
@pytest.mark.slow
def test_forked_runs_have_connections_of_their_own_and_rehearsals_leave_nothing(
    tmp_path: Path, postgres: Postgres, database: str
) -> None:
    """Also where a store in a file is left from before: what is rehearsed on its copy is not written to the server."""
    place = Place(tmp_path, postgres.url(database))
    before = {name: value for name, value in place.env.items() if name not in {VARIABLE, "KIT_FORKSERVER"}}
    kit(place.root, "run", "--name", "before", env=before | {"KIT_FORKSERVER": "off"})
    with forkserver(place.root, place.env):
        forking = {name: value for name, value in place.env.items() if name != "KIT_FORKSERVER"}
        assert postgres.connections(database) == 0
        for number in range(3):
            kit(place.root, "run", "--name", f"forked {number}", env=forking)
            assert status(place.root) is not None
    assert postgres.ask(database, "SELECT name, status FROM kit_tiny.runs ORDER BY created_at") == [
        (f"forked {number}", "succeeded") for number in range(3)
    ]
    assert postgres.connections(database) == 0
    [run] = kit(place.root, "runs", "--json", env=before | {"KIT_FORKSERVER": "off"}).json()
    assert run["name"] == "before"
