"""The pages of a process that is forked often: few large ones instead of many small ones.

A fork copies the table of pages, and the end of what was forked takes it apart again: with 200 MB in pages of 4 KB
each takes as long as a small command does.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

__all__ = ["in_large_pages"]

_LARGE = 2 << 20
_COLLAPSE = 25
"""MADV_COLLAPSE of madvise(2), since Linux 6.1. Where the kernel knows none, nothing changes."""


def in_large_pages() -> None:
    """Ask the kernel to put what this process has written into large pages, as far as it lies together."""
    with contextlib.suppress(OSError):
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for start, end in list(_written()):
            for page in range(-(-start // _LARGE) * _LARGE, end - _LARGE + 1, _LARGE):
                madvise(page, _LARGE, _COLLAPSE)


def _written() -> Iterator[tuple[int, int]]:
    """First and last address of what belongs to no file and can be written."""
    with open("/proc/self/maps", encoding="ascii", errors="replace") as lines:
        for line in lines:
            addresses, mode, _, _, inode, *_ = line.split()
            if mode.startswith("rw-p") and inode == "0":
                start, end = addresses.split("-")
                yield int(start, 16), int(end, 16)
