"""pytest's way into kit. Every pytest of the environment loads this: outside of a project it only has looked."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kit", "kit: experiments in tests")
    group.addoption(
        "--kit-reuse",
        action="store_true",
        help="for `@pytest.mark.experiment`, take the last success that was made from the same code, data, config, "
        "seed, packages and host, where there is one, instead of a new run",
    )


def pytest_configure(config: pytest.Config) -> None:
    if _in_project(config):
        from kit import _pytest_fixtures

        _pytest_fixtures.add_markers(config)
        config.pluginmanager.register(_pytest_fixtures, "kit-fixtures")


def _in_project(config: pytest.Config) -> bool:
    """Whether one of the folders that tests are taken from lies in a project: there may be several in a repository."""
    from kit.errors import UserError
    from kit.paths import find_project

    start = config.invocation_params.dir
    for place in {config.rootpath, *(start / argument.partition("::")[0] for argument in config.args)}:
        try:
            find_project(Path(place))
        except UserError:
            continue
        return True
    return False
