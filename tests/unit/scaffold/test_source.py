"""A new project finds kit again, wherever kit came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kit.scaffold.source import (
    Origin,
    Source,
    kit_source,
    parse_source,
    published_origin,
    requirement_at,
    template_origin,
    written_requirement,
)
from kit.scaffold.template import template_root
from tests.conftest import git, write

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def from_git(url: str, asked: str | None, **extra: str) -> Source:
    info = {"vcs": "git", "commit_id": COMMIT} | ({} if asked is None else {"requested_revision": asked})
    return parse_source(json.dumps({"url": url, "vcs_info": info} | extra), "0.1.0")


@pytest.mark.parametrize(
    ("version", "requirement"),
    [
        ("0.1.0", "mlekit>=0.1.0,<0.2"),
        ("1.9.3", "mlekit>=1.9.3,<1.10"),
        ("2", "mlekit>=2,<2.1"),
        ("0.2.0rc1", "mlekit>=0.2.0rc1,<0.3"),
    ],
)
def test_an_index_gives_a_range(version: str, requirement: str) -> None:
    assert parse_source(None, version) == Source(requirement)
    assert Requirement(requirement).specifier.contains(version, prereleases=True)


def test_a_tag_stays_a_tag() -> None:
    source = from_git("https://git.example.org/kit.git", "v0.1.0")
    assert source.requirement == "mlekit @ git+https://git.example.org/kit.git@v0.1.0"
    assert template_origin(source) == Origin("https://git.example.org/kit.git", "v0.1.0")


@pytest.mark.parametrize("asked", [None, "main", "feature/x", COMMIT[:8]])
def test_what_moves_becomes_its_commit(asked: str | None) -> None:
    source = from_git("https://git.example.org/kit.git", asked)
    assert source.requirement == f"mlekit @ git+https://git.example.org/kit.git@{COMMIT}"


def test_passwords_stay_out_of_the_project() -> None:
    assert "secret" not in from_git("https://me:secret@git.example.org/kit.git", None).requirement
    assert "secret" not in parse_source('{"url": "https://t:secret@x.org/k.whl", "archive_info": {}}', "1").requirement
    ssh = from_git("ssh://git@git.example.org/kit.git", "v1.0")
    assert ssh.requirement == "mlekit @ git+ssh://git@git.example.org/kit.git@v1.0"


def test_a_subdirectory_is_kept() -> None:
    assert from_git("https://x.org/m.git", "1.0", subdirectory="py").requirement.endswith("@1.0#subdirectory=py")


def test_a_local_folder_and_a_wheel_are_found_by_their_path() -> None:
    local = parse_source('{"url": "file:///a%20b/kit", "dir_info": {"editable": true}}', "0.1.0")
    assert local == Source("mlekit @ file:///a%20b/kit", repository="/a b/kit")
    wheel = parse_source('{"url": "file:///w/mlekit-0.1.0-py3-none-any.whl", "archive_info": {}}', "0.1.0")
    assert wheel == Source("mlekit @ file:///w/mlekit-0.1.0-py3-none-any.whl")
    assert Requirement(local.requirement).url == "file:///a%20b/kit"


def test_this_kit_came_from_this_checkout() -> None:
    source = kit_source()
    assert source.requirement == f"mlekit @ {template_root().as_uri()}"


def test_a_checkouts_template_is_at_its_commit(tmp_path: Path) -> None:
    write(tmp_path, {"cookiecutter.json": "{}\n", "template/x": "1\n", "other": "1\n"})
    source = Source("mlekit @ file:///x", repository=str(tmp_path))
    assert template_origin(source) is None
    git(tmp_path, "init", "--quiet")
    assert template_origin(source) is None
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "start")
    commit = git(tmp_path, "rev-parse", "HEAD")
    write(tmp_path, {"other": "2\n"})
    assert template_origin(source) == Origin(str(tmp_path), commit)
    write(tmp_path, {"template/x": "2\n"})
    assert template_origin(source) == Origin(str(tmp_path), commit, modified=True)


def test_a_published_kit_names_its_repository() -> None:
    urls = ["Homepage, https://x.org", "Repository, https://x.org/kit.git"]
    assert published_origin(urls, "0.3.0") == Origin("https://x.org/kit.git", "v0.3.0")
    assert published_origin(urls[:1], "0.3.0") is None


@pytest.mark.parametrize(
    ("requirement", "later"),
    [
        ("mlekit @ git+https://example.org/kit.git@v0.1.0", "mlekit @ git+https://example.org/kit.git@abc"),
        ("mlekit[ray] @ git+ssh://git@example.org/kit@v0.1.0#subdirectory=x", "mlekit[ray] @ git+ssh://git@example.org/kit@abc#subdirectory=x"),
        ("mlekit @ git+https://example.org/kit.git@v0.1.0rc1", "mlekit @ git+https://example.org/kit.git@v0.1.0rc1"),
        ("mlekit>=0.1.0,<0.2", "mlekit>=0.1.0,<0.2"),
        ("mlekit @ file:///kit", "mlekit @ file:///kit"),
    ],
)  # fmt: skip
def test_what_names_a_state_of_the_repository_goes_along(requirement: str, later: str) -> None:
    text = f'dependencies = [\n  "mlekit-plugin",\n  "{requirement}",\n]\n'
    assert written_requirement(text) == requirement
    assert requirement_at(requirement, "v0.1.0", "abc") == later


def test_who_asks_for_no_kit_has_no_requirement() -> None:
    assert written_requirement('dependencies = ["mlekits", "numpy"]') is None
