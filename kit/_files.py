"""Writing and hashing files so that no reader ever sees half of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

__all__ = ["sha256", "sync_tree", "write_atomic"]


def write_atomic(path: Path, data: bytes | str, *, mode: int | None = None) -> None:
    """Put `data` at `path`, whole or not at all, also across a power cut. A symlink is written through.

    Args:
        path: Where; the folder must exist.
        data: The content; a text becomes UTF-8 with its line ends as they are.
        mode: The file's permissions; None keeps those of the file that is replaced, or takes the umask's.

    Raises:
        OSError: If the folder is missing, full or not writable. What was at `path` is then untouched.
    """
    path = Path(os.path.realpath(path))
    if mode is None:
        with contextlib.suppress(FileNotFoundError):
            mode = path.stat().st_mode & 0o7777
    # Short, since the file's own name may be as long as the file system allows.
    temporary = path.with_name(f".kit-{secrets.token_hex(8)}.tmp")
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else mode
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)  # os.open let the umask take bits away
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal, read in pieces.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_tree(folder: Path) -> None:
    """Have all that lies in a folder on the disk, so that a power cut after this leaves it as it is.

    Raises:
        OSError: If the disk refuses.
    """
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if path.is_file() and not path.is_symlink():
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        _sync_folder(Path(parent))


def _sync_folder(folder: Path) -> None:
    """Make a rename last; a file system that cannot sync folders has already done what it can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
