"""Parameters that MLflow takes, and YAML that reads back."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.config import flatten, to_yaml


def test_nested_values_get_dotted_keys_and_exact_texts() -> None:
    assert flatten(
        {
            "model": {"rate": 0.1, "tiny": 1e-05, "big": 1e22, "depth": 3, "on": True, "off": None, "name": "a=b"},
            "list": [1, 2.5, "ü", None, True],
            "nested": [[1], [2]],
            "layers": [{"size": 1}, {"size": 2, "tags": ["a"]}, 3],
            "empty": {},
            "none": [],
            "inf": float("inf"),
        }
    ) == {
        "model.rate": "0.1",
        "model.tiny": "1e-05",
        "model.big": "1e+22",
        "model.depth": "3",
        "model.on": "true",
        "model.off": "null",
        "model.name": "a=b",
        "list": '[1, 2.5, "ü", null, true]',
        "nested": "[[1], [2]]",
        "layers.0.size": "1",
        "layers.1.size": "2",
        "layers.1.tags": '["a"]',
        "layers.2": "3",
        "empty": "{}",
        "none": "[]",
        "inf": "inf",
    }
    assert flatten({}) == {}


def test_a_long_value_is_cut_where_it_can_be_seen() -> None:
    flat = flatten({"a": "x" * 6001, "b": "x" * 6000})
    assert len(flat["a"]) == 6000
    assert flat["a"].endswith("x… (6,001 characters; the whole is in config.yaml)")
    assert flat["b"] == "x" * 6000
    assert flatten({"a": "x" * 99}, limit=60)["a"] == "xxxxxxxxxxxxxx… (99 characters; the whole is in config.yaml)"


def test_keys_that_mlflow_refuses_are_mended_and_kept_apart() -> None:
    flat = flatten({"a=b": 1, "a_b": 2, "a#b": 3, "/x": 4, "y//z": 5, "..": 6, ".": 7, "k" * 300: 8, "k" * 299: 9})
    assert flat["a_b"] == "2"
    assert sorted(flat.values()) == list("123456789")
    assert all(key == "a_b" or re.fullmatch(r"a_b-[0-9a-f]{8}", key) for key in flat if key.startswith("a"))
    assert {flat["_x"], flat["y__z"], flat["_."], flat["_"]} == {"4", "5", "6", "7"}
    assert [len(key) for key in flat if key.startswith("k")] == [250, 250]


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(st.dictionaries(st.text(max_size=9) | st.text("a/.:=", max_size=5), VALUES, max_size=5))
@settings(deadline=None)
def test_mlflow_takes_every_parameter(config: dict[str, Any]) -> None:
    pytest.importorskip("mlflow")
    from mlflow.utils.validation import _validate_param

    for key, value in flatten(config).items():
        _validate_param(key, value)
        assert key


def test_yaml_reads_back_the_same_with_pyyaml_and_omegaconf() -> None:
    from omegaconf import OmegaConf

    shared = [1, 2]
    config = {
        "b": {"text": "1e5", "number": 1e-05, "true": "true", "null": "null", "ü": "a: b", "day": "2020-01-01"},
        "a": shared,
        "again": shared,
        "more": ["1_000", "nan", ".5", "", "x\ny", None, True],
    }
    text = to_yaml(config)
    assert list(yaml.safe_load(text)) == ["b", "a", "again", "more"]
    assert yaml.safe_load(text) == config
    assert OmegaConf.to_container(OmegaConf.create(text)) == config
    assert "&" not in text
    assert "ü" in text
