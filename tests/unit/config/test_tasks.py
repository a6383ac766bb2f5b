"""Finding the task, reading its signature, and making its argument."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError

from kit.config import TaskParameters, load_task, task_config, task_parameters
from kit.errors import UserError
from tests.conftest import write

if TYPE_CHECKING:
    import kit
    from kit.config import Composed as OnlyForCheckers


@dataclass
class Config:
    steps: int = 3


@pytest.fixture(autouse=True)
def _imports_are_undone() -> Iterator[None]:
    before, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"lab", "beside"}:
            del sys.modules[name]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "src/lab/__init__.py": "",
            "src/lab/_hidden.py": "",
            "src/lab/train.py": "VALUE = 3\n\ndef train(cfg): return {'a': 1.0}\n\ndef _private(cfg): ...\n",
            "src/lab/needs.py": "import no_such_package_xyz.part\n",
            "src/lab/learns.py": "import lab.deep\n",
            "src/lab/deep.py": "from sklearn_nope import x\n",
            "src/lab/yamls.py": "raise ModuleNotFoundError('No module named cv2', name='cv2')\n",
            "src/lab/broken.py": "import lab.missing\n",
            "src/lab/raises.py": "raise RuntimeError('mine')\n",
            "src/lab/partial.py": "from lab.train import nope\n",
            "beside.py": "def train(cfg): ...\n",
        },
    )
    return tmp_path


def problem(name: str, root: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        load_task(name, root)
    assert "\n" not in str(caught.value)
    return caught.value


def test_tasks_are_found_under_src_and_beside_it(root: Path) -> None:
    assert load_task("lab.train.train", root)({}) == {"a": 1.0}
    assert load_task("beside.train", root).__module__ == "beside"
    load_task("lab.train.train", root)
    assert sys.path.count(str(root / "src")) == 1


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("lab.trian.train", "task 'lab.trian.train': no module 'lab.trian'", "Did you mean 'train'?"),
        (
            "lab.zzz.train",
            "task 'lab.zzz.train': no module 'lab.zzz'",
            "Known there: broken, deep, learns, needs, partial, raises, train, yamls.",
        ),
        ("labb.train.train", "task 'labb.train.train': no module 'labb'", "Did you mean 'lab'?"),
        ("lab.train.train.method", "task 'lab.train.train.method': no module 'lab.train.train'", "Create the module."),
        ("lab.train.trane", "task 'lab.train.trane': no function 'trane' in lab.train", "Did you mean 'train'?"),
        (
            "lab.train.fit",
            "task 'lab.train.fit': no function 'fit' in lab.train",
            "Write it: `def fit(cfg: TrainConfig, run: kit.Run) -> dict[str, float]: ...`",
        ),
        ("lab.train.VALUE", "task 'lab.train.VALUE' is a int, not a function", "Name a function."),
        (
            "lab.needs.train",
            "task 'lab.needs.train': its code needs the package 'no_such_package_xyz', which is not installed",
            "Add it with `uv add no_such_package_xyz`.",
        ),
        (
            "lab.yamls.train",
            "task 'lab.yamls.train': its code needs the package 'cv2', which is not installed",
            "Add it with `uv add opencv-python`.",
        ),
        ("train", "task: 'train' does not name a function", "Write it as `task: package.module.function`."),
    ],
)
def test_what_is_not_there(root: Path, name: str, what: str, fix: str) -> None:
    error = problem(name, root)
    assert (error.what, error.fix) == (what, fix)


def test_a_missing_package_is_named_with_the_line_that_needs_it(root: Path) -> None:
    assert problem("lab.learns.train", root).where == f"{root}/src/lab/deep.py:1"


@pytest.mark.parametrize(
    ("module", "kind", "text"),
    [
        ("broken", ModuleNotFoundError, "lab.missing"),
        ("raises", RuntimeError, "mine"),
        ("partial", ImportError, "cannot import name 'nope'"),
    ],
)
def test_what_the_users_code_raises_is_the_users(root: Path, module: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        load_task(f"lab.{module}.train", root)


def plain(cfg: Config) -> None: ...
def with_run(cfg: Config, run: kit.Run) -> None: ...
def other_name(cfg: Config, tracking: kit.Run) -> None: ...
def run_by_keyword(cfg: Config, *, run: kit.Run) -> None: ...
def unannotated(cfg, run) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def as_dictconfig(cfg: DictConfig) -> None: ...
def as_any(cfg: Any) -> None: ...
def as_dict(cfg: dict[str, Any]) -> None: ...
def as_mapping(cfg: Mapping[str, Any]) -> None: ...
def with_defaults(cfg: Config, verbose: bool = False, run: kit.Run | None = None, *rest: int, **more: int) -> None: ...


@functools.wraps(with_run)
def wrapped(*args: Any, **kwargs: Any) -> None: ...


class Trainer:
    def __call__(self, cfg: Config, run: object) -> None: ...


def config_called_run(run: Config) -> None: ...
def optional_run(cfg: Config, tracking: kit.Run | None = None) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, TaskParameters(Config, "dataclass", wants_run=False)),
        (with_run, TaskParameters(Config, "dataclass", wants_run=True)),
        (other_name, TaskParameters(Config, "dataclass", wants_run=True, run_name="tracking")),
        (run_by_keyword, TaskParameters(Config, "dataclass", wants_run=True, run_by_name=True)),
        (unannotated, TaskParameters(None, "dictconfig", wants_run=True)),
        (as_dictconfig, TaskParameters(None, "dictconfig", wants_run=False)),
        (as_any, TaskParameters(None, "dictconfig", wants_run=False)),
        (as_dict, TaskParameters(None, "dict", wants_run=False)),
        (as_mapping, TaskParameters(None, "dict", wants_run=False)),
        (with_defaults, TaskParameters(Config, "dataclass", wants_run=True, run_by_name=True)),
        (wrapped, TaskParameters(Config, "dataclass", wants_run=True)),
        (
            functools.partial(with_defaults, verbose=True),
            TaskParameters(Config, "dataclass", wants_run=True, run_by_name=True),
        ),
        (Trainer(), TaskParameters(Config, "dataclass", wants_run=True)),
        (config_called_run, TaskParameters(Config, "dataclass", wants_run=False)),
        (optional_run, TaskParameters(Config, "dataclass", wants_run=True, run_name="tracking")),
    ],
)
def test_signatures(function: Callable[..., Any], expected: TaskParameters) -> None:
    assert task_parameters(function) == expected


def test_a_signature_without_future_annotations() -> None:
    run_class: Any = type("Run", (), {"__module__": "kit.run"})

    def task(cfg: Config, tracking: object) -> None: ...

    for annotation in (run_class, run_class | None):
        task.__annotations__ = {"cfg": Config, "tracking": annotation}
        assert task_parameters(task) == TaskParameters(Config, "dataclass", wants_run=True, run_name="tracking")


def nothing() -> None: ...
def only_run(run: kit.Run) -> None: ...
def only_a_bare_run(run) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def only_keywords(*, run: kit.Run) -> None: ...
def only_rest(*args: Any) -> None: ...
def as_number(cfg: int) -> None: ...
def too_many(cfg: Config, model: object) -> None: ...
async def asynchronous(cfg: Config) -> None: ...
async def stream(cfg: Config) -> AsyncIterator[int]:
    yield 1


def generator(cfg: Config) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (nothing, "must take the config first"),
        (only_a_bare_run, "must take the config first"),
        (only_run, "must take the config first"),
        (only_keywords, "must take the config first"),
        (only_rest, "must take the config first"),
        (as_number, "must take a dataclass, DictConfig or dict first, not int"),
        (too_many, "has a parameter that kit does not know: 'model'"),
        (asynchronous, "must be a plain function, not async or a generator"),
        (stream, "must be a plain function, not async or a generator"),
        (generator, "must be a plain function, not async or a generator"),
    ],
)
def test_wrong_signatures(function: Callable[..., Any], problem: str) -> None:
    with pytest.raises(UserError) as caught:
        task_parameters(function)
    name = function.__name__
    assert caught.value.what == f"task {name!r} {problem}"
    assert caught.value.where == f"{__file__}:{function.__code__.co_firstlineno}"
    assert caught.value.fix == f"Write it as `def {name}(cfg: TrainConfig, run: kit.Run) -> dict[str, float]: ...`"


def only_checked(cfg: OnlyForCheckers) -> None: ...


def test_an_annotation_for_type_checkers_only() -> None:
    with pytest.raises(UserError) as caught:
        task_parameters(only_checked)
    assert caught.value.what == (
        "task 'only_checked': cannot read the annotation 'OnlyForCheckers': name 'OnlyForCheckers' is not defined"
    )
    assert caught.value.fix == "Import the name at the top of the module, not under `if TYPE_CHECKING:`."


def test_the_argument_is_what_the_task_asks_for() -> None:
    config = {"steps": 4, "texts": ["${x}", {"y": "a ${"}], "task": "a.b"}

    def made(function: Callable[..., Any], config: dict[str, Any] = config) -> Any:
        return task_config(task_parameters(function), config, where=lambda _: None)

    assert made(plain, {"steps": 4, "task": "a.b"}) == Config(4)
    assert made(as_dict) == config
    assert made(as_dict) is not config
    open_config = made(as_dictconfig)
    assert isinstance(open_config, DictConfig)
    assert open_config.texts[0] == "${x}"
    assert open_config.texts[1].y == "a ${"
    with pytest.raises(ConfigAttributeError):
        open_config.stepps = 3
