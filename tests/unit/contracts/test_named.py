"""Which contracts a config names."""

from __future__ import annotations

from typing import Any

import pytest

from kit.contracts import Contract, named
from kit.errors import UserError


@pytest.mark.parametrize("key", ["path", "file", "folder"])
def test_a_contract_is_about_the_data_beside_it(key: str) -> None:
    config = {"data": {key: "data/x", "contract": "a.b:C"}}
    assert named(config) == (Contract("data", "a.b:C", "data/x"),)


def test_it_may_say_itself_what_it_is_about() -> None:
    config = {"data": {"folder": "data/x", "contract": {"schema": "a.b:C.D", "path": "data/y.csv"}}}
    assert named(config) == (Contract("data", "a.b:C.D", "data/y.csv"),)


def test_each_of_several_datasets_has_its_own() -> None:
    config = {
        "data": {
            "train": {"file": "a.csv", "contract": "m:A"},
            "test": {"file": "b.csv", "contract": "m:B"},
            "more": {"file": "c.csv"},
        }
    }
    assert [(each.name, each.path) for each in named(config)] == [("data.train", "a.csv"), ("data.test", "b.csv")]


@pytest.mark.parametrize(
    "config",
    [{}, {"data": "x.csv"}, {"data": {"contract": None, "folder": "x"}}, {"model": {"contract": "a:B", "path": "x"}}],
)
def test_elsewhere_or_taken_away_there_is_none(config: dict[str, Any]) -> None:
    assert named(config) == ()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"contract": "schema", "path": "x"}, "data.contract: 'schema' does not name a schema"),
        ({"contract": 5, "path": "x"}, "data.contract: 5 does not name a schema"),
        ({"contract": "a/b.py:X", "path": "x"}, "does not name a schema"),
        ({"contract": "a:B"}, "data.contract: nothing says what data it is about"),
        ({"contract": {"schema": "a:B", "paht": "x"}}, "unknown key 'paht'"),
    ],
)
def test_one_that_says_too_little_is_refused(data: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError) as raised:
        named({"data": data})
    assert what in raised.value.what
    assert raised.value.fix
