"""All of it or nothing, and never over what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.errors import HostError, UserError
from kit.scaffold.place import conflicts, merge_into, move_into_place, refuse_existing, workspace
from tests.conftest import write


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_workspace_is_hidden_and_goes_whatever_happens(tmp_path: Path) -> None:
    def fail_in_the_middle() -> None:
        with workspace(tmp_path) as folder:
            (folder / "file").write_text("x")
            assert folder.parent == tmp_path
            assert folder.name.startswith(".")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_in_the_middle()
    assert names(tmp_path) == []


def test_a_workspace_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder.*mkdir -p"), workspace(tmp_path / "missing"):
        pass


def test_an_error_of_the_disk_is_the_hosts(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"), workspace(tmp_path) as folder:
        (folder / "missing" / "file").write_text("x")


def test_a_project_is_moved_whole(tmp_path: Path) -> None:
    write(tmp_path, {"new/a": "1", "new/b/c": "2"})
    move_into_place(tmp_path / "new", tmp_path / "there")
    assert names(tmp_path / "there") == ["a", "b", "b/c"]


def test_nothing_is_moved_over_something(tmp_path: Path) -> None:
    write(tmp_path, {"new/a": "1", "there/mine": "2"})
    with pytest.raises(UserError, match="something of that name already"):
        move_into_place(tmp_path / "new", tmp_path / "there")
    assert names(tmp_path / "there") == ["mine"]


def test_a_dangling_link_is_something(tmp_path: Path) -> None:
    (tmp_path / "there").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="something of that name already"):
        refuse_existing(tmp_path / "there")


def test_conflicts_are_other_content_other_kinds_and_links(tmp_path: Path) -> None:
    files = ("same", "other", "missing", "deep/missing", "folder/file", "file/inside", "link/inside")
    write(tmp_path, {f"new/{name}": "1" for name in files})
    write(tmp_path, {"there/same": "1", "there/other": "2", "there/folder/file/x": "1", "there/file": "1"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "there/link").symlink_to(tmp_path / "elsewhere")
    assert conflicts(tmp_path / "new", tmp_path / "there") == ["file", "folder/file", "link", "other"]


def test_a_merge_adds_what_is_missing_and_leaves_the_rest(tmp_path: Path) -> None:
    write(tmp_path, {"new/same": "1", "new/deep/er/file": "1", "new/run.sh": "x", "there/same": "1", "there/mine": "2"})
    (tmp_path / "new/run.sh").chmod(0o755)
    before = (tmp_path / "there/same").stat().st_mtime_ns
    assert merge_into(tmp_path / "new", tmp_path / "there") == ["deep/er/file", "run.sh"]
    assert names(tmp_path / "there") == ["deep", "deep/er", "deep/er/file", "mine", "run.sh", "same"]
    assert (tmp_path / "there/same").stat().st_mtime_ns == before
    assert (tmp_path / "there/run.sh").stat().st_mode & 0o111


def test_a_merge_that_fails_takes_back_what_it_added(tmp_path: Path) -> None:
    write(tmp_path, {"new/a/file": "1", "new/b": "1", "there/mine": "2"})
    (tmp_path / "new/c").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        merge_into(tmp_path / "new", tmp_path / "there")
    assert names(tmp_path / "there") == ["mine"]


def test_a_file_that_cannot_be_copied_leaves_no_half(tmp_path: Path) -> None:
    write(tmp_path, {"there/mine": "2"})
    (tmp_path / "new").mkdir()
    # Reading it fails after it was opened.
    (tmp_path / "new/mem").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error"):
        merge_into(tmp_path / "new", tmp_path / "there")
    assert names(tmp_path / "there") == ["mine"]
