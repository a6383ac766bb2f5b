"""Shared ground of all tests: an isolated home and real, tiny projects."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

    from tests.databases import Postgres
    from tests.engines import Ray, Slurm

# How long an example takes is no property: the machine may be busy.
settings.register_profile("kit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A change is judged by the same examples each time; whoever works on it searches on, with others each time.
settings.register_profile("ci", settings.get_profile("kit"), derandomize=True)
settings.load_profile("kit")

# The projects that tests make have environments of their own; `uv sync` in one must never reach the developer's.
for _leads_elsewhere in ("UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV"):
    os.environ.pop(_leads_elsewhere, None)

# A shell without job control starts background commands with Ctrl-C ignored, `nohup` with SIGHUP, and whatever they
# start inherits that.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

REPOSITORY = Path(__file__).resolve().parent.parent
# Downloads are the one thing of the developer's that tests share: read before HOME is another.
_UV_CACHE = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")


@pytest.fixture(autouse=True)
def _isolated_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the developer's own HOME, git identity, DVC site cache or tracking server."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.invalid")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(home / "dvc-site"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    # Seven processes that no test has work for.
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    for name in [name for name in os.environ if name.startswith(("MLFLOW_TRACKING", "MLFLOW_RUN", "KIT_"))]:
        monkeypatch.delenv(name)
    # One for each of hundreds of projects would be a machine's worth of them; its own tests turn it on.
    monkeypatch.setenv("KIT_FORKSERVER", "off")


@pytest.fixture(scope="module", autouse=True)
def _no_forkserver_stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those that commands have started behind themselves, where they are let."""
    yield
    from tests.support import stop_forkservers  # what it needs is heavy, and few tests have need of it

    stop_forkservers(tmp_path_factory.getbasetemp())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Have what measures coverage go on after a test that left pdb in its own process: pdb lets go of it."""
    tracing = sys.gettrace()
    done = yield
    if tracing is not None and sys.gettrace() is None:
        sys.settrace(tracing)
    return done


_ENGINES = ("slurm", "ray")
"""Fixtures that are a cluster: one is enough for a machine."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Have all tests of a cluster run in one process, where `--dist loadgroup` is given, so that it is started once.

    They are known by their names: marks of groups do not reach xdist 3.8 from pytest 9.2 (pytest-xdist#1386).
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByEngine(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            words = set(re.split(r"[^a-z]+", nodeid.partition("::")[0])) | set(re.split(r"[\[\]-]", nodeid))
            return next((engine for engine in _ENGINES if engine in words), nodeid)

    return ByEngine(config, log)


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A SLURM cluster of three nodes, for as long as the tests of this process go on."""
    from tests.engines import slurm_cluster  # few tests need it

    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray() -> Iterator[Ray]:
    """A Ray cluster of two nodes, for as long as the tests of this process go on."""
    from tests.engines import ray_cluster  # few tests need it

    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; tests make databases of their own in it."""
    from tests.databases import postgres_server  # few tests need it

    with postgres_server() as server:
        yield server


@pytest.fixture
def uv_cache() -> Path:
    """Where uv keeps what it downloaded, for tests that make environments."""
    return _UV_CACHE


@pytest.fixture
def free_port() -> int:
    """A port on the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def git(folder: Path, *arguments: str) -> str:
    """Run real git in `folder` and return what it printed."""
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(folder: Path, files: dict[str, str]) -> None:
    """Write dedented texts below `folder`."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))


TINY_PROJECT = {
    "pyproject.toml": """
        [project]
        name = "tiny"
        version = "0.1.0"

        [tool.kit]
        package = "tiny"
        """,
    ".gitignore": "__pycache__/\n.kit/\nmlflow.db*\nmlruns/\n",
    "src/tiny/__init__.py": "",
    "src/tiny/train.py": '''
        """A task that takes no time."""

        from dataclasses import dataclass

        import kit


        @dataclass(frozen=True)
        class Model:
            depth: int = 3
            rate: float = 0.1


        @dataclass(frozen=True)
        class TrainConfig:
            model: Model
            steps: int = 3


        def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]:
            for step in run.progress(range(cfg.steps)):
                run.log({"loss": 1.0 / (step + 1)}, step=step)
            print("hello from the task")
            return {"score": cfg.model.rate * cfg.model.depth}
        ''',
    "conf/config.yaml": """
        defaults:
          - _self_
          - model: small
          - experiment: baseline

        seed: 7
        steps: 3
        """,
    "conf/model/small.yaml": """
        depth: 3
        rate: 0.1
        """,
    "conf/model/large.yaml": """
        depth: 9
        rate: 0.01
        """,
    "conf/experiment/baseline.yaml": """
        # @package _global_
        task: tiny.train.train
        """,
    "conf/experiment/deep.yaml": """
        # @package _global_
        defaults:
          - override /model: large

        task: tiny.train.train
        steps: 5
        """,
}


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Path]:
    """Make a real project, committed to git: the tiny one, with `files` added or replaced."""

    def make(files: dict[str, str] | None = None, *, name: str = "tiny") -> Path:
        root = tmp_path / name
        write(root, TINY_PROJECT | (files or {}))
        git(root, "init", "--quiet", "--initial-branch=main")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", "start")
        return root

    return make


@pytest.fixture
def project(make_project: Callable[..., Path]) -> Path:
    """The tiny project."""
    return make_project()
