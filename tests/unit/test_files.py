"""Atomic writes and hashes."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import _files


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary() | st.text())
def test_written_is_what_is_read(tmp_path: Path, data: bytes | str) -> None:
    _files.write_atomic(tmp_path / "a", data)

    assert (tmp_path / "a").read_bytes() == (data if isinstance(data, bytes) else data.encode())
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_mode_of_a_replaced_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text("old")
    path.chmod(0o751)

    _files.write_atomic(path, "new")

    assert path.stat().st_mode & 0o777 == 0o751


def test_new_file_takes_the_umask_or_the_mode_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        _files.write_atomic(tmp_path / "plain", "")
        _files.write_atomic(tmp_path / "private", "", mode=0o600)
        _files.write_atomic(tmp_path / "open", "", mode=0o666)
    finally:
        os.umask(before)

    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    assert modes == {"plain": 0o640, "private": 0o600, "open": 0o666}


def test_symlink_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")

    _files.write_atomic(tmp_path / "link", "new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_longest_possible_name(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)

    _files.write_atomic(path, "content")

    assert path.read_text() == "content"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()

    with pytest.raises(OSError, match="directory"):
        _files.write_atomic(tmp_path / "folder", "x")

    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    assert (tmp_path / "folder" / "kept").exists()


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _files.write_atomic(tmp_path / "no" / "file", "x")


def test_racing_writers_leave_one_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    contents = [bytes([65 + index]) * 50_000 for index in range(8)]
    threads = [threading.Thread(target=_files.write_atomic, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert path.read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["shared"]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)

    assert _files.sha256(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
