"""Git's part of an update: two folders that stand for renderings, and a project that went its own way."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.errors import UserError
from kit.scaffold.merge import Merge, apply, merge, part_of, refuse_unready
from tests.conftest import git, write

OLD = {"a.txt": "one\n\ntwo\n\nthree\n", "gone.txt": "gone\n" * 9, "moved.txt": "moved\n" * 9, "left.txt": "x\n"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    write(root, OLD | {".gitignore": "*.log\n"})
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(root))
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "start")
    return root


def commit(root: Path, files: dict[str, str]) -> None:
    write(root, files)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--all", "--message", "mine")


def merged(root: Path, new: dict[str, str], **more: object) -> Merge:
    scratch = part_of(root)[0].parent / "scratch"
    write(scratch / "old", OLD)
    write(scratch / "new", new)
    return merge(root, scratch / "old", scratch / "new", scratch, message="newer", **more)  # type: ignore[arg-type]


def test_a_clean_merge_is_a_commit_on_a_branch_and_the_files_stay(project: Path) -> None:
    commit(project, {"a.txt": "mine\n\ntwo\n\nthree\n"})
    done = merged(project, OLD | {"a.txt": "one\n\ntwo\n\ntheirs\n", "kept.log": "ignored, but the template's\n"})
    assert done.conflicts == ()
    apply(project, done, branch="kit/new")
    assert git(project, "show", "kit/new:a.txt") == "mine\n\ntwo\n\ntheirs"
    assert git(project, "show", "kit/new:kept.log")
    assert git(project, "log", "-1", "--format=%s", "kit/new") == "newer"
    assert git(project, "rev-parse", "kit/new^") == git(project, "rev-parse", "main")
    assert git(project, "status", "--porcelain", "--branch") == "## main"
    with pytest.raises(UserError, match="there is a branch kit/new already"):
        apply(project, done, branch="kit/new")


def test_what_the_user_deleted_stays_deleted_also_where_the_template_moved_it(project: Path) -> None:
    git(project, "rm", "--quiet", "gone.txt", "moved.txt")
    commit(project, {})
    new = {name: text for name, text in OLD.items() if name != "moved.txt"}
    done = merged(project, new | {"gone.txt": "changed\n" * 9, "elsewhere.txt": OLD["moved.txt"] + "more\n"})
    assert done.conflicts == ()
    names = git(project, "ls-tree", "--name-only", done.tree).splitlines()
    assert names == [".gitignore", "a.txt", "left.txt"]


def test_a_file_that_the_template_moved_is_moved_with_the_users_changes(project: Path) -> None:
    commit(project, {"moved.txt": OLD["moved.txt"] + "mine\n"})
    new = {name: text for name, text in OLD.items() if name != "moved.txt"} | {"there.txt": OLD["moved.txt"]}
    done = merged(project, new)
    assert git(project, "show", f"{done.tree}:there.txt").endswith("mine")
    assert "moved.txt" not in git(project, "ls-tree", "--name-only", done.tree).splitlines()


def test_a_file_that_the_user_moved_gets_the_templates_changes_where_it_is(project: Path) -> None:
    git(project, "mv", "moved.txt", "mine.txt")
    commit(project, {})
    done = merged(project, OLD | {"moved.txt": OLD["moved.txt"] + "theirs\n"})
    assert git(project, "show", f"{done.tree}:mine.txt").endswith("theirs")


def test_what_is_skipped_is_left(project: Path) -> None:
    done = merged(project, OLD | {"left.txt": "theirs\n"}, leave=lambda path: path == "left.txt")
    assert git(project, "show", f"{done.tree}:left.txt") == "x"


def test_conflicts_are_gits_own_and_can_be_taken_back(project: Path) -> None:
    commit(project, {"a.txt": "mine\n"})
    done = merged(project, OLD | {"a.txt": "theirs\n", "left.txt": "theirs\n"})
    assert done.conflicts == ("a.txt",)
    apply(project, done, branch="kit/new")
    assert git(project, "branch", "--show-current") == "kit/new"
    assert git(project, "status", "--porcelain").splitlines() == ["UU a.txt", "M  left.txt"]
    assert "<<<<<<<" in (project / "a.txt").read_text()
    git(project, "cherry-pick", "--abort")
    git(project, "switch", "--quiet", "-")
    assert git(project, "status", "--porcelain", "--branch") == "## main"


def test_nothing_is_left_when_the_conflicts_cannot_be_checked_out(project: Path) -> None:
    commit(project, {"a.txt": "mine\n"})
    done = merged(project, OLD | {"a.txt": "theirs\n"})
    with pytest.raises(Exception, match="cherry-pick failed"):
        apply(project, Merge(done.tree, "0" * 40, done.conflicts), branch="kit/new")
    assert git(project, "branch", "--format=%(refname:short)") == "main"
    assert git(project, "status", "--porcelain", "--branch") == "## main"


def test_only_what_can_be_taken_back_is_begun(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"git does not have \.cruft\.json"):
        refuse_unready(project)
    commit(project, {".cruft.json": "{}"})
    refuse_unready(project)
    write(project, {"a.txt": "not committed\n"})
    with pytest.raises(UserError, match="uncommitted changes in a file"):
        refuse_unready(project)
    git(tmp_path, "init", "--quiet", "bare")
    with pytest.raises(UserError, match="no commit yet"):
        refuse_unready(tmp_path / "bare")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A repository of two projects that were the same at first; all tests update the first."""
    root = tmp_path / "shared"
    texts = {f"{folder}/{name}": text for folder in ("my teams/tides", "prices") for name, text in OLD.items()}
    write(root, texts | {"README.md": "both\n"})
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(root))
    commit(root, {})
    return root / "my teams/tides"


def test_a_part_of_a_repository_is_merged_and_the_rest_is_left(shared: Path) -> None:
    assert part_of(shared) == (shared.parent.parent, "my teams/tides/")
    git(shared, "mv", "moved.txt", "mine.txt")
    git(shared, "rm", "--quiet", "gone.txt")  # the neighbour has the same file: it was not moved there
    commit(shared, {"a.txt": "mine\n\ntwo\n\nthree\n"})
    changed = {name: text + "\ntheirs\n" for name, text in OLD.items()}
    done = merged(shared, changed | {"new.txt": "new\n"}, leave=lambda path: path == "left.txt")
    assert done.conflicts == ()
    apply(shared, done, branch="kit/new")
    assert git(shared, "diff", "--name-status", "--no-renames", "HEAD", "kit/new").splitlines() == [
        f"{how}\tmy teams/tides/{name}" for how, name in (("M", "a.txt"), ("M", "mine.txt"), ("A", "new.txt"))
    ]
    assert git(shared, "rev-parse", "kit/new^") == git(shared, "rev-parse", "main")
    assert git(shared, "show", "kit/new:./a.txt") == "mine\n\ntwo\n\nthree\n\ntheirs"
    assert git(shared, "show", "kit/new:./mine.txt").endswith("theirs")
    assert git(shared, "status", "--porcelain", "--branch") == "## main"


def test_what_was_moved_out_of_the_projects_folder_is_no_business_of_the_template(shared: Path) -> None:
    git(shared, "mv", "moved.txt", "../../moved.txt")
    commit(shared, {})
    done = merged(shared, OLD | {"moved.txt": OLD["moved.txt"] + "theirs\n"})
    assert done.tree == git(shared, "rev-parse", "HEAD^{tree}")


def test_conflicts_in_a_part_of_a_repository_are_solved_as_ever(shared: Path) -> None:
    commit(shared, {"a.txt": "mine\n", "../../prices/a.txt": "another matter\n"})
    done = merged(shared, OLD | {"a.txt": "theirs\n", "left.txt": "theirs\n"})
    assert done.conflicts == ("my teams/tides/a.txt",)
    apply(shared, done, branch="kit/new")
    assert git(shared, "status", "--porcelain").splitlines() == [
        'UU "my teams/tides/a.txt"',
        'M  "my teams/tides/left.txt"',
    ]
    write(shared, {"a.txt": "both\n"})
    git(shared, "add", "a.txt")
    git(shared, "-c", "core.editor=true", "cherry-pick", "--continue")
    assert git(shared, "log", "-1", "--format=%s") == "newer"
    assert git(shared, "diff", "--name-only", "main").splitlines() == [
        "my teams/tides/a.txt",
        "my teams/tides/left.txt",
    ]
