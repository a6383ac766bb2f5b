"""Looking for new versions of data on remotes: real clones, real DVC, remotes that fail, refuse and hang."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest

import kit
from kit import data
from kit.errors import HostError, KitError, ServiceError, UserError
from kit.project import open_project
from kit.schedule import Schedule
from kit.triggers import OnData
from kit.watch import DataWatch
from tests.conftest import git, write
from tests.support import closed_port, until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def dvc(folder: Path, *arguments: str) -> None:
    environment = os.environ | {"DVC_NO_ANALYTICS": "true", "HOME": str(folder.parent)}
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def commit(root: Path, message: str = "more") -> str:
    git(root, "add", "--all")
    git(root, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "--message", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository, `hub`, with two clones: `mine`, where schedules run, and `theirs`, where data is made."""
    place = tmp_path_factory.mktemp("original")
    git(place, "init", "--quiet", "--bare", "--initial-branch=main", "hub")
    theirs = place / "theirs"
    write(theirs, {"pyproject.toml": "[tool.kit]\n", ".gitignore": ".kit/\n", "data/raw.csv": "1\n", "data/b.csv": "b"})
    git(theirs, "init", "--quiet", "--initial-branch=main")
    dvc(theirs, "init", "--quiet")
    dvc(theirs, "add", "--quiet", "data/raw.csv", "data/b.csv")
    commit(theirs, "first")
    git(theirs, "remote", "add", "origin", "../hub")
    git(theirs, "push", "--quiet", "origin", "main")
    git(place, "clone", "--quiet", "hub", "mine")
    git(place / "mine", "remote", "set-url", "origin", "../hub")
    return place


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "place", symlinks=True)
    return tmp_path / "place"


@pytest.fixture
def make_watch(place: Path) -> Iterator[Callable[..., DataWatch]]:
    made: list[DataWatch] = []

    def make(**options: Any) -> DataWatch:
        made.append(DataWatch(open_project(place / "mine"), **options))
        return made[-1]

    yield make
    for watch in made:
        watch.close()


@pytest.fixture
def watch(make_watch: Callable[..., DataWatch]) -> DataWatch:
    return make_watch()


@pytest.fixture
def slow_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[psutil.Process]]:
    """An ssh that never answers, minds no polite request to end, and has children. Gives those that live."""
    mark = f"KIT_TEST_SSH_{tmp_path.name}"
    write(tmp_path, {"ssh": "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 1000 &\nsleep 1000\nsleep 1000\n"})
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))
    monkeypatch.setenv(mark, "1")

    def living() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                marked = mark in process.environ() and process.pid != os.getpid()
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    return living


def schedule(path: str = "data/raw.csv", *, rev: str = "main", remote: str = "origin", every: float = 60) -> Schedule:
    return Schedule("any", OnData(path, rev=rev, remote=remote, every=every))


def here(every: float = 60) -> Schedule:
    return Schedule("any", OnData("data/raw.csv", every=every))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def new_version(place: Path, text: str, *, branch: str = "main") -> str:
    """Have someone else give DVC another version, and push it; gives its MD5."""
    theirs = place / "theirs"
    write(theirs, {"data/raw.csv": text})
    dvc(theirs, "add", "--quiet", "data/raw.csv")
    commit(theirs, text)
    git(theirs, "push", "--quiet", "origin", f"HEAD:{branch}")
    return version_of(theirs)


def version_of(root: Path) -> str:
    version = data.recorded(root, "data/raw.csv")
    assert version is not None
    return version


def git_state(root: Path) -> dict[str, bytes]:
    """Everything under .git but the objects and kit's refs."""
    folder = root / ".git"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(("objects/", "refs/kit/"))}


def problem(watch: DataWatch, kind: type[KitError]) -> KitError:
    (error,) = watch.problems.values()
    assert type(error) is kind
    assert error.fix
    return error


class TestFetch:
    def test_new_versions_and_nothing_of_the_user_s_changes(self, place: Path, watch: DataWatch) -> None:
        mine = place / "mine"
        schedules = {"far": schedule(), "folder": schedule("data"), "near": here()}
        state, files = git_state(mine), sorted(mine.rglob("[!.]*"))
        old = version_of(mine)

        first = watch.look(schedules, NOW, wait=True)
        new = new_version(place, "2\n")
        assert watch.look(schedules, after(59), wait=True) == {}
        second = watch.look(schedules, after(60), wait=True)

        assert (first["far"], first["near"], second["far"], second["near"]) == (old, old, new, old)
        assert first["folder"] != second["folder"]
        assert second["folder"] == data.recorded(place / "theirs", "data")
        assert git_state(mine) == state
        assert [path for path in sorted(mine.rglob("[!.]*")) if ".git" not in path.parts] == [
            path for path in files if ".git" not in path.parts
        ]
        assert len(git(mine, "for-each-ref", "refs/kit/watch").splitlines()) == 1
        assert watch.problems == {}

    def test_without_waiting_a_later_call_tells(self, place: Path, watch: DataWatch) -> None:
        schedules = {"far": schedule(), "near": here()}

        assert watch.look(schedules, NOW, wait=False).keys() <= {"far", "near"}
        found = until(lambda: watch.look(schedules, after(1), wait=False), "the fetch")

        assert found == {"far": version_of(place / "mine")}

    def test_user_s_settings_change_nothing(self, place: Path, watch: DataWatch) -> None:
        mine = place / "mine"
        new = new_version(place, "2\n")
        git(place / "theirs", "tag", "release")
        git(place / "theirs", "push", "--quiet", "origin", "release")
        for name, value in (("fetch.prune", "true"), ("remote.origin.tagOpt", "--tags"), ("fetch.pruneTags", "true")):
            git(mine, "config", name, value)
        git(mine, "config", "--add", "remote.origin.fetch", "+refs/*:refs/mirror/*")
        write(mine, {".git/hooks/reference-transaction": "#!/bin/sh\nexit 1\n"})
        (mine / ".git/hooks/reference-transaction").chmod(0o755)
        state = git_state(mine)

        assert watch.look({"s": schedule()}, NOW, wait=True) == {"s": new}
        assert git_state(mine) == state

    @pytest.mark.parametrize("rev", ["refs/heads/main", "HEAD", "light", "annotated", "{commit}"])
    def test_revisions_of_every_kind(self, place: Path, watch: DataWatch, rev: str) -> None:
        new = new_version(place, "2\n")
        theirs = place / "theirs"
        git(theirs, "tag", "light")
        git(theirs, "-c", "user.name=x", "-c", "user.email=x@y", "tag", "--annotate", "-m", "x", "annotated")
        git(theirs, "push", "--quiet", "--tags", "origin")
        rev = rev.format(commit=git(theirs, "rev-parse", "HEAD"))

        assert watch.look({"s": schedule(rev=rev)}, NOW, wait=True) == {"s": new}
        assert git(place / "mine", "tag") == ""

    def test_history_that_was_rewritten(self, place: Path, watch: DataWatch) -> None:
        new = new_version(place, "2\n")
        assert watch.look({"s": schedule(every=1)}, NOW, wait=True) == {"s": new}
        git(place / "theirs", "reset", "--quiet", "--hard", "HEAD~1")
        git(place / "theirs", "push", "--quiet", "--force", "origin", "main")

        assert watch.look({"s": schedule(every=1)}, after(1), wait=True) == {"s": version_of(place / "mine")}

    def test_partial_and_shallow_clones(self, place: Path) -> None:
        git(place / "hub", "config", "uploadpack.allowFilter", "true")
        git(place, "clone", "--quiet", "--filter=blob:none", f"file://{place}/hub", "partial")
        git(place, "clone", "--quiet", "--depth=1", f"file://{place}/hub", "shallow")
        new = new_version(place, "2\n")

        for name in ("partial", "shallow"):
            watch = DataWatch(open_project(place / name))
            assert watch.look({"s": schedule()}, NOW, wait=True) == {"s": new}
            assert watch.problems == {}
        assert git(place / "shallow", "rev-parse", "--is-shallow-repository") == "true"

    def test_two_schedulers_at_once(self, place: Path, make_watch: Callable[..., DataWatch]) -> None:
        watches = [make_watch() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            for turn in range(5):
                commit_text = f"{turn}"
                write(place / "theirs", {"note.txt": commit_text})
                commit(place / "theirs", commit_text)
                git(place / "theirs", "push", "--quiet", "origin", "main")
                looks = [pool.submit(watch.look, {"s": schedule()}, after(60 * turn), wait=True) for watch in watches]
                assert [look.result() for look in looks] == [{"s": version_of(place / "mine")}] * 4
        assert [dict(watch.problems) for watch in watches] == [{}] * 4

    def test_many_schedules_are_one_fetch(
        self, place: Path, watch: DataWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, real = tmp_path / "log", shutil.which("git")
        write(tmp_path, {"bin/git": f'#!/bin/sh\necho "$*" >> "{log}"\nexec {real} "$@"\n'})
        (tmp_path / "bin/git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        schedules = {f"s{index}": schedule() for index in range(200)}

        found = watch.look(schedules, NOW, wait=True)

        assert found == dict.fromkeys(schedules, version_of(place / "theirs"))
        assert sum(" fetch " in line for line in log.read_text().splitlines()) == 1
        log.unlink()
        assert len(watch.look(schedules, after(60), wait=True)) == 200
        assert [" fetch " in line for line in log.read_text().splitlines()] == [True, False]  # the other: rev-parse


class TestTrouble:
    def test_revision_that_goes_and_comes_back(self, place: Path, watch: DataWatch) -> None:
        new = new_version(place, "2\n", branch="data")
        schedules = {"s": schedule(rev="data", every=1), "other": schedule(every=1)}
        assert watch.look(schedules, NOW, wait=True).keys() == {"s", "other"}

        git(place / "theirs", "push", "--quiet", "origin", ":data")
        assert watch.look(schedules, after(1), wait=True).keys() == {"other"}
        assert "has no revision 'data'" in problem(watch, UserError).what

        git(place / "theirs", "push", "--quiet", "origin", "HEAD:data")
        assert watch.look(schedules, after(2), wait=True)["s"] == new
        assert watch.problems == {}

    @pytest.mark.parametrize(
        ("rev", "fix"),
        [
            ("mian", "Did you mean 'main'?"),
            ("origin/main", "Did you mean 'main'?"),
            ("zzz", "See `git ls-remote origin`."),
            ("main~1", "Did you mean 'main'?"),
            ("main:refs/heads/evil", "See `git ls-remote origin`."),
            ("refs/heads/*", "See `git ls-remote origin`."),
            ("1" * 40, "See `git ls-remote origin`."),
        ],
    )
    def test_revision_that_is_not_there(self, place: Path, watch: DataWatch, rev: str, fix: str) -> None:
        before = git(place / "mine", "for-each-ref")

        assert watch.look({"s": schedule(rev=rev)}, NOW, wait=True) == {}

        assert problem(watch, UserError).fix == fix
        assert git(place / "mine", "for-each-ref") == before

    def test_tag_of_no_commit(self, place: Path, watch: DataWatch) -> None:
        git(place / "hub", "tag", "tree", "main^{tree}")

        assert watch.look({"s": schedule(rev="tree")}, NOW, wait=True) == {}
        assert "no commit" in problem(watch, UserError).what

    def test_unknown_remote(self, watch: DataWatch) -> None:
        assert watch.look({"s": schedule(remote="orgin")}, NOW, wait=True) == {}
        assert problem(watch, UserError).fix == "Did you mean 'origin'?"

    def test_unknown_path(self, watch: DataWatch) -> None:
        assert watch.look({"s": schedule("data/rwa.csv")}, NOW, wait=True) == {}
        assert problem(watch, UserError).fix == "Did you mean 'data/raw.csv'?"

    def test_remote_that_is_gone_and_comes_back(self, place: Path, watch: DataWatch) -> None:
        schedules = {"s": schedule(every=1), "near": here(every=1)}
        (place / "hub").rename(place / "away")

        assert watch.look(schedules, NOW, wait=True).keys() == {"near"}
        error = problem(watch, ServiceError)
        assert "'origin' cannot be fetched from" in error.what
        assert error.fix == "Try it by hand: `git fetch origin main`."

        (place / "away").rename(place / "hub")
        assert watch.look(schedules, after(1), wait=True).keys() == {"s", "near"}
        assert watch.problems == {}

    def test_no_secret_in_what_is_said(self, place: Path, watch: DataWatch) -> None:
        url = f"http://me:hunter2secret@127.0.0.1:{closed_port()}/hub.git"
        git(place / "mine", "remote", "set-url", "origin", url)
        schedules = {"name": schedule(), "address": schedule(remote=url)}

        assert watch.look(schedules, NOW, wait=True) == {}

        for error in watch.problems.values():
            assert type(error) is ServiceError
            assert "hunter2secret" not in str(error)
            assert "127.0.0.1" in str(error)

    def test_nobody_is_asked_for_a_password(
        self, place: Path, watch: DataWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = tmp_path / "asked"
        write(tmp_path, {"ask": f'#!/bin/sh\ntouch "{asked}"\necho no\n'})
        (tmp_path / "ask").chmod(0o755)
        monkeypatch.setenv("SSH_ASKPASS", str(tmp_path / "ask"))
        monkeypatch.setenv("DISPLAY", ":0")
        server = subprocess.Popen(
            [sys.executable, "-c", REFUSING_SERVER], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
        )
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            git(place / "mine", "remote", "set-url", "origin", f"http://127.0.0.1:{port}/hub.git")
            assert watch.look({"s": schedule()}, NOW, wait=True) == {}
        finally:
            server.kill()
            server.communicate()

        assert "could not read Username" in problem(watch, ServiceError).what
        assert not asked.exists()

    def test_repository_that_takes_no_ref(self, place: Path, watch: DataWatch) -> None:
        mine = place / "mine"
        assert watch.look({"s": schedule(every=1)}, NOW, wait=True).keys() == {"s"}
        ref = git(mine, "for-each-ref", "--format=%(refname)", "refs/kit/watch")
        git(mine, "update-ref", "-d", ref)
        git(mine, "update-ref", f"{ref}/in-the-way", "HEAD")

        assert watch.look({"s": schedule(every=1)}, after(1), wait=True) == {}
        with pytest.raises(HostError, match="cannot lock ref"):
            raise watch.problems["s"]

    def test_machine_without_git(self, watch: DataWatch, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")

        assert watch.look({"s": schedule()}, NOW, wait=True) == {}
        assert "git is not installed" in problem(watch, HostError).what

    def test_more_than_can_be_waited_for(
        self, place: Path, make_watch: Callable[..., DataWatch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = shutil.which("git")
        script = f'#!/bin/sh\ncase "$*" in *" fetch "*) sleep 1;; esac\nexec {real} "$@"\n'
        write(tmp_path, {"bin/git": script})
        (tmp_path / "bin/git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        names = [f"b{number}" for number in range(12)]
        for name in names:
            git(place / "hub", "branch", name, "main")
        watch = make_watch(patience=3.0)
        schedules = {name: schedule(rev=name, every=1000) for name in names}

        found = watch.look(schedules, NOW, wait=True)

        assert 0 < len(found) < len(names)
        assert watch.problems.keys() == schedules.keys() - found.keys()
        until(lambda: found.update(watch.look(schedules, NOW, wait=False)) or len(found) == len(names), "the rest")
        assert watch.problems == {}


REFUSING_SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class TestHangingRemote:
    @pytest.fixture(autouse=True)
    def _hangs(self, place: Path) -> None:
        git(place / "mine", "remote", "add", "slow", "ssh://nowhere.invalid/hub.git")

    def test_it_delays_nobody(
        self, place: Path, make_watch: Callable[..., DataWatch], slow_ssh: Callable[[], list[psutil.Process]]
    ) -> None:
        watch = make_watch(patience=900)
        schedules = {"slow": schedule(remote="slow", every=1), "far": schedule(every=1), "near": here(every=1)}
        new = new_version(place, "2\n")

        found: dict[str, str] = {}
        turns = 0

        def turn() -> bool:
            nonlocal turns
            turns += 1
            found.update(watch.look(schedules, after(turns), wait=False))
            return found.keys() == {"far", "near"} and turns > 20 and bool(slow_ssh())

        until(turn, "the others")

        assert found["far"] == new
        assert watch.problems == {}
        # Of what git starts, each is called git for a moment.
        until(lambda: sum(process.name() == "git" for process in slow_ssh()) == 1, "it to be asked once")

    def test_it_is_ended_as_a_whole_and_told(
        self, make_watch: Callable[..., DataWatch], slow_ssh: Callable[[], list[psutil.Process]]
    ) -> None:
        watch = make_watch(patience=1.0)
        schedules = {"slow": schedule(remote="slow"), "another": schedule(remote="slow", rev="other"), "near": here()}

        assert watch.look(schedules, NOW, wait=True).keys() == {"near"}

        assert watch.problems.keys() == {"slow", "another"}
        for error in watch.problems.values():
            assert type(error) is ServiceError
            assert error.what == "remote 'slow': no answer within 1 s"
            assert "git fetch slow" in str(error.fix)
        until(lambda: not slow_ssh(), "the end of git and ssh")
        assert watch.look(schedules, after(1), wait=True) == {}
        assert watch.problems.keys() == {"slow", "another"}

    def test_close_ends_it(
        self, make_watch: Callable[..., DataWatch], slow_ssh: Callable[[], list[psutil.Process]]
    ) -> None:
        watch = make_watch(patience=900)
        watch.look({"slow": schedule(remote="slow")}, NOW, wait=False)
        until(lambda: len(slow_ssh()) >= 3, "ssh and its child")

        watch.close()
        watch.close()

        until(lambda: not slow_ssh(), "the end of git and ssh")

    @pytest.fixture
    def start(
        self, place: Path, slow_ssh: Callable[[], list[psutil.Process]]
    ) -> Iterator[Callable[[float], subprocess.Popen[str]]]:
        """Start a process that looks, with so much patience, and ends when it reads a line."""
        script = """
            import sys
            from datetime import datetime, UTC
            from pathlib import Path
            from kit.project import open_project
            from kit.schedule import Schedule
            from kit.triggers import OnData
            from kit.watch import DataWatch

            watch = DataWatch(open_project(Path(".")), patience=float(sys.argv[1]))
            slow = Schedule("s", OnData("data", rev="main", remote="slow"))
            watch.look({"slow": slow}, datetime.now(UTC), wait=False)
            sys.stdin.readline()
            """
        made: list[subprocess.Popen[str]] = []

        def start(patience: float) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", dedent(script), str(patience)],
                cwd=place / "mine",
                env=os.environ | {"PYTHONPATH": str(Path(kit.__file__).parent.parent)},
                stdin=subprocess.PIPE,
                text=True,
            )
            made.append(process)
            until(lambda: {"git", "sleep"} <= {found.name() for found in slow_ssh()}, "ssh and its child")
            return process

        yield start
        for process in made:
            process.kill()
            process.communicate()

    def test_process_leaves_all_the_same(
        self, start: Callable[[float], subprocess.Popen[str]], slow_ssh: Callable[[], list[psutil.Process]]
    ) -> None:
        process = start(900)

        process.communicate("\n", timeout=300)

        assert process.returncode == 0
        until(lambda: not slow_ssh(), "the end of git and ssh")

    @pytest.mark.skipif(shutil.which("timeout") is None, reason="nobody else can end it")
    def test_process_that_is_killed_leaves_nothing_that_stays(
        self, start: Callable[[float], subprocess.Popen[str]], slow_ssh: Callable[[], list[psutil.Process]]
    ) -> None:
        process = start(8)

        process.kill()
        process.wait()

        until(lambda: not slow_ssh(), "the end of git and ssh")
