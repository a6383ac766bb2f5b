"""What the page on `kit check determinism` shows is what it does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support import environment, kit, new_project

PAGE = (REPOSITORY / "docs/reference/check-determinism.md").read_text()
_VARIES = (
    (r"\b[0-9a-f]{10}\b", "ID"),
    (r"\b(run|diff|logs) [0-9a-f]{4,10}\b(?: [0-9a-f]{4,10}\b)?", r"\1 ID"),
    (r" +\d+\.\d s\b", " SECONDS"),
    (r"\b0\.\d{5,}", "VALUE"),
)


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def settled(text: str) -> list[str]:
    for pattern, word in _VARIES:
        text = re.sub(pattern, word, text)
    return text.splitlines()


def shape(value: object) -> object:
    """The keys of JSON data, of a list those of its first element."""
    if isinstance(value, dict):
        return {key: shape(child) for key, child in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


@pytest.mark.slow
def test_the_page_shows_what_comes(tmp_path: Path) -> None:
    root = new_project(tmp_path / "tiny", {"src/tiny/train.py": block("python")})
    command, _, shown = block("console").partition("\n")
    arguments = command.removeprefix("$ kit ").split()
    env = environment(tmp_path / "home")
    assert settled(kit(root, *arguments, env=env, code=5).out) == settled(shown)
    told = kit(root, *arguments, "-n", "2", "--json", env=env, code=5).json()
    assert shape(told) == shape(json.loads(block("json")) | {"runs": told["runs"]})
    assert set(told["findings"][0]) == {"kind", "name", "step", "values"}
