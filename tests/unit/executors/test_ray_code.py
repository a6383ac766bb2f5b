"""Which code goes along to Ray's workers; what Ray makes of it: `integration/test_ray`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.executors._ray_code import carried

VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"runtime_env": {"env_vars": {"A": "1"}}, "metadata": {"job": "x"}}))


@pytest.mark.parametrize("folder", ["src/tiny", "tiny"])
@pytest.mark.usefixtures("told")
def test_the_package_goes_along_and_what_ray_said_stays(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    found = carried(tmp_path, "tiny")
    assert json.loads(found[VARIABLE]) == {
        "runtime_env": {"env_vars": {"A": "1"}, "py_modules": [str(tmp_path / folder)]},
        "metadata": {"job": "x"},
    }


@pytest.mark.usefixtures("told")
def test_a_project_without_a_package_has_nothing_to_go_along(tmp_path: Path) -> None:
    assert carried(tmp_path, "tiny") == carried(tmp_path, None) == {}


def test_outside_of_a_job_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "tiny").mkdir()
    assert carried(tmp_path, "tiny") == {}
