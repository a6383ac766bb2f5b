"""kit's refs: how old they are at most, and letting go of them without touching any other."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kit._git_refs import delete_refs, kept_refs, projects_beside
from kit._git_worktree import add
from kit.errors import HostError, UserError
from tests.conftest import git, write
from tests.support import new_project


@pytest.fixture
def kept(project: Path) -> Path:
    """A project with two snapshots, written an hour ago."""
    for name in ("a1", "b2"):
        git(project, "update-ref", f"refs/kit/runs/{name}", "HEAD")
        age(project / ".git/refs/kit/runs" / name, 3600)
    return project


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def ages(project: Path) -> dict[str, int]:
    now = time.time()
    return {ref.name: round((now - ref.written_at) / 60) for ref in kept_refs(project, "refs/kit/runs/")}


def test_a_ref_is_as_old_as_its_file(kept: Path) -> None:
    assert ages(kept) == {"refs/kit/runs/a1": 60, "refs/kit/runs/b2": 60}
    assert {ref.target for ref in kept_refs(kept, "refs/kit/runs/")} == {git(kept, "rev-parse", "HEAD")}


def test_one_that_is_packed_is_as_old_as_the_pack_at_least(kept: Path) -> None:
    git(kept, "pack-refs", "--all")
    assert set(ages(kept).values()) == {0}
    age(kept / ".git" / "packed-refs", 7200)
    assert set(ages(kept).values()) == {120}
    git(kept, "update-ref", "refs/kit/runs/a1", git(kept, "commit-tree", "-m", "x", "HEAD^{tree}"))
    assert ages(kept) == {"refs/kit/runs/a1": 0, "refs/kit/runs/b2": 120}


def test_all_go_in_one_step_and_nothing_else(kept: Path) -> None:
    git(kept, "branch", "mine")
    git(kept, "pack-refs", "--all")
    before = git(kept, "for-each-ref", "refs/heads")
    delete_refs(kept, kept_refs(kept, "refs/kit/runs/"))
    assert git(kept, "for-each-ref") == before
    delete_refs(kept, [])


def test_one_that_has_moved_keeps_all(kept: Path) -> None:
    seen = kept_refs(kept, "refs/kit/runs/")
    git(kept, "update-ref", "refs/kit/runs/b2", git(kept, "commit-tree", "-m", "x", "HEAD^{tree}"))
    with pytest.raises(HostError):
        delete_refs(kept, seen)
    assert len(kept_refs(kept, "refs/kit/runs/")) == 2


def test_a_worktree_shares_the_refs_of_its_repository(kept: Path, tmp_path: Path) -> None:
    git(kept, "worktree", "add", "--quiet", str(tmp_path / "other"))
    assert ages(tmp_path / "other") == ages(kept)


def test_no_repository_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a git repository"):
        kept_refs(tmp_path, "refs/kit/runs/")


def test_other_projects_with_runs_in_the_same_repository_are_found(kept: Path, tmp_path: Path) -> None:
    assert projects_beside(kept) == []
    git(kept, "worktree", "add", "--quiet", str(tmp_path / "other"))
    assert projects_beside(kept) == []
    write(tmp_path / "other", {".kit/store.db": ""})
    assert projects_beside(kept) == [tmp_path / "other"]
    # kit's own copy of the project, at a moment when it looks like one with runs of its own
    add(kept, "HEAD", kept / ".kit" / "worktrees" / "x1")
    write(kept / ".kit" / "worktrees" / "x1", {".kit/store.db": ""})
    assert projects_beside(kept) == [tmp_path / "other"]


def test_two_projects_in_one_repository_are_beside_each_other(tmp_path: Path) -> None:
    write(tmp_path, {"one/pyproject.toml": "[tool.kit]\n", "one/.kit/store.db": ""})
    root = new_project(tmp_path)
    assert projects_beside(root) == [root / "one"]
    assert projects_beside(root / "one") == []
    write(root, {".kit/store.db": ""})
    assert projects_beside(root / "one") == [root]
