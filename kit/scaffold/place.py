"""Put a rendered project in its place: all of it or nothing, and never over what is there."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kit.errors import UserError, from_os_error

__all__ = ["conflicts", "merge_into", "move_into_place", "refuse_existing", "workspace"]


@contextlib.contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent`, on the same file system as the target, removed whatever happens.

    Args:
        parent: An existing folder.

    Raises:
        UserError: If it does not exist.
        HostError: If it cannot be written.
    """
    if not parent.is_dir():
        raise UserError("no such folder", where=str(parent), fix=f"Make it first: `mkdir -p {parent}`.")
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=".kit-new-", dir=parent))
        yield folder
    except OSError as error:
        raise from_os_error(error) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def refuse_existing(target: Path) -> None:
    """Raise UserError when something is at `target`, be it a dangling link."""
    if target.exists() or target.is_symlink():
        raise UserError(
            "there is something of that name already",
            where=str(target),
            fix="Choose another name or `--output-dir`, or add to it with `--into`.",
        )


def move_into_place(folder: Path, target: Path) -> None:
    """Rename the finished project to where it belongs: it is there whole, or not at all.

    Raises:
        UserError: If something is at `target`, other than an empty folder.
        OSError: If it cannot be moved for another reason.
    """
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            refuse_existing(target)
        raise


def conflicts(folder: Path, target: Path) -> list[str]:
    """What of the rendered project cannot be added to `target`: other content, another kind, or behind a link."""
    found = []
    for source in sorted(folder.rglob("*")):
        relative = source.relative_to(folder)
        there = target / relative
        if there.is_symlink():
            found.append(relative)
        elif source.is_dir():
            if there.exists() and not there.is_dir():
                found.append(relative)
        elif there.exists() and not (there.is_file() and filecmp.cmp(source, there, shallow=False)):
            found.append(relative)
    return [str(path) for path in found if not any(parent in found for parent in path.parents)]


def merge_into(folder: Path, target: Path) -> list[str]:
    """Copy what `target` lacks. When one file cannot be written, those before it are taken back.

    Args:
        folder: The rendered project, which has no conflict with `target`.
        target: An existing folder.

    Returns:
        The files that were added, relative to `target`.

    Raises:
        OSError: If a file cannot be written, or has come to be there in the meantime.
    """
    added: list[Path] = []
    try:
        for source in sorted(folder.rglob("*")):
            there = target / source.relative_to(folder)
            if there.exists():
                continue
            if source.is_dir():
                there.mkdir()
            else:
                _copy_new(source, there)
            added.append(there)
    except BaseException:
        _take_back(added)
        raise
    return [str(path.relative_to(target)) for path in added if path.is_file()]


def _copy_new(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            shutil.copyfileobj(reader, writer)
            shutil.copymode(source, target)
        except BaseException:
            target.unlink()
            raise


def _take_back(added: list[Path]) -> None:
    for path in reversed(added):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
