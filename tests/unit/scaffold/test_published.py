"""Versions of a template: commits of its repository, or those of kit's packages. Real updates are tested elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.errors import ServiceError, UserError
from kit.scaffold import published
from kit.scaffold.published import open_published
from tests.conftest import REPOSITORY, git, write


def test_a_repositorys_versions_are_commits(tmp_path: Path) -> None:
    root = tmp_path / "kit"
    write(root, {"a": "1\n"})
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "one")
    git(root, "tag", "v1.0")
    git(root, "branch", "next")
    one = git(root, "rev-parse", "HEAD")
    write(root, {"a": "2\n"})
    git(root, "commit", "--quiet", "--all", "--message", "two")
    (tmp_path / "scratch").mkdir()
    found = open_published(str(root), tmp_path / "scratch")
    two = git(root, "rev-parse", "HEAD")
    assert [found.find(name) for name in ("v1.0", "next", one[:8], "main")] == [one, one, one, two]
    assert found.newest(one) == two
    assert [found.followed(name) for name in (None, "next", "v1.0")] == [None, "next", None]
    for wanted in (found.find, found.followed):
        with pytest.raises(UserError, match="no version 'v9'"):
            wanted("v9")
    with pytest.raises(ServiceError, match="cannot be had"):
        open_published(str(tmp_path / "gone"), tmp_path)


def test_packages_versions_are_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "installed_version", lambda: "0.3.0")
    found = open_published("mlekit", tmp_path)
    assert [found.find(name) for name in ("v0.1.0", "0.2.0rc1")] == ["v0.1.0", "v0.2.0rc1"]
    assert found.newest("v0.1.0") == found.newest("v0.3.0") == "v0.3.0"
    assert found.followed("main") is None
    assert found.template("v0.3.0", "template/ml-project").root == REPOSITORY
    with pytest.raises(UserError, match=r"template of v0\.4\.0, and this kit is v0\.3\.0") as raised:
        found.newest("v0.4.0")
    assert "Upgrade kit" in (raised.value.fix or "")
    with pytest.raises(UserError, match="no version"):
        found.find("v0.1.0 --index-url x")


@pytest.mark.parametrize(
    ("template", "requirement", "later"),
    [
        ("mlekit", "mlekit>=0.1.0,<0.2", "mlekit>=0.2.0,<0.3"),
        ("mlekit", "mlekit>=0.1", "mlekit>=0.1"),
        ("mlekit", "mlekit[ray]>=0.1.0,<0.2", "mlekit[ray]>=0.2.0,<0.3"),
        ("mlekit", "mlekit==0.1.0", "mlekit==0.1.0"),
    ],
)
def test_the_range_that_came_with_a_template_goes_along(
    template: str, requirement: str, later: str, tmp_path: Path
) -> None:
    assert open_published(template, tmp_path).requirement(requirement, "v0.1.0", "v0.2.0") == later
