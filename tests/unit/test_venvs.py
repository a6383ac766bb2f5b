"""Whether an environment is the one that a run had."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kit.venvs import differences
from tests.factories import snapshot

HAD = replace(snapshot().environment, packages={"numpy": "2.0", "my-own-one": "0.1", "scipy": "1"})


@pytest.mark.parametrize("own", ["my-own-one", "my_own_one", "My.Own_One"])
def test_a_projects_own_package_is_its_code_however_its_name_is_written(own: str) -> None:
    for packages in ({"numpy": "2.0", "my-own-one": "0.2", "scipy": "1"}, {"numpy": "2.0", "scipy": "1"}):
        assert differences(HAD, replace(HAD, packages=packages), own=own) == {}


def test_interpreter_and_packages_are_compared_by_version() -> None:
    other = replace(HAD, python="3.12.1", packages={"numpy": "2.1", "my-own-one": "0.2", "pandas": "2"})
    assert differences(HAD, other, own="my_own_one") == {
        "numpy": ("2.0", "2.1"),
        "pandas": (None, "2"),
        "python": ("3.11.7", "3.12.1"),
        "scipy": ("1", None),
    }
