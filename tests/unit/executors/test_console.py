"""The console log keeps both ends of what a run prints, and never fills the disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.executors._console import ConsoleLog

NOTICE = b"\n[kit: the log is full; what follows is kept at its end only]\n"


def kept(folder: Path) -> tuple[bytes, bytes]:
    """The head, and what is kept of the rest, older first."""
    rest = [folder / "console.log.2", folder / "console.log.1"]
    return (folder / "console.log").read_bytes(), b"".join(path.read_bytes() for path in rest if path.exists())


def test_up_to_the_limit_everything_is_there(tmp_path: Path) -> None:
    with ConsoleLog(tmp_path / "console.log", limit=10) as log:
        for piece in (b"01234", b"", b"56789"):
            log.write(piece)
    assert kept(tmp_path) == (b"0123456789", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["console.log"]


def test_past_the_limit_head_and_tail_stay(tmp_path: Path) -> None:
    with ConsoleLog(tmp_path / "console.log", limit=10) as log:
        log.write(b"0123456789" + bytes(range(65, 91)))
    head, tail = kept(tmp_path)
    assert head == b"0123456789" + NOTICE
    assert bytes(range(65, 91)).endswith(tail)
    assert 5 <= len(tail) <= 10


def test_one_byte_too_many_is_kept(tmp_path: Path) -> None:
    with ConsoleLog(tmp_path / "console.log", limit=4) as log:
        log.write(b"abcde")
    assert kept(tmp_path) == (b"abcd" + NOTICE, b"e")


def test_a_log_is_gone_on_with(tmp_path: Path) -> None:
    for piece in (b"one ", b"two"):
        with ConsoleLog(tmp_path / "console.log", limit=100) as log:
            log.write(piece)
    assert kept(tmp_path) == (b"one two", b"")


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with ConsoleLog(tmp_path / "console.log", limit=2) as log:
        log.write(b"abcdefgh")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@given(limit=st.integers(2, 40), pieces=st.lists(st.binary(max_size=60), max_size=30))
def test_the_disk_holds_at_most_twice_the_limit_and_both_ends(limit: int, pieces: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = b""
        with ConsoleLog(folder / "console.log", limit=limit) as log:
            for piece in pieces:
                log.write(piece)
                written += piece
                assert sum(path.stat().st_size for path in folder.iterdir()) <= 2 * limit + len(NOTICE)
        head, tail = kept(folder)
        assert head.removesuffix(NOTICE) == written[:limit]
        rest = written[limit:]
        assert rest.endswith(tail)
        # At least half of what may be kept of the end is.
        assert len(tail) >= min(len(rest), limit // 2)


@pytest.mark.parametrize("limit", [0, 1])
def test_a_tiny_limit_is_no_endless_loop(tmp_path: Path, limit: int) -> None:
    with ConsoleLog(tmp_path / "console.log", limit=limit) as log:
        log.write(b"abcdef")
    head, tail = kept(tmp_path)
    assert head == b"abcdef"[:limit] + NOTICE
    assert tail.endswith(b"f")
