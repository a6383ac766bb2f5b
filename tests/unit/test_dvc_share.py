"""A second working tree that finds the data of the first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit._dvc_cache import Cache
from kit._dvc_share import place, share_cache
from tests.conftest import git, write
from tests.support import commit_all, new_project


def dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = new_project(tmp_path / "tiny")
    dvc(root, "init", "--quiet")
    dvc(root, "remote", "add", "--default", "store", "../tiny-remote")
    write(root, {"data/one.csv": "1\n", "more/a/b.txt": "b", "more/c.txt": "c"})
    dvc(root, "add", "--quiet", "data/one.csv", "more")
    commit_all(root)
    return root


def test_a_copy_uses_cache_remotes_and_credentials_of_the_original(home: Path, tmp_path: Path) -> None:
    dvc(home, "remote", "add", "--local", "web", "https://example.invalid/data")
    dvc(home, "remote", "modify", "--local", "web", "password", "secret%d")
    dvc(home, "push", "--quiet")
    before = {path: path.stat().st_mtime_ns for path in (home / ".dvc").rglob("*") if "tmp" not in path.parts}
    copy = tmp_path / "elsewhere" / "deep"
    git(home, "worktree", "add", "--quiet", "--detach", str(copy))

    cache = share_cache(home, copy)
    assert cache is not None
    assert cache.folder == home / ".dvc" / "cache"
    dvc(copy, "checkout", "--quiet")
    assert (copy / "more/a/b.txt").read_text() == "b"
    assert dvc(copy, "config", "--local", "remote.store.url").strip() == str(tmp_path / "tiny-remote")
    assert dvc(copy, "config", "--local", "remote.web.password").strip() == "secret%d"
    assert (copy / ".dvc/config.local").stat().st_mode & 0o077 == 0
    assert git(copy, "status", "--porcelain") == ""
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_is_no_dvc_project_shares_nothing(tmp_path: Path) -> None:
    assert share_cache(new_project(tmp_path / "one"), new_project(tmp_path / "two")) is None


def test_content_is_placed_by_its_hash_whole_or_not_at_all(home: Path, tmp_path: Path) -> None:
    cache = Cache(home / ".dvc" / "cache")
    file, folder = "b026324c6904b2a9cb4b88d6d61c81d1", ""
    folder = next(
        line.split()[-1] for line in (home / "more.dvc").read_text().splitlines() if "md5:" in line and ".dir" in line
    )
    assert place(cache, file, tmp_path / "x/one.csv")
    assert (tmp_path / "x/one.csv").read_text() == "1\n"
    assert place(cache, folder, tmp_path / "more")
    assert sorted(path.name for path in (tmp_path / "more").rglob("*.txt")) == ["b.txt", "c.txt"]

    assert not place(cache, "0" * 32, tmp_path / "nothing")
    assert not place(cache, "../../etc/passwd", tmp_path / "nothing")
    listing = cache.find(folder)
    assert listing is not None
    listing.chmod(0o644)
    entries = json.loads(listing.read_bytes())
    listing.write_text(json.dumps([*entries, {"md5": "0" * 32, "relpath": "lost.txt"}]))
    assert not place(cache, folder, tmp_path / "again")
    listing.write_text(json.dumps([{"md5": file, "relpath": "../../outside.txt"}]))
    assert not place(cache, folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not [*tmp_path.parent.glob("outside.txt")]
