"""The configuration as a dataclass: what fits, and one line for what does not."""

from __future__ import annotations

import enum
import importlib.util
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Annotated, Any, Literal, NewType, Optional, Union

import msgspec
import pytest
from omegaconf import MISSING, DictConfig, ListConfig

from kit.config import compose, typed
from kit.errors import UserError

Metres = NewType("Metres", float)


class Colour(enum.Enum):
    RED = "r"
    BLUE = 2
    HALF = 0.5


class Opaque:
    """A type that no configuration can hold."""


@dataclass(frozen=True, slots=True)
class Layer:
    size: int
    activation: Literal["relu", "tanh"] = "relu"


@dataclass(frozen=True)
class Model:
    rate: float = 0.1
    depth: int = 3


@dataclass
class Everything:
    model: Model
    layers: list[Layer] = field(default_factory=list)
    pair: tuple[int, str] = (1, "a")
    many: tuple[float, ...] = ()
    names: set[str] = field(default_factory=set)
    by_name: dict[str, Layer] = field(default_factory=dict)
    by_number: dict[int, float] = field(default_factory=dict)
    by_colour: Mapping[Colour, int] = field(default_factory=dict)
    sequence: Sequence[Path] = ()
    colour: Colour = Colour.RED
    maybe: Layer | None = None
    old_maybe: Optional[int] = None  # noqa: UP045 users write it
    either: Union[int, str, None] = None  # noqa: UP007 users write it
    path: Path = Path()
    maybe_path: Path | None = None
    pure: PurePosixPath | None = None
    day: date = date(2000, 1, 1)
    anything: Any = None
    bare: dict = field(default_factory=dict)  # type: ignore[type-arg]
    plain_list: list = field(default_factory=list)  # type: ignore[type-arg]
    open: DictConfig | None = None
    row: ListConfig | None = None
    bounded: Annotated[int, msgspec.Meta(gt=0)] = 1
    noted: Annotated[list[Path], "documented"] = field(default_factory=list)
    length: Metres = Metres(0.0)
    model_or_layer: Layer | Model | None = None
    list_or_number: list[int] | float = 0.0
    hidden: int = field(default=5, init=False)


def where(key: str) -> str | None:
    return {"model": "conf/config.yaml", "model.rate": "conf/model/small.yaml", "layers": "command line"}.get(key)


def make(**config: object) -> Everything:
    return typed({"model": {}, **config}, Everything, where=where)


def problem(**config: object) -> tuple[str, str | None, str | None]:
    with pytest.raises(UserError) as caught:
        make(**config)
    return caught.value.what, caught.value.where, caught.value.fix


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("model", {"rate": 1}, Model(1.0)),
        ("layers", [{"size": 1}, {"size": 2, "activation": "tanh"}], [Layer(1), Layer(2, "tanh")]),
        ("pair", [2, "b"], (2, "b")),
        ("many", [1, 2.5], (1.0, 2.5)),
        ("names", ["a", "a"], {"a"}),
        ("by_name", {"x": {"size": 1}}, {"x": Layer(1)}),
        ("by_number", {"1": 2}, {1: 2.0}),
        ("by_colour", {"RED": 2}, {Colour.RED: 2}),
        ("sequence", ["a/b"], [Path("a/b")]),
        ("colour", "BLUE", Colour.BLUE),
        ("colour", "r", Colour.RED),
        ("colour", 2, Colour.BLUE),
        ("colour", 0.5, Colour.HALF),
        ("maybe", {"size": 1}, Layer(1)),
        ("maybe", None, None),
        ("old_maybe", 3, 3),
        ("either", "a", "a"),
        ("either", 1, 1),
        ("either", None, None),
        ("path", "a", Path("a")),
        ("maybe_path", "a", Path("a")),
        ("pure", "a", PurePosixPath("a")),
        ("day", "2020-02-03", date(2020, 2, 3)),
        ("anything", {"a": [1]}, {"a": [1]}),
        ("bare", {"a": 1}, {"a": 1}),
        ("plain_list", [1, "a"], [1, "a"]),
        ("open", {"a": {"b": 1}}, DictConfig({"a": {"b": 1}})),
        ("row", [1], ListConfig([1])),
        ("bounded", 2, 2),
        ("noted", ["a"], [Path("a")]),
        ("length", 2, 2.0),
        ("model_or_layer", {"size": 1}, Layer(1)),
        ("model_or_layer", {"depth": 1}, Model(depth=1)),
        ("list_or_number", [1], [1]),
        ("list_or_number", 2, 2.0),
    ],
)
def test_what_fits(name: str, value: object, expected: object) -> None:
    made = getattr(make(**{name: value}), name)
    assert made == expected
    assert type(made) is type(expected)


def test_defaults_and_reserved_keys() -> None:
    made = make(task="a.b", seed=1, name="n", tags={}, note="", timeout=3)
    assert made.hidden == 5
    assert made.model == Model()

    @dataclass
    class WithSeed:
        seed: int

    assert typed({"seed": 4, "task": "a.b"}, WithSeed, where=where) == WithSeed(4)


@pytest.mark.parametrize(
    ("config", "what", "place", "fix"),
    [
        (
            {"model": {"rate": "abc"}},
            "model.rate: expected float, got str 'abc'",
            "conf/model/small.yaml",
            "Give it a value of type float.",
        ),
        (
            {"model": {"rate": None}},
            "model.rate: expected float, got null",
            "conf/model/small.yaml",
            "Give it a value of type float.",
        ),
        (
            {"model": {"depth": True}},
            "model.depth: expected int, got bool True",
            "conf/config.yaml",
            "Give it a value of type int.",
        ),
        (
            {"model": {"depth": 1.5}},
            "model.depth: expected int, got float 1.5",
            "conf/config.yaml",
            "Give it a value of type int.",
        ),
        (
            {"model": 3},
            "model: expected a mapping for Model, got int 3",
            "conf/config.yaml",
            "Give it a mapping for Model.",
        ),
        (
            {"model": {"rte": 1}},
            "model.rte: Model has no such field",
            "conf/config.yaml",
            "Did you mean 'rate'?",
        ),
        (
            {"zzz": 1},
            "zzz: Everything has no such field",
            None,
            "Add the field to Everything, or take the key out.",
        ),
        ({"hidden": 1}, "hidden: Everything has no such field", None, None),
        (
            {"layers": [{"size": 1}, {"size": "x"}]},
            "layers[1].size: expected int, got str 'x'",
            "command line",
            "Give it a value of type int.",
        ),
        (
            {"layers": [{"size": 1, "activation": "rlu"}]},
            "layers[0].activation: expected one of 'relu', 'tanh', got str 'rlu'",
            "command line",
            "Give it one of 'relu', 'tanh'.",
        ),
        (
            {"layers": [{}]},
            "layers[0].size: no value, Layer needs int",
            "command line",
            "Set it in a config, or with `kit run +layers[0].size=VALUE`.",
        ),
        ({"layers": 3}, "layers: expected a list of Layer, got int 3", "command line", None),
        ({"pair": [1]}, "pair: expected a list of 2, got list [1]", None, None),
        ({"colour": "GREEN"}, "colour: expected one of RED, BLUE, HALF, got str 'GREEN'", None, None),
        ({"maybe": {"size": "x"}}, "maybe.size: expected int, got str 'x'", None, None),
        ({"maybe": {"sise": 1}}, "maybe.sise: Layer has no such field", None, "Did you mean 'size'?"),
        ({"either": [1]}, "either: expected int | str | null, got list [1]", None, None),
        ({"path": 3}, "path: expected Path, got int 3 (not a path)", None, None),
        ({"names": [1]}, "names[0]: expected str, got int 1", None, 'Quote it: "1".'),
        ({"by_name": 3}, "by_name: expected a mapping, got int 3", None, None),
        ({"by_number": {"x": 1}}, "by_number.x: expected int, got str 'x'", None, None),
        ({"day": "soon"}, "day: expected date, got str 'soon' (Invalid RFC3339 encoded date)", None, None),
        ({"bounded": 0}, "bounded: expected int, got int 0 (Expected `int` >= 1)", None, None),
        ({"bare": [1]}, "bare: expected dict, got list [1]", None, None),
        (
            {"many": {"a": 1, "b": 2}},
            "many: expected a list of float, got a mapping of a, b",
            None,
            None,
        ),
        ({"many": "x" * 99}, f"many: expected a list of float, got str '{'x' * 56}...", None, None),
        (
            {"model_or_layer": {"x": 1}},
            "model_or_layer: expected Layer | Model | null, got a mapping of x",
            None,
            None,
        ),
    ],
)
def test_what_does_not_fit(config: dict[str, object], what: str, place: str | None, fix: str | None) -> None:
    told = problem(**config)
    assert told[:2] == (what, place)
    if fix is not None:
        assert told[2] == fix


def test_a_missing_key_of_the_whole() -> None:
    with pytest.raises(UserError) as caught:
        typed({}, Everything, where=where)
    assert caught.value.what == "model: no value, Everything needs Model"
    assert caught.value.where == __file__
    assert caught.value.fix == "Set it in a config, or with `kit run +model=VALUE`."


def test_omegaconfs_missing_is_no_default() -> None:
    @dataclass
    class Structured:
        rate: float = MISSING

    with pytest.raises(UserError, match="rate: no value, Structured needs float"):
        typed({}, Structured, where=where)


def test_the_dataclass_may_refuse() -> None:
    @dataclass
    class Positive:
        rate: float

        def __post_init__(self) -> None:
            if self.rate < 0:
                raise ValueError("rate must not be negative")

    with pytest.raises(UserError) as caught:
        typed({"rate": -1}, Positive, where=where)
    assert (caught.value.what, caught.value.fix) == (
        "Positive refuses it: rate must not be negative",
        "Change the values.",
    )

    @dataclass
    class Holder:
        model: Positive

    hints = {"Positive": Positive}
    Holder.__annotations__ = {"model": hints["Positive"]}
    with pytest.raises(UserError) as caught:
        typed({"model": {"rate": -1}}, Holder, where=where)
    assert caught.value.what == "model: Positive refuses it: rate must not be negative"
    assert caught.value.where == "conf/config.yaml"


def test_a_type_that_no_configuration_holds() -> None:
    for annotation in (Opaque, complex):
        made = type("Bad", (), {"__annotations__": {"thing": annotation}, "thing": None})
        with pytest.raises(UserError) as caught:
            typed({"thing": "x"}, dataclass(made), where=where)
        assert caught.value.what == f"thing: kit cannot make a {annotation.__name__} from a configuration"
        assert caught.value.fix == "Use a plain type in the dataclass, and make the other one in the task."


def test_an_annotation_that_msgspec_refuses() -> None:
    made = type("Bad", (), {"__annotations__": {"thing": typing.Callable[[int], int]}, "thing": None})
    with pytest.raises(UserError) as caught:
        typed({"thing": "x"}, dataclass(made), where=where)
    assert caught.value.what.startswith("thing: kit cannot make a ")


def _module(tmp_path: Path, source: str) -> ModuleType:
    path = tmp_path / "user_code.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("user_code", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["user_code"] = module
    spec.loader.exec_module(module)
    return module


def test_an_annotation_for_type_checkers_only(tmp_path: Path) -> None:
    module = _module(
        tmp_path,
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from pathlib import Path\n\n@dataclass\nclass Config:\n    path: Path\n",
    )
    with pytest.raises(UserError) as caught:
        typed({"path": "a"}, module.Config, where=where)
    assert caught.value.what == "Config has an annotation that cannot be read: name 'Path' is not defined"
    assert caught.value.where == str(tmp_path / "user_code.py")
    assert caught.value.fix == "Import the name at the top of the module, not under `if TYPE_CHECKING:`."


def test_origins_of_a_composed_configuration(project: Path) -> None:
    @dataclass
    class Wanted:
        model: Model
        steps: int = 1

    good = compose(project, "conf", "config", [])
    assert typed(good.config, Wanted, where=good.origins.get) == Wanted(Model(0.1, 3), 3)
    bad = compose(project, "conf", "config", ["model.rate=fast"])
    with pytest.raises(UserError) as caught:
        typed(bad.config, Wanted, where=bad.origins.get)
    assert (
        str(caught.value) == "model.rate: expected float, got str 'fast' (command line). Give it a value of type float."
    )
