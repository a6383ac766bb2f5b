"""Removing folders so that whoever is killed meanwhile leaves all of one, or something that is plainly rubbish."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from pathlib import Path

__all__ = ["delete", "move_to_trash"]


def move_to_trash(path: Path, trash: Path) -> Path:
    """Take `path` away from where it is, in one step, and give the place where it can be deleted.

    What lies on another file system than the trash, or is gone already, stays where it is.

    Raises:
        OSError: If the disk refuses.
    """
    trash.mkdir(mode=0o700, exist_ok=True)
    rubbish = trash / f"{secrets.token_hex(4)}-{path.name}"
    try:
        path.rename(rubbish)
    except FileNotFoundError:
        return path
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return path
    return rubbish


def delete(path: Path) -> None:
    """Delete a file, a link or a whole folder, folders that may not be written to included. None there is fine.

    Raises:
        OSError: If the disk refuses.
    """
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path)
