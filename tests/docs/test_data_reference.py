"""What the page on `kit data` shows is what it does, for the data that the page begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kit import _clock, data
from kit.models import RunRecord
from kit.project import open_project
from tests.conftest import REPOSITORY
from tests.factories import snapshot, spec
from tests.support import commit_all, environment, new_project, on_screen
from tests.unit.test_data import dvc

PAGE = (REPOSITORY / "docs/reference/data.md").read_text()
FIRST = "code,city\nJFK,New York\nLGA,New York\nEWR,Newark\n"
SECOND = "code,city,runways\nJFK,New York,4\nLGA,New York,2\nEWR,Newark,3\nSWF,Newburgh,2\n"
FILE = "data/airports.csv"


def shown(command: str) -> list[str]:
    """What the page shows below a command."""
    blocks = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return settled(dict(blocks)[command].splitlines())


def settled(lines: list[str]) -> list[str]:
    """Without the names of commits, and the blanks that a table ends with."""
    return [re.sub(r"^(\w{8}  )[0-9a-f]{8}\b", r"\1COMMIT  ", line).rstrip() for line in lines]


@pytest.mark.slow
def test_the_page_shows_what_comes(tmp_path: Path) -> None:
    env = environment(tmp_path / "home", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
    root = new_project(tmp_path / "flights")
    dvc(root, "init", "--quiet")
    (root / "data").mkdir()

    def see(*arguments: str) -> list[str]:
        return settled(on_screen(root, "data", *arguments, env=env))

    (root / FILE).write_text(FIRST)
    see("add", FILE)
    commit_all(root, "Airports")
    (root / FILE).write_text(SECOND)
    assert see("diff") == shown("kit data diff")
    assert see("add", FILE) == shown(f"kit data add {FILE}")
    assert see("infer", FILE) == shown(f"kit data infer {FILE}")
    commit_all(root, "How many runways")
    project = open_project(root)
    taken = spec("7226aaaaaa", snapshot=snapshot(data=data.versions(root)))
    project.store.create(taken, RunRecord.queued(taken, at=_clock.now(), params={}))
    project.store.close()
    assert see("log", FILE) == shown(f"kit data log {FILE}")
