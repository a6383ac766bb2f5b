"""Write what was proposed: all of it or nothing, and never over what is there."""

from __future__ import annotations

import contextlib
from pathlib import Path

from kit._files import write_atomic
from kit.adopt.model import Change, Proposal
from kit.errors import UserError, from_os_error

__all__ = ["apply"]


def apply(root: Path, proposal: Proposal) -> None:
    """Write the files. The last one makes it a project: whatever stops this before leaves none.

    Raises:
        UserError: If a file is not what it was when the proposal was made.
        HostError: If a file cannot be written. What was written before is taken back.
    """
    for change in proposal.changes:
        _expect_unchanged(root, change)
    done: list[Path | Change] = []
    try:
        for change in proposal.changes:
            _write(root, change, done)
    except BaseException as error:
        _take_back(root, done)
        if isinstance(error, OSError):
            raise from_os_error(error) from error
        raise


def _expect_unchanged(root: Path, change: Change) -> None:
    place = root / change.path
    there = place.is_symlink() or place.exists()
    same = not there if change.before is None else there and place.read_bytes() == change.before.encode()
    if not same:
        raise UserError("has changed meanwhile", where=change.path, fix="Run `kit init` again.")


def _write(root: Path, change: Change, done: list[Path | Change]) -> None:
    place = root / change.path
    if change.before is not None:
        done.append(change)
        write_atomic(place, change.after)
        return
    for folder in reversed([one for one in place.parents if one.is_relative_to(root) and not one.exists()]):
        folder.mkdir()
        done.append(folder)
    with place.open("xb") as file:  # never over what has come to be there
        done.append(place)
        file.write(change.after.encode())


def _take_back(root: Path, done: list[Path | Change]) -> None:
    for each in reversed(done):
        with contextlib.suppress(OSError):
            if isinstance(each, Change):
                write_atomic(root / each.path, each.before or "")
            elif each.is_dir():
                each.rmdir()
            else:
                each.unlink()
