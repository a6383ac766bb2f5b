"""The flights for the tests, made anew, so that they depend on nothing in data/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kit.testing import typed_config

from {{ cookiecutter.__package_name }}.data import ingest
from {{ cookiecutter.__package_name }}.train import TrainConfig

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All flights, in monthly files."""
    folder = tmp_path_factory.mktemp("data") / "flights"
    ingest(folder)
    return folder


@pytest.fixture(scope="session")
def config(folder: Path) -> Callable[..., TrainConfig]:
    """Compose an experiment on these flights, with more overrides."""

    def compose(experiment: str, *overrides: str) -> TrainConfig:
        return typed_config(TrainConfig, [f"experiment={experiment}", f"data.folder={folder}", *overrides], root=ROOT)

    return compose
