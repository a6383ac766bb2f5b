"""`[tool.kit]`: typed, and nothing misspelt is overlooked."""

from __future__ import annotations

import pytest

from kit.errors import UserError
from kit.settings import Settings, parse_settings


def parse(text: str) -> Settings:
    return parse_settings(text, where="pyproject.toml")


def test_nothing_is_needed() -> None:
    assert parse("[tool.kit]") == parse("") == Settings()


def test_every_setting_can_be_set() -> None:
    text = """
        [tool.kit]
        package = "tiny"
        config-dir = "configs"
        config-name = "main"
        tracking-uri = "https://mlflow.example"
        snapshot-max-bytes = 5
        seed = 3
        pull = false
        """
    assert parse(text) == Settings("tiny", "configs", "main", "https://mlflow.example", 5, 3, pull=False)
    assert parse(text.replace("-", "_")) == parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.kit]\nconfig-dri = 'x'", "Did you mean 'config-dir'?"),
        ("[tool.kit]\nzzz = 1", "Known keys: config-dir"),
        ("[tool.kit]\nseed = 'x'", "'seed'"),
        ("[tool.kit]\nsnapshot-max-bytes = 'x'", "'snapshot-max-bytes'"),
        ("[tool.kit]\npull = 3", "'pull'"),
        ("[tool.kit", "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert caught.value.where == "pyproject.toml"
    assert "\n" not in str(caught.value)
