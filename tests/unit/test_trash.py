"""What is removed leaves its place in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit._trash import delete, move_to_trash


@pytest.fixture
def trash(tmp_path: Path) -> Path:
    return tmp_path / "trash"


def test_a_folder_is_gone_from_its_place_before_it_is_emptied(tmp_path: Path, trash: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "file").write_text("x")
    rubbish = move_to_trash(folder, trash)
    assert not folder.exists()
    assert (rubbish.parent, (rubbish / "file").read_text()) == (trash, "x")
    assert trash.stat().st_mode & 0o777 == 0o700
    delete(rubbish)
    assert list(trash.iterdir()) == []


def test_what_is_gone_already_is_fine(tmp_path: Path, trash: Path) -> None:
    delete(move_to_trash(tmp_path / "never there", trash))


def test_two_of_one_name_do_not_meet(tmp_path: Path, trash: Path) -> None:
    for _ in range(2):
        (tmp_path / "same").mkdir()
        move_to_trash(tmp_path / "same", trash)
    assert len(list(trash.iterdir())) == 2


def test_a_folder_on_another_file_system_is_deleted_where_it_is(tmp_path: Path, trash: Path) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    folder = shared / f"kit-test-{tmp_path.parent.name}-{tmp_path.name}"
    folder.mkdir()
    try:
        assert move_to_trash(folder, trash) == folder
    finally:
        delete(folder)
    assert not folder.exists()


def test_a_link_goes_and_what_it_names_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "kept")
    delete(link)
    assert not link.is_symlink()
    inside = tmp_path / "folder"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "kept")
    delete(inside)
    assert (tmp_path / "kept" / "file").read_text() == "x"


def test_folders_that_may_not_be_written_to_go_too(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "protected").mkdir(parents=True)
    (folder / "protected" / "file").write_text("x")
    (folder / "protected").chmod(0o500)
    delete(folder)
    assert not folder.exists()
