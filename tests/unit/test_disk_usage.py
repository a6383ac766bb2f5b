"""Room that removing frees is counted as the file system counts it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kit._disk_usage import amount, freed


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A folder with a file of 1 MiB, written out so that the file system has counted its blocks."""
    folder = tmp_path / "full"
    (folder / "deep" / "deeper").mkdir(parents=True)
    with (folder / "deep" / "deeper" / "data").open("wb") as file:
        file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    return folder


def blocks(*paths: Path) -> int:
    return sum(path.lstat().st_blocks for path in paths) * 512


def test_what_lies_below_counts_with_its_folders(full: Path) -> None:
    assert freed([[full]]) == [blocks(full, *full.rglob("*"))]
    assert freed([[full]])[0] >= 1 << 20


def test_a_file_with_two_names_counts_once_for_the_first_group(full: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    os.link(full / "deep" / "deeper" / "data", other / "data")
    assert freed([[full], [other]]) == [blocks(full, *full.rglob("*")), blocks(other)]


def test_a_file_that_keeps_another_name_frees_nothing(full: Path, tmp_path: Path) -> None:
    os.link(full / "deep" / "deeper" / "data", tmp_path / "kept")
    assert freed([[full]])[0] < 1 << 20


def test_links_are_not_followed_and_holes_do_not_count(full: Path, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "to").symlink_to(full)
    (tmp_path / "links" / "into").symlink_to(full / "deep" / "deeper" / "data")
    links, hole, gone = freed([[tmp_path / "links"], [sparse], [tmp_path / "never there"]])
    assert links < 1 << 20
    assert hole < 1 << 20
    assert gone == 0


@pytest.mark.parametrize(
    ("bytes_", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_340_000_000, "2.34 GB"), (7e13, "70 TB")]
)
def test_an_amount_is_said_in_three_digits(bytes_: float, said: str) -> None:
    assert amount(bytes_) == said
