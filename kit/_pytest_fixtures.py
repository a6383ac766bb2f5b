"""The fixtures and the mark that the tests of a project have. `kit.pytest_plugin` brings them in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from kit.run import Run
    from kit.testing.experiments import ExperimentRun
    from kit.testing.temporary import TemporaryProject

__all__ = ["KitConfig", "add_markers", "kit_config", "kit_experiment", "kit_floors", "kit_project", "kit_run"]

_MARK = "experiment"


class KitConfig(Protocol):
    """What `kit_config` gives."""

    def __call__(self, *overrides: str, schema: type[Any] | None = None) -> Any: ...


def add_markers(config: pytest.Config) -> None:
    """Have `--strict-markers` know the mark, and `--markers` explain it."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(name, *overrides): run conf/experiment/<name>.yaml for real, once a session, and fail unless it "
        "succeeds; the fixture `kit_experiment` is its result.",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test that only has the mark still asks that the experiment runs."""
    if (
        isinstance(item, pytest.Function)
        and item.get_closest_marker(_MARK)
        and "kit_experiment" not in item.fixturenames
    ):
        item.fixturenames.append("kit_experiment")


@pytest.fixture
def kit_config(request: pytest.FixtureRequest) -> KitConfig:
    """Compose the config that `kit run OVERRIDES` would use: `kit_config("experiment=fast", schema=TrainConfig)`."""
    from kit.testing import compose_config, typed_config

    root = _root(request)

    def compose(*overrides: str, schema: type[Any] | None = None) -> Any:
        with _short():
            return (
                compose_config(overrides, root=root) if schema is None else typed_config(schema, overrides, root=root)
            )

    return compose


@pytest.fixture
def kit_run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """A run to give to a task: nothing of it leaves the test's folder; its `metrics` are what was logged."""
    from kit.testing import fake_run

    return fake_run(tmp_path / "kit_run", name=request.node.name)


@pytest.fixture
def kit_floors(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """What the project's tests/floor.toml says that metrics must reach."""
    from kit.testing import load_floors

    with _short():
        return load_floors(_root(request))


@pytest.fixture
def kit_project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TemporaryProject:
    """A copy of the project that the test may change: in a git of its own, with store and tracking of its own.

    What git ignores is not in it, so neither is data that DVC fetched.
    """
    from kit.testing.temporary import copy_project

    with _short():
        project = copy_project(_root(request), tmp_path / "kit_project")
    # A test must never reach the team's server, whatever the settings name.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.root}/mlflow.db")
    monkeypatch.setenv("KIT_FORKSERVER", "off")
    monkeypatch.delenv("KIT_STORE", raising=False)
    return project


@pytest.fixture
def kit_experiment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExperimentRun:
    """The result of `@pytest.mark.experiment(name, *overrides)`: its metrics, parameters, folder and run id."""
    mark = request.node.get_closest_marker(_MARK)
    if mark is None or mark.kwargs or not mark.args or not all(isinstance(each, str) for each in mark.args):
        pytest.fail('mark it like this: @pytest.mark.experiment("baseline", "model.depth=3")', pytrace=False)
    with _short():
        name, *more = mark.args
        reuse = bool(request.config.getoption("kit_reuse"))
        shared = _shared(request.config, tmp_path_factory)
        return _once_a_session(_root(request), (f"experiment={name}", *more), shared, reuse=reuse)


def _once_a_session(root: Path, overrides: tuple[str, ...], shared: Path, *, reuse: bool) -> ExperimentRun:
    """Whichever of xdist's processes comes first runs it; the others wait, and get what came of it."""
    import hashlib

    from filelock import FileLock

    from kit.errors import KitError, RunError
    from kit.testing.experiments import result_of, run_experiment

    key = hashlib.sha256(json.dumps([str(root), *overrides]).encode()).hexdigest()[:16]
    noted = shared / f"kit-experiment-{key}.json"
    with FileLock(f"{noted}.lock"):
        if noted.exists():
            known = json.loads(noted.read_text(encoding="utf-8"))
            if "error" in known:
                raise RunError(known["error"])
            return result_of(root, known["run_id"], reused=known["reused"])
        try:
            done = run_experiment(overrides, root=root, reuse=reuse, why="experiment")
        except KitError as error:
            noted.write_text(json.dumps({"error": str(error)}), encoding="utf-8")
            raise
        noted.write_text(json.dumps({"run_id": done.run_id, "reused": done.reused}), encoding="utf-8")
        return done


def _shared(config: pytest.Config, factory: pytest.TempPathFactory) -> Path:
    """A folder of this session's: that of each of xdist's processes lies in it."""
    base = factory.getbasetemp()
    # The environment is no witness: a pytest that a test of xdist's starts inherits it.
    return base.parent if hasattr(config, "workerinput") else base


def _root(request: pytest.FixtureRequest) -> Path:
    """The project of the test, wherever pytest was started."""
    from kit.paths import find_project

    with _short():
        return find_project(request.path.parent).root


@contextmanager
def _short() -> Iterator[None]:
    """A user's mistake is told as it is, without kit's own frames."""
    from kit.errors import KitError

    try:
        yield
    except KitError as error:
        pytest.fail(f"kit: {error}", pytrace=False)
