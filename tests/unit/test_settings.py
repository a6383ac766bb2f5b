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
        max-runs = 4
        slots = {gpu = 2, licence = 1}
        """
    expected = Settings(
        "tiny",
        "configs",
        "main",
        "https://mlflow.example",
        snapshot_max_bytes=5,
        seed=3,
        pull=False,
        slots={"gpu": 2, "licence": 1},
        max_runs=4,
    )
    assert parse(text) == expected
    assert parse(text.replace("-", "_")) == parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.kit]\nconfig-dri = 'x'", "Did you mean 'config-dir'?"),
        ("[tool.kit]\nzzz = 1", "Known keys: check, config-dir"),
        ("[tool.kit]\nseed = 'x'", "'seed'"),
        ("[tool.kit]\nsnapshot-max-bytes = 'x'", "'snapshot-max-bytes'"),
        ("[tool.kit]\npull = 3", "'pull'"),
        ("[tool.kit]\nmax-runs = 0", "expected `int` >= 1 for 'max-runs'"),
        ("[tool.kit]\nmax-runs = true", "'max-runs'"),
        ("[tool.kit.slots]\ngpu = 0", "expected `int` >= 1 for 'slots'"),
        ("[tool.kit.slots]\ngpu = 1.5", "'slots'"),
        ("[tool.kit]\nslots = ['gpu']", "'slots'"),
        ("[tool.kit.slots]\n'../x' = 1", "[tool.kit.slots]: '../x' cannot be used as a name"),
        ("[tool.kit", "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert caught.value.where == "pyproject.toml"
    assert "\n" not in str(caught.value)
