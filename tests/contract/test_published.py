"""What every source of a template's versions must do. Another one joins by a way to open it in `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.errors import UserError
from kit.scaffold import published
from kit.scaffold.published import Published, open_published
from tests.conftest import git, write

OLD, NEW = "v0.1.0", "v0.3.0"
DIRECTORY = "template/ml-project"


def repository(folder: Path, _patch: pytest.MonkeyPatch) -> Published:
    """Whose last commit is the new version."""
    root = folder / "kit"
    for version in (OLD, NEW):
        write(root, {f"{DIRECTORY}/cookiecutter.json": f'{{"project_name": "{version}"}}\n'})
        git(root, "init", "--quiet", "--initial-branch=main")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", version)
        git(root, "tag", version)
    (folder / "scratch").mkdir()
    return open_published(str(root), folder / "scratch")


def packages(folder: Path, patch: pytest.MonkeyPatch) -> Published:
    """Of which the new version is installed."""
    patch.setattr(published, "installed_version", lambda: NEW)
    return open_published("mlekit", folder)


SOURCES: list[Callable[[Path, pytest.MonkeyPatch], Published]] = [repository, packages]


@pytest.fixture(params=SOURCES, ids=lambda source: source.__name__)
def versions(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    source: Callable[[Path, pytest.MonkeyPatch], Published] = request.param
    return source(tmp_path, monkeypatch)


def test_a_versions_name_stands_for_itself(versions: Published) -> None:
    old, new = versions.find(OLD), versions.find(NEW)
    assert old != new
    assert [versions.find(name) for name in (old, new)] == [old, new]


def test_the_newest_is_what_every_project_is_brought_to(versions: Published) -> None:
    assert {versions.newest(versions.find(name)) for name in (OLD, NEW)} == {versions.find(NEW)}


def test_the_templates_own_choice_is_no_branch(versions: Published) -> None:
    assert versions.followed(None) is None
    assert versions.followed(OLD) is None, "what a release's tag names never becomes newer"


@pytest.mark.parametrize("name", ["nope", "--help", "v0.1.0 v0.3.0", ""])
def test_what_is_no_version_is_named_with_a_fix(versions: Published, name: str) -> None:
    with pytest.raises(UserError, match="the template has no version") as raised:
        versions.find(name)
    assert "--to" in (raised.value.fix or "")


def test_a_version_has_a_template(versions: Published) -> None:
    found = versions.template(versions.find(NEW), DIRECTORY)
    assert (found.root / DIRECTORY / "cookiecutter.json").is_file()


@pytest.mark.parametrize("own", ["mlekit==0.1.0", "mlekit>=0.1", "mlekit @ https://example.com/mlekit.whl"])
def test_what_a_user_asks_for_kit_stays(versions: Published, own: str) -> None:
    assert versions.requirement(own, versions.find(OLD), versions.find(NEW)) == own
