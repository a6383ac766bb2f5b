"""Snapshots of real repositories, in every state that users leave them in."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import _stat_cache, vcs
from kit._git_refs import PACKED_EVERY
from kit.errors import HostError, KitError, UserError
from kit.snapshot import CodeVersion, OmittedFile
from tests.conftest import git, write
from tests.support import until

MEGABYTE = 2**20


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit of three files."""
    root = tmp_path / "repo"
    write(root, {"a.txt": "one\n", "src/b.py": "print(1)\n", ".gitignore": "ignored/\n"})
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "start")
    return root


def snap(root: Path, run_id: str = "r1", max_bytes: int = MEGABYTE) -> CodeVersion:
    return vcs.snapshot(root, run_id, max_bytes=max_bytes)


def tree(root: Path, commit: str) -> dict[str, str]:
    """Every path of the commit with its mode and, for files, its content."""
    listing = git(root, "ls-tree", "-r", "-z", "--full-tree", commit)
    found = {}
    for entry in filter(None, listing.split("\0")):
        head, name = entry.split("\t", 1)
        mode, kind, blob = head.split()
        found[name] = f"{mode} {blob if kind == 'commit' else git(root, 'cat-file', 'blob', blob)}"
    return found


def state(root: Path) -> dict[str, bytes]:
    """Everything under .git but the objects and kit's refs."""
    folder = root / ".git"
    files = (path for path in folder.rglob("*") if path.is_file())
    ours = ("objects/", "refs/kit/")
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(ours)}


def test_clean_tree_points_at_head_without_a_new_commit(repo: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    before = state(repo)

    code = snap(repo)

    assert code == CodeVersion(head, head, "main", dirty=False, ref="refs/kit/runs/r1")
    assert git(repo, "rev-parse", "refs/kit/runs/r1") == head
    assert state(repo) == before


def test_everything_uncommitted_is_in_the_commit_and_nothing_else_changes(repo: Path) -> None:
    write(repo, {"gone.txt": "x\n", "staged.txt": "old\n"})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "more")
    write(repo, {"stashed.txt": "s\n"})
    git(repo, "stash", "--include-untracked", "--quiet")
    write(repo, {"a.txt": "two\n", "new/c.txt": "new\n", "ignored/d.txt": "no\n", "staged.txt": "staged\n"})
    git(repo, "add", "staged.txt")
    write(repo, {"staged.txt": "after staging\n"})
    (repo / "gone.txt").unlink()
    (repo / "src/b.py").chmod(0o755)
    (repo / "link").symlink_to("a.txt")
    before, head = state(repo), git(repo, "rev-parse", "HEAD")

    code = snap(repo)

    assert state(repo) == before
    assert tree(repo, code.commit) == {
        ".gitignore": "100644 ignored/",
        "a.txt": "100644 two",
        "link": "120000 a.txt",
        "new/c.txt": "100644 new",
        "src/b.py": "100755 print(1)",
        "staged.txt": "100644 after staging",
    }
    assert (code.base, code.branch, code.dirty, code.omitted) == (head, "main", True, ())
    assert git(repo, "rev-parse", f"{code.commit}^") == head
    assert git(repo, "log", "-1", "--format=%an %ae", code.commit) == "kit kit@localhost"


def test_secrets_and_large_files_are_named_not_stored(repo: Path) -> None:
    write(repo, {".env": "PASSWORD=hunter2\n", "big.bin": "x" * 2000, "exact.bin": "y" * 1000, ".env.example": "A=\n"})

    code = snap(repo, max_bytes=1000)

    digest = hashlib.sha256(b"x" * 2000).hexdigest()
    assert code.omitted == (
        OmittedFile(".env", 17, None, "secret"),
        OmittedFile("big.bin", 2000, digest, "large"),
    )
    assert {".env.example", "exact.bin"} <= tree(repo, code.commit).keys()
    assert not {".env", "big.bin"} & tree(repo, code.commit).keys()
    blob = git(repo, "hash-object", ".env")
    assert subprocess.run(["git", "cat-file", "-e", blob], cwd=repo, check=False).returncode != 0


def test_a_file_with_a_token_is_not_stored_whatever_its_name(repo: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    write(repo, {"notes.txt": f"use {token}\n", "long.txt": "x" * 70_000 + token, "plain.txt": "ghp_\n"})

    code = snap(repo)

    assert code.omitted == (OmittedFile("notes.txt", 45, None, "secret"),)
    assert {"long.txt", "plain.txt"} <= tree(repo, code.commit).keys()


@pytest.mark.parametrize("folder", ["", "projects/one/"])
def test_what_mlflow_keeps_in_the_project_is_not_code(repo: Path, folder: str) -> None:
    write(repo, {f"{folder}pyproject.toml": "[tool.kit]\n"})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "project")
    names = ("mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlflow.db-journal", "mlruns/1/model.pkl")
    write(repo, {folder + name: "x\n" for name in names})

    clean = snap(repo / folder)
    write(repo, {f"{folder}mlflow.db.py": "x\n", "elsewhere/mlflow.db": "x\n"})
    other = snap(repo / folder)

    assert (clean.dirty, clean.omitted) == (False, ())
    assert set(tree(repo, other.commit)) - set(tree(repo, clean.commit)) == {
        f"{folder}mlflow.db.py",
        "elsewhere/mlflow.db",
    }


def test_omitted_files_make_a_tree_dirty_but_no_commit(repo: Path) -> None:
    write(repo, {"big.bin": "x" * 2000})

    code = snap(repo, max_bytes=1000)

    assert code.commit == code.base
    assert code.dirty


def test_a_snapshot_is_told_from_what_the_tree_is_now(repo: Path) -> None:
    def same(code: CodeVersion) -> bool:
        return vcs.is_unchanged(repo, code, max_bytes=1000)

    write(repo, {"a.txt": "two\n", "new.py": "x = 1\n", "large.bin": "x" * 2000, ".env": "TOKEN=a\n"})
    code = snap(repo, max_bytes=1000)
    before = state(repo)
    assert same(code)
    assert state(repo) == before
    assert git(repo, "for-each-ref", "--format=%(refname)", "refs/kit").split() == ["refs/kit/runs/r1"]
    again = snap(repo, "r2", max_bytes=1000)
    assert vcs.is_same(repo, code, again)

    write(repo, {".env": "TOKEN=another\n"})  # a secret changes, and is no part of the code
    assert same(code)
    write(repo, {"large.bin": "y" * 2000})
    assert not same(code)
    assert not vcs.is_same(repo, code, snap(repo, "r2", max_bytes=1000))
    write(repo, {"large.bin": "x" * 2000, "new.py": "x = 2\n"})
    assert not same(code)
    write(repo, {"new.py": "x = 1\n"})
    git(repo, "commit", "--quiet", "--message", "what was not committed then", "--", "a.txt")
    assert same(code)
    assert not vcs.is_same(repo, replace(code, commit="0" * 40), replace(code, commit="0" * 40))


def test_tracked_files_are_stored_whatever_they_are(repo: Path) -> None:
    write(repo, {".env": "A=1\n", "big.bin": "x" * 2000})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "careless")
    write(repo, {".env": "A=2\n", "big.bin": "y" * 3000})

    code = snap(repo, max_bytes=1000)

    assert tree(repo, code.commit)[".env"] == "100644 A=2"
    assert tree(repo, code.commit)["big.bin"].endswith("y")
    assert code.omitted == ()


def test_untracked_data_is_refused_rather_than_copied_into_git(repo: Path) -> None:
    write(repo, {f"data/{index}.bin": "x" * 1000 for index in range(101)} | {"other.txt": "x"})

    with pytest.raises(UserError, match="most of them in 'data'") as caught:
        snap(repo, max_bytes=1000)

    assert "`dvc add data`" in str(caught.value)


def test_hash_of_a_large_file_is_remembered_beside_the_runs(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stat_cache, "_RACY", -(10**12))
    (repo / ".kit").mkdir()
    write(repo, {".gitignore": ".kit/\n", "big.bin": "x" * 2000})

    first = snap(repo, "r1", max_bytes=1000)
    second = snap(repo, "r2", max_bytes=1000)

    assert first.omitted == second.omitted
    assert (repo / ".kit/omitted.json").exists()


@pytest.mark.parametrize("setting", ["core.trustctime=false", "core.checkStat=minimal"])
def test_a_change_of_the_same_size_and_mtime_is_in_the_snapshot(repo: Path, setting: str) -> None:
    git(repo, "config", *setting.split("="))
    write(repo, {"code.py": "x = 1\n"})
    git(repo, "add", "code.py")
    os.utime(repo / "code.py", (1e9, 1e9))
    git(repo, "update-index", "--refresh", "-q")
    marked = (repo / "code.py").stat().st_ctime
    # Many a git is built to compare whole seconds; and the clock of files is some milliseconds behind.
    until(lambda: time.time() > int(marked) + 1.5, "the next second")
    with (repo / "code.py").open("r+") as file:
        file.write("x = 2")
    os.utime(repo / "code.py", (1e9, 1e9))

    assert git(repo, "show", f"{snap(repo).commit}:code.py") == "x = 2"


def test_a_clean_tree_takes_few_calls_of_git(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs milliseconds, before every run."""
    asked: list[str] = []
    run = subprocess.run

    def counted(command: list[str], **options: Any) -> Any:
        asked.append(next(word for word in command[1:] if word != "-c" and "=" not in word))
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    vcs.check(repo)
    assert asked == ["rev-parse"]
    asked.clear()
    snap(repo)
    assert asked == ["rev-parse", "ls-files", "diff-files", "write-tree", "update-ref"]


def test_detached_head(repo: Path) -> None:
    git(repo, "checkout", "--quiet", "--detach")

    assert snap(repo).branch is None


def test_branch_with_slashes(repo: Path) -> None:
    git(repo, "checkout", "--quiet", "-b", "feature/näh")

    assert snap(repo).branch == "feature/näh"


def test_merge_conflict(repo: Path) -> None:
    write(repo, {"removed.txt": "r\n"})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "base")
    git(repo, "checkout", "--quiet", "-b", "other")
    write(repo, {"a.txt": "theirs\n", "removed.txt": "changed\n"})
    git(repo, "commit", "--quiet", "--all", "--message", "theirs")
    git(repo, "checkout", "--quiet", "main")
    write(repo, {"a.txt": "ours\n"})
    git(repo, "rm", "--quiet", "removed.txt")
    git(repo, "commit", "--quiet", "--all", "--message", "ours")
    subprocess.run(["git", "merge", "other"], cwd=repo, capture_output=True, check=False)
    (repo / "removed.txt").unlink()
    before = state(repo)

    code = snap(repo)

    assert "<<<<<<<" in tree(repo, code.commit)["a.txt"]
    assert "removed.txt" not in tree(repo, code.commit)
    assert state(repo) == before


HOSTILE = ["-rf", "--stdin", "two\nlines.txt", "näme ☃.txt", " spaces ", 'quote".txt', "back\\slash", ":(glob)**", "*"]


def test_hostile_names(repo: Path) -> None:
    for name in HOSTILE:
        (repo / name).write_text("x")

    code = snap(repo)

    assert set(HOSTILE) <= tree(repo, code.commit).keys()


def test_names_that_are_not_utf8(repo: Path) -> None:
    (repo / os.fsdecode(b"latin-\xe9.txt")).write_text("x")
    (repo / os.fsdecode(b"\xff.bin")).write_text("x" * 99)

    code = snap(repo, max_bytes=50)

    listing = subprocess.run(
        ["git", "ls-tree", "-z", "--name-only", code.commit], cwd=repo, capture_output=True, check=True
    )
    assert b"latin-\xe9.txt" in listing.stdout.split(b"\0")
    assert code.omitted[0].path == "\\xff.bin"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    files=st.dictionaries(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=20).filter(
            lambda name: name not in {".", "..", ".git", ".gitignore"} and not name.lower().startswith(".git")
        ),
        st.text("ab\n", max_size=5),
        max_size=4,
    )
)
def test_any_names_come_back(repo: Path, files: dict[str, str]) -> None:
    folder = repo / "deep"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in files.items():
        if len(os.fsencode(name)) < 200:
            (folder / name).write_bytes(text.encode())

    code = snap(repo)

    kept = {path.name for path in folder.iterdir()} - {Path(file.path).name for file in code.omitted}
    command = ["git", "ls-tree", "-r", "-z", "--name-only", code.commit]
    listing = subprocess.run(command, cwd=repo, capture_output=True, check=True).stdout.decode().split("\0")
    assert {name.removeprefix("deep/") for name in listing if name.startswith("deep/")} == kept


def test_intent_to_add(repo: Path) -> None:
    write(repo, {"later.txt": "later\n", "never.txt": "x"})
    git(repo, "add", "--intent-to-add", "later.txt", "never.txt")
    (repo / "never.txt").unlink()

    code = snap(repo)

    assert tree(repo, code.commit)["later.txt"] == "100644 later"
    assert "never.txt" not in tree(repo, code.commit)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_changes_that_git_was_told_to_overlook(repo: Path, flag: str) -> None:
    git(repo, "update-index", flag, "a.txt")
    write(repo, {"a.txt": "hidden change\n"})
    before = state(repo)

    code = snap(repo)

    assert tree(repo, code.commit)["a.txt"] == "100644 hidden change"
    assert state(repo) == before


@pytest.mark.parametrize("cone", ["--cone", "--no-cone"])
def test_sparse_checkout_keeps_what_is_not_checked_out(repo: Path, cone: str) -> None:
    write(repo, {"docs/x.md": "doc\n"})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "docs")
    git(repo, "sparse-checkout", "set", cone, "--sparse-index" if cone == "--cone" else "--no-sparse-index", "src")
    write(repo, {"src/b.py": "print(2)\n"})
    assert not (repo / "docs").exists()

    code = snap(repo)

    assert tree(repo, code.commit)["docs/x.md"] == "100644 doc"
    assert tree(repo, code.commit)["src/b.py"] == "100644 print(2)"


def test_linked_worktree(repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    write(tmp_path / "side", {"a.txt": "side\n"})

    code = snap(tmp_path / "side")

    assert code.branch == "side"
    assert tree(repo, code.commit)["a.txt"] == "100644 side"


def test_split_index_and_monitor(repo: Path) -> None:
    git(repo, "update-index", "--split-index")
    git(repo, "config", "core.fsmonitor", "/bin/false")
    git(repo, "config", "core.untrackedCache", "true")
    write(repo, {"a.txt": "two\n", "new.txt": "new\n"})

    assert tree(repo, snap(repo).commit)["a.txt"] == "100644 two"


def test_no_index_yet(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--no-checkout", str(repo), "fresh")
    write(tmp_path / "fresh", {"a.txt": "one\n"})

    code = snap(tmp_path / "fresh")

    assert tree(repo, snap(repo).commit)["src/b.py"]
    assert code.dirty
    assert list(tree(tmp_path / "fresh", code.commit)) == ["a.txt"]


def test_file_becomes_folder_and_folder_becomes_file_or_link(repo: Path) -> None:
    write(repo, {"dir/x.txt": "x\n", "linked/x.txt": "x\n"})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "folders")
    (repo / "a.txt").unlink()
    (repo / "dir/x.txt").unlink()
    (repo / "dir").rmdir()
    (repo / "linked").rename(repo / "moved")
    (repo / "linked").symlink_to("moved")
    write(repo, {"a.txt/inner": "in\n", "dir": "file\n"})

    found = tree(repo, snap(repo).commit)

    assert found["a.txt/inner"] == "100644 in"
    assert found["dir"] == "100644 file"
    assert found["linked"] == "120000 moved"
    assert found["moved/x.txt"] == "100644 x"
    assert not {"a.txt", "dir/x.txt", "linked/x.txt"} & found.keys()


def test_same_size_in_the_same_moment_is_still_a_change(repo: Path) -> None:
    git(repo, "status")
    write(repo, {"a.txt": "two\n"})
    index = (repo / ".git/index").stat()
    os.utime(repo / "a.txt", ns=(index.st_mtime_ns, index.st_mtime_ns))

    assert tree(repo, snap(repo).commit)["a.txt"] == "100644 two"


@pytest.fixture
def with_submodule(repo: Path, tmp_path: Path) -> Path:
    inner = tmp_path / "inner"
    write(inner, {"lib.py": "x = 1\n"})
    git(inner, "init", "--quiet")
    git(inner, "add", "--all")
    git(inner, "commit", "--quiet", "--message", "lib")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "lib")
    git(repo, "commit", "--quiet", "--message", "submodule")
    return repo


def test_clean_submodule(with_submodule: Path) -> None:
    assert not snap(with_submodule).dirty


def test_submodule_at_another_commit(with_submodule: Path) -> None:
    git(with_submodule / "lib", "commit", "--quiet", "--allow-empty", "--message", "next")
    new = git(with_submodule / "lib", "rev-parse", "HEAD")

    code = snap(with_submodule)

    assert tree(with_submodule, code.commit)["lib"] == f"160000 {new}"


def test_uncommitted_work_in_a_submodule_is_named(with_submodule: Path) -> None:
    write(with_submodule, {"lib/lib.py": "x = 2\n"})

    code = snap(with_submodule)

    assert code.dirty
    assert code.omitted == (OmittedFile("lib", 0, None, "unreadable"),)


def test_untracked_repository_inside_is_named(repo: Path) -> None:
    git(repo, "init", "--quiet", "nested")
    write(repo, {"nested/x.txt": "x\n"})
    git(repo / "nested", "add", "--all")
    git(repo / "nested", "commit", "--quiet", "--message", "x")

    assert snap(repo).omitted == (OmittedFile("nested/", 0, None, "unreadable"),)


def test_no_identity_no_hooks_no_signature(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))]:
        monkeypatch.delenv(name)
    git(repo, "config", "user.useConfigOnly", "true")
    git(repo, "config", "commit.gpgsign", "true")
    git(repo, "config", "gpg.program", "/bin/false")
    for hook in ("pre-commit", "post-commit", "post-index-change", "reference-transaction", "commit-msg"):
        path = repo / ".git/hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\nexit 1\n")
        path.chmod(0o755)
    write(repo, {"a.txt": "two\n"})

    assert snap(repo).dirty
    assert not (tmp_path / "hook-ran").exists()


def test_line_ends_are_converted_as_git_add_would(repo: Path) -> None:
    git(repo, "config", "core.autocrlf", "input")
    git(repo, "config", "core.safecrlf", "true")
    (repo / "a.txt").write_bytes(b"one\r\n")
    (repo / "mixed.txt").write_bytes(b"a\r\nb\n")

    code = snap(repo)

    assert git(repo, "cat-file", "-p", f"{code.commit}:mixed.txt") == "a\nb"
    assert tree(repo, code.commit)["a.txt"] == "100644 one"


def test_required_filter_that_is_not_installed(repo: Path) -> None:
    write(repo, {".gitattributes": "*.bin filter=lfs\n*.dat filter=other\n", "m.bin": "weights\n", "m.dat": "d\n"})
    for name in ("lfs", "other"):
        git(repo, "config", f"filter.{name}.clean", "no-such-program clean")
        git(repo, "config", f"filter.{name}.required", "true")

    found = tree(repo, snap(repo).commit)

    assert (found["m.bin"], found["m.dat"]) == ("100644 weights", "100644 d")


def test_while_another_git_holds_the_index(repo: Path) -> None:
    write(repo, {"a.txt": "two\n"})
    (repo / ".git/index.lock").write_bytes(b"")

    assert snap(repo).dirty
    assert (repo / ".git/index.lock").exists()


def test_from_inside_a_hook(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))

    code = snap(repo)

    monkeypatch.undo()
    assert code.base == git(repo, "rev-parse", "HEAD")
    assert not (other / ".git/index").exists()


def test_twenty_at_once(repo: Path) -> None:
    write(repo, {"a.txt": "two\n", "new.txt": "new\n"})
    results: dict[int, CodeVersion | KitError] = {}

    def take(index: int) -> None:
        try:
            results[index] = snap(repo, f"r{index}")
        except KitError as error:
            results[index] = error

    threads = [threading.Thread(target=take, args=(index,)) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    commits = [result.commit if isinstance(result, CodeVersion) else str(result) for result in results.values()]
    assert len({git(repo, "rev-parse", f"{commit}^{{tree}}") for commit in commits}) == 1
    assert len(git(repo, "for-each-ref", "refs/kit/runs").splitlines()) == 20


def test_snapshot_survives_garbage_collection(repo: Path) -> None:
    write(repo, {"a.txt": "two\n"})
    code = snap(repo)

    git(repo, "checkout", "--quiet", "a.txt")
    git(repo, "gc", "--quiet", "--prune=now")

    assert tree(repo, code.commit)["a.txt"] == "100644 two"


def test_project_in_a_folder_of_a_monorepo(repo: Path) -> None:
    project = repo / "projects/one"
    write(project, {"pyproject.toml": "[tool.kit]\n", "x.py": "1\n"})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "project")
    write(repo, {"a.txt": "outside\n", "projects/one/x.py": "2\n"})

    code = snap(project)

    assert vcs.repository(project) == repo
    assert tree(repo, code.commit)["a.txt"] == "100644 outside"
    assert tree(repo, code.commit)["projects/one/x.py"] == "100644 2"
    shown = vcs.diff(project, code.base, code.commit)
    assert "+2" in shown
    assert "--- a/x.py" in shown
    assert "a.txt" not in shown


def test_project_that_its_repository_ignores(repo: Path) -> None:
    write(repo, {"ignored/project/x.py": "1\n"})

    with pytest.raises(UserError, match="ignores it"):
        snap(repo / "ignored/project")


def test_delete(repo: Path) -> None:
    snap(repo, "r1")
    snap(repo, "r2")

    vcs.delete_snapshot(repo, "r1")
    vcs.delete_snapshot(repo, "r1")

    assert git(repo, "for-each-ref", "--format=%(refname)", "refs/kit") == "refs/kit/runs/r2"


def test_same_run_again_replaces(repo: Path) -> None:
    snap(repo)
    write(repo, {"a.txt": "two\n"})

    code = snap(repo)

    assert git(repo, "rev-parse", "refs/kit/runs/r1") == code.commit


@pytest.mark.parametrize("name", ["../../heads/main", "a/b", "", "-d"])
def test_unsafe_run_ids(repo: Path, name: str) -> None:
    with pytest.raises(UserError):
        snap(repo, name)
    with pytest.raises(UserError):
        vcs.delete_snapshot(repo, name)


def test_diff_forms(repo: Path) -> None:
    git(repo, "config", "diff.noprefix", "true")
    git(repo, "config", "diff.external", "/bin/false")
    write(repo, {"a.txt": "two\n", "näh.txt": "x\n"})
    code = snap(repo)

    plain = vcs.diff(repo, code.base, code.commit)
    assert "--- a/a.txt\n+++ b/a.txt\n" in plain
    assert "näh.txt" in plain
    assert vcs.diff(repo, "HEAD", code.ref) == plain
    assert vcs.diff(repo, code.base, "main") == ""


@pytest.mark.parametrize("bad", ["0" * 40, "no-such", "--output=x", ""])
def test_unknown_commits(repo: Path, bad: str) -> None:
    with pytest.raises(UserError, match="no commit"):
        vcs.diff(repo, "HEAD", bad)


def failing(action: Callable[[], object], kind: type[KitError]) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    return str(caught.value)


def test_not_a_repository(tmp_path: Path) -> None:
    for action in (
        lambda: snap(tmp_path),
        lambda: vcs.repository(tmp_path),
        lambda: vcs.diff(tmp_path, "HEAD", "x"),
    ):
        text = failing(action, UserError)
        assert "not a git repository" in text
        assert "`git init && git add --all && git commit -m start`" in text


def test_bare_repository_and_missing_folder(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "bare")

    assert "working tree" in failing(lambda: snap(tmp_path / "bare"), UserError)
    assert "no such folder" in failing(lambda: snap(tmp_path / "no"), UserError)


def test_no_commit_yet(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")

    assert "`git add --all && git commit -m start`" in failing(lambda: snap(tmp_path), UserError)


def test_git_not_installed(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    assert "git is not installed" in failing(lambda: snap(repo), HostError)


def test_broken_repository_is_one_line(repo: Path) -> None:
    write(repo, {"a.txt": "two\n"})
    (repo / ".git/index").write_bytes(b"not an index")

    assert "git ls-files failed" in failing(lambda: snap(repo), HostError)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_repository_of_another_user(repo: Path) -> None:
    os.chown(repo, 12345, 12345)
    os.chown(repo / ".git", 12345, 12345)

    assert f"safe.directory '{repo}'" in failing(lambda: snap(repo), UserError)


@pytest.fixture
def nobody(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Path], None]]:
    """Change a mode, then give up root's power to read and write everything."""
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    is_root = os.geteuid() == 0

    def drop(mode: str, path: Path) -> None:
        open_up(repo)
        subprocess.run(["chmod", "-R", mode, str(path)], check=True)
        if is_root:
            os.setresuid(65534, 65534, 0)

    yield drop
    if is_root:
        os.setresuid(0, 0, 0)


def open_up(root: Path) -> None:
    """Let everybody in, on the way there too."""
    for folder in root.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    subprocess.run(["chmod", "-R", "a+rwX", str(root)], check=True)


def test_unreadable_file_is_named(repo: Path, nobody: Callable[[str, Path], None]) -> None:
    write(repo, {"closed.txt": "x\n"})
    nobody("0", repo / "closed.txt")

    assert snap(repo).omitted == (OmittedFile("closed.txt", 2, None, "unreadable"),)


def test_read_only_repository(repo: Path, nobody: Callable[[str, Path], None]) -> None:
    write(repo, {"new.txt": "x\n"})
    nobody("a-w", repo / ".git")

    assert "permission denied" in failing(lambda: snap(repo), HostError)


def test_now_and_then_the_refs_of_all_snapshots_go_into_one_file(repo: Path) -> None:
    codes, loose = {}, []
    for number in range(2 * PACKED_EVERY):
        run_id = f"p{number}"
        if zlib.crc32(run_id.encode()) % PACKED_EVERY == 0 or number < 3:
            codes[run_id] = snap(repo, run_id)
            loose.append(len(list((repo / ".git" / vcs.SNAPSHOTS).glob("*"))))
    assert loose[:3] == [1, 2, 3]
    assert loose[3:] == [0] * (len(loose) - 3)
    assert len(loose) > 3
    for code in codes.values():
        assert git(repo, "rev-parse", code.ref) == code.commit
    assert git(repo, "symbolic-ref", "HEAD") == "refs/heads/main"
