"""Working trees that are made while other processes make some."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from kit import _git_worktree
from kit._git import GitFailed
from tests.conftest import git


@pytest.fixture
def entry(project: Path, tmp_path: Path) -> Path:
    """What the repository keeps of a working tree that another process is just making."""
    _git_worktree.add(project, "HEAD", tmp_path / "other")
    entry = project / ".git" / "worktrees" / "other"
    (entry / "commondir").write_text("")
    with pytest.raises(subprocess.CalledProcessError):
        git(project, "worktree", "list")
    return entry


def test_an_entry_that_is_made_meanwhile_is_waited_for(project: Path, tmp_path: Path, entry: Path) -> None:
    made = threading.Timer(0.3, (entry / "commondir").write_text, ["../..\n"])
    made.start()
    _git_worktree.add(project, "HEAD", tmp_path / "mine")
    made.join()
    assert (tmp_path / "mine" / "pyproject.toml").exists()
    assert set(_git_worktree.known(project)) == {project, tmp_path / "other", tmp_path / "mine"}


def test_an_entry_that_a_killed_git_left_is_in_nobodys_way(
    project: Path, tmp_path: Path, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_git_worktree, "_PAUSES", (0.01, 0.02))
    _git_worktree.add(project, "HEAD", tmp_path / "mine")
    assert not entry.exists()
    assert _git_worktree.known(project) == [project, tmp_path / "mine"]
    _git_worktree.remove(project, tmp_path / "mine")
    assert _git_worktree.known(project) == [project]


def test_whatever_else_git_says_is_said_at_once(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit._git_worktree.time.sleep", lambda _: pytest.fail("there is nothing to wait for"))
    with pytest.raises(GitFailed):
        _git_worktree.add(project, "no-such-commit", tmp_path / "mine")
