"""Objects as records: bounded, whole where they are small, and without a call to what they define."""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from kit.capsule import Value
from kit.capsule._session import recalled
from kit.capsule._text import notation
from kit.capsule._values import Describer
from kit.known_secrets import KnownSecrets

SECRET = "hunter2-correct-horse"


def described(value: object, name: str = "value", secrets: KnownSecrets | None = None, *, seconds: float = 60) -> Value:
    describer = Describer(secrets or KnownSecrets(), until=time.monotonic() + seconds)
    return describer.variables({name: value})[name]


def shown(value: object) -> str:
    return notation(described(value), 10_000)


class Colour(Enum):
    RED = 1


class Pair(NamedTuple):
    left: int
    right: str


@dataclass
class Model:
    depth: int = 3
    layers: list[int] = field(default_factory=lambda: [1, 2])


class Slots:
    __slots__ = ("never", "set")

    def __init__(self) -> None:
        self.set = 1


class Hostile:
    """Whoever asks it anything waits for ever."""

    def __init__(self) -> None:
        object.__setattr__(self, "kept", 1)

    def _never(self, *_: object) -> NoReturn:
        threading.Event().wait()
        raise AssertionError

    __repr__ = __str__ = __hash__ = __len__ = __iter__ = __bool__ = __eq__ = _never
    __getattribute__ = __getattr__ = _never

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self._never()

    @property
    def asked(self) -> int:
        return self._never()


@pytest.mark.parametrize(
    "value",
    [
        None, True, 5, -3.25, "text", "quoted 'and' \"that\"\n", b"bytes", 1j, [1, [2, []]], (1,), (), {"a": {"b": 1}},
        {1, 2}, frozenset({"x"}), {}, {(1, 2): "tuple"}, float("inf"),
    ],
)  # fmt: skip
def test_what_is_pythons_own_comes_back_as_it_was(value: object) -> None:
    again = recalled(described(value))
    assert again == value
    assert type(again) is type(value)


def test_nan_comes_back() -> None:
    assert str(recalled(described(float("nan")))) == "nan"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Model(), "Model(depth=3, layers=[1, 2])"),
        (Slots(), "Slots(set=1)"),
        (Pair(1, "b"), "Pair(left=1, right='b')"),
        (Colour.RED, "Colour.RED"),
        (OrderedDict(a=1), "{'a': 1}"),
        (defaultdict(list, a=[1]), "{'a': [1]}"),
        (deque([1, 2]), "deque([1, 2])"),
        (Path("/data/x"), "PosixPath('/data/x')"),
        (Decimal("1.5"), "Decimal('1.5')"),
        (datetime(2026, 3, 1, tzinfo=UTC), "datetime.datetime(2026, 3, 1, 0, 0, tzinfo=datetime.timezone.utc)"),
        (ValueError("bad", 3), "ValueError(args=('bad', 3))"),
        (range(3), "range(0, 3)"),
        (Model, f"<class {__name__}.Model>"),
        (sys, "<module sys>"),
        (described, "<function described>"),
        (object(), "<object>"),
        (OmegaConf.create({"a": {"b": [1, 2]}, "c": None}), "{'a': {'b': [1, 2]}, 'c': None}"),
        (OmegaConf.create({"a": "${b}", "b": 1}), "{'a': '${b}', 'b': 1}"),
    ],
)
def test_objects_are_what_they_hold(value: object, expected: str) -> None:
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros((500, 3)), "<ndarray: shape (500, 3), float64>"),
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.bool_(True), "True"),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), "<DataFrame: shape (2, 2)>"),
        (pd.Series([1.0, 2.0]), "<Series: shape (2,), float64>"),
        (pd.Timestamp("2026-03-01"), "Timestamp('2026-03-01 00:00:00')"),
    ],
)
def test_arrays_and_tables_are_what_they_say(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_of_a_table_the_columns_are_kept_and_of_a_small_array_the_values() -> None:
    table = recalled(described(pd.DataFrame({"a": [1], "b": ["x"]})))
    assert (table.shape, table.columns) == ((1, 2), ["a", "b"])
    array = recalled(described(np.array([1.0, np.nan])))
    assert (array.shape, array.dtype) == ((2,), "float64")
    assert str(array.values) == "[1.0, nan]"
    assert not hasattr(recalled(described(np.zeros(21))), "values")


def test_tensors_say_where_they_are() -> None:
    torch = pytest.importorskip("torch")
    tensor = recalled(described(torch.zeros(3, 4, requires_grad=True)))
    assert repr(tensor) == "<Tensor: shape (3, 4), torch.float32, cpu>"
    assert (tensor.shape, tensor.requires_grad, tensor.device) == ((3, 4), True, "cpu")


def test_nothing_that_a_class_defines_is_called() -> None:
    hostile = Hostile()
    assert notation(described([hostile, {"key": hostile}])) == "[Hostile(kept=1), {'key': Hostile(kept=1)}]"


def test_a_subclass_that_lies_is_taken_for_what_it_holds() -> None:
    class Lies(dict[str, int]):
        def __len__(self) -> int:
            raise RuntimeError

        def __iter__(self) -> NoReturn:
            raise RuntimeError

        items = keys = values = __iter__

    class Text(str):
        __slots__ = ()

        def __repr__(self) -> NoReturn:
            raise RuntimeError

        def __len__(self) -> int:
            return 10**9

    class Table(pd.DataFrame):
        @property
        def shape(self) -> NoReturn:
            raise RuntimeError

    assert shown(Lies(a=1)) == "{'a': 1}"
    assert shown(Text("abc")) == "'abc'"
    assert shown(Table({"a": [1]})) == "<Table: shape (1, 1)>"


def test_what_holds_itself_ends() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    assert shown(loop) == "[1, <itself>]"
    assert shown([loop, loop[:1]]) == "[[1, <itself>], [1]]"


def test_much_is_cut_and_how_much_is_known() -> None:
    rows = recalled(described(list(range(10_000))))
    assert len(rows) == 10_000
    assert rows[:3] == [0, 1, 2]
    assert rows[49] == 49
    assert repr(rows).endswith("49, … 9,950 more]")
    mapping = recalled(described({f"key{n}": n for n in range(1000)}))
    assert (len(mapping), mapping["key7"]) == (1000, 7)
    text = recalled(described("x" * 5000))
    assert (len(text), str(text)[:3]) == (5000, "xxx")
    assert repr(text).endswith("(5,000 characters)")
    assert shown(1 << 5000) == "<a number of 5001 bits>"


def test_what_was_not_kept_says_so() -> None:
    rows = recalled(described(list(range(10_000))))
    for asked in (lambda: rows[500], lambda: list(rows), lambda: rows[-1], lambda: bool(rows), lambda: rows[:100]):
        with pytest.raises(Exception, match="recorded"):
            asked()
    with pytest.raises(AttributeError, match="was not recorded, but shape, dtype"):
        _ = recalled(described(np.zeros(100))).mean


def test_what_is_deep_ends() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert len(shown(deep)) < 100


def test_one_variable_does_not_take_the_room_of_the_others() -> None:
    describer = Describer(KnownSecrets(), until=time.monotonic() + 60)
    wide = [[[list(range(50)) for _ in range(50)] for _ in range(50)] for _ in range(50)]
    found = describer.variables({"wide": wide, "after": "seen"})
    assert notation(found["after"]) == "'seen'"
    assert len(str(found["wide"])) < 200_000


def test_when_time_is_up_names_remain() -> None:
    assert described([1, 2], seconds=-1) == Value("list", "<…>")


def test_a_secret_name_masks_what_it_holds() -> None:
    for name in ("password", "api_key", "DB_PASSWORD", "client_secret"):
        for value in (SECRET, 12345, [SECRET], {"a": SECRET}, Model(), b"bytes"):
            assert described(value, name).text == "***"
    config = {"db": {"password": SECRET, "port": 5432}, "token": SECRET}
    assert shown(config) == "{'db': {'password': ***, 'port': 5432}, 'token': ***}"
    assert described(None, "password").text == "None"
    assert described(5, "token").text == "5"


def test_a_known_secret_is_masked_in_whatever_it_stands() -> None:
    known = KnownSecrets([SECRET, "12345"])
    for value in (SECRET, SECRET.encode(), [f"a {SECRET}"], {SECRET: 1}, Model(layers=[12345]), Path(f"/x/{SECRET}")):
        text = notation(described(value, secrets=known), 10_000)
        assert SECRET not in text
        assert "12345" not in text
        assert "***" in text


def test_what_was_masked_by_its_name_is_remembered() -> None:
    describer = Describer(KnownSecrets(), until=time.monotonic() + 60)
    describer.variables({"password": "short", "cfg": {"api_key": [SECRET]}, "token": "word", "hf_token": "abc-123-def"})
    assert describer.met == {"short", SECRET, "abc-123-def"}


def test_what_changes_while_it_is_read_costs_only_itself() -> None:
    class Grows(dict[object, object]):
        pass

    growing = Grows()

    class Key:
        pass

    growing.update({Key(): n for n in range(10)})
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            growing[Key()] = 1
            if len(growing) > 10_000:
                growing.clear()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(50):
            found = Describer(KnownSecrets(), until=time.monotonic() + 60).variables({"growing": growing, "after": 1})
            assert found["after"].text == "1"
    finally:
        stop.set()
        thread.join()
