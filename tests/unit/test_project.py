"""A project, opened: where it tracks, and its store."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.errors import ServiceError, UserError
from kit.project import open_project
from kit.stores import RunQuery
from tests.conftest import write


def with_uri(root: Path, uri: str | None) -> Path:
    line = "" if uri is None else f'tracking-uri = "{uri}"\n'
    write(root, {"pyproject.toml": f"[tool.kit]\n{line}"})
    return root


def test_by_default_a_project_tracks_in_its_own_file(tmp_path: Path) -> None:
    assert open_project(with_uri(tmp_path, None)).tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("setting", "variable", "expected"),
    [
        ("https://a.example", None, "https://a.example"),
        ("https://a.example", "https://b.example", "https://b.example"),
        (None, "sqlite:////data/m.db", "sqlite:////data/m.db"),
        ("sqlite:///sub/m.db", None, "sqlite:///{root}/sub/m.db"),
        ("sqlite:///../m.db", None, "sqlite:///{parent}/m.db"),
        (None, "", "sqlite:///{root}/mlflow.db"),
        (None, "databricks", "databricks"),
        ("databricks-uc", None, "databricks-uc"),
        (None, "uc", "uc"),
        (None, "databricks://profile", "databricks://profile"),
    ],
)
def test_the_environment_wins_over_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None, variable: str | None, expected: str
) -> None:
    if variable is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    project = open_project(with_uri(tmp_path, setting))
    assert project.tracking_uri == expected.format(root=tmp_path, parent=tmp_path.parent)


@pytest.mark.parametrize("uri", ["file:///data/mlruns", "./mlruns", "mlruns"])
def test_a_plain_folder_is_refused_before_mlflow_is_loaded(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ServiceError, match="plain folder") as caught:
        _ = open_project(with_uri(tmp_path, uri)).tracking_uri
    assert caught.value.where == "pyproject.toml, [tool.kit]"


def test_the_place_of_a_bad_uri_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    with pytest.raises(ServiceError) as caught:
        _ = open_project(with_uri(tmp_path, None)).tracking_uri
    assert caught.value.where == "MLFLOW_TRACKING_URI"


def test_the_store_is_made_on_first_use(tmp_path: Path) -> None:
    project = open_project(with_uri(tmp_path, None))
    assert not project.paths.state.exists()
    assert project.store.runs(RunQuery()) == []
    assert project.paths.store.exists()
    assert project.store is project.store


def test_a_project_is_called_as_its_package_or_its_folder(tmp_path: Path) -> None:
    write(tmp_path, {"box/pyproject.toml": "[tool.kit]\n", "named/pyproject.toml": "[tool.kit]\npackage = 'tiny'\n"})
    assert open_project(tmp_path / "box").name == "box"
    assert open_project(tmp_path / "named").name == "tiny"


def test_unusable_settings_are_found_when_it_is_opened(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "[tool.kit]\npakcage = 'x'\n"})
    with pytest.raises(UserError, match="Did you mean 'package'"):
        open_project(tmp_path)
