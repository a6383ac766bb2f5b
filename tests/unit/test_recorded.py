"""A config that was recorded without its secrets, and has them again."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.config import Composed
from kit.errors import UserError
from kit.recorded import as_recorded, holds_secret
from kit.redact import MASK, mask_config

SECRET = "hunter2-correct-horse"


def composed(config: dict[str, Any], *secrets: str) -> Composed:
    return Composed(config, {}, "baseline", "tiny.train.train", (), frozenset(secrets))


def test_secrets_come_back_and_all_else_is_as_it_was_recorded() -> None:
    now = {
        "db": {"password": SECRET, "url": f"pg://me:{SECRET}@host/x", "shards": 4},
        "hosts": [f"https://me:{SECRET}@a", "b"],
        "derived": SECRET.upper(),
    }
    then = mask_config(now, {"derived"}) | {"rate": 0.1}
    then["db"]["shards"] = 3
    assert holds_secret(then)
    assert as_recorded(then, composed(now, "derived")) == (
        {**now, "db": now["db"] | {"shards": 3}, "rate": 0.1},  # type: ignore[operator]
        ("db.shards", "rate"),
    )


@pytest.mark.parametrize(
    ("then", "now", "key"),
    [
        ({"db": {"password": MASK}}, {"db": {"password": ""}}, "db.password"),
        ({"db": {"password": MASK}}, {"db": {"password": None}}, "db.password"),
        ({"db": {"password": MASK}}, {"db": {}}, "db.password"),
        ({"db": {"password": MASK}}, {}, "db"),
        ({"db": {"password": MASK}}, {"db": "sqlite://"}, "db"),
        ({"url": f"pg://me:{MASK}@host"}, {"url": f"pg://me:{SECRET}@elsewhere"}, "url"),
        ({"url": f"pg://me:{MASK}@host"}, {"url": "pg://host"}, "url"),
        ({"hosts": [f"https://me:{MASK}@a"]}, {"hosts": [f"https://me:{SECRET}@a", "b"]}, "hosts"),
        ({"derived": MASK}, {"derived": "not made from a secret"}, "derived"),
    ],
)
def test_a_secret_that_is_not_there_any_more_is_refused(then: dict[str, Any], now: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError, match=f"^{key} held a secret") as refused:
        as_recorded(then, composed(now))
    assert SECRET not in f"{refused.value} {refused.value.fix}"


def test_texts_have_the_names_that_folders_have_today() -> None:
    then = {
        "at": "/old/data",
        "in": ["/old/a", {"b": "/old/b"}],
        "url": f"file://me:{MASK}@/old/x",
        "gone": ["/old", 1],
    }
    now = {"at": "/new/data", "in": ["/new/a", {"b": "/new/b"}], "url": f"file://me:{SECRET}@/new/x"}
    found, others = as_recorded(then, composed(now), moved=lambda text: text.replace("/old", "/new"))
    assert found == now | {"gone": ["/new", 1]}
    assert others == ("gone",)


def test_a_number_of_another_type_is_another_value_and_nan_is_the_same() -> None:
    then: dict[str, Any] = {"steps": 3, "limit": math.nan}
    found, others = as_recorded(then, composed({"steps": 3.0, "limit": math.nan}))
    assert (repr(found), others) == ("{'steps': 3, 'limit': nan}", ("steps",))


names = st.sampled_from(["password", "token", "rate", "url", "a"])
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(SECRET)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


@given(st.dictionaries(names, values, max_size=4))
def test_a_config_that_composes_as_it_did_is_whole_again(config: dict[str, Any]) -> None:
    found, others = as_recorded(mask_config(config), composed(config))
    assert repr(found) == repr(config)
    assert others == ()
