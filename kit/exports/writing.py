"""Exported files on the disk: known again by a digest at their top, so that nobody's own changes are lost."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from kit._files import write_atomic
from kit.errors import UserError, from_os_error

__all__ = ["stamped", "write_files"]

_DIGEST = re.compile(r"^# kit:sha256:([0-9a-f]{64})\n", re.MULTILINE)


def stamped(text: str, command: str) -> str:
    """The text below lines that say what made it; all formats here take `#` for a comment."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"# Written by `{command}`; changes belong in conf/schedule/.\n# kit:sha256:{digest}\n{text}"


def _is_ours(text: str) -> bool:
    """Whether it is as it was written here."""
    found = _DIGEST.search(text)
    return found is not None and hashlib.sha256(text[found.end() :].encode()).hexdigest() == found[1]


def write_files(files: Mapping[Path, str], *, force: bool = False) -> dict[Path, bool]:
    """Write all of them, or none if one would lose what somebody wrote.

    Returns:
        For each, whether it was not there, or another one.

    Raises:
        UserError: If there is a file that was not written here, or changed since.
        HostError: If the disk refuses.
    """
    try:
        before = {path: path.read_text("utf-8", "replace") if path.exists() else None for path in files}
        for path, text in before.items():
            if text is not None and text != files[path] and not force and not _is_ours(text):
                raise UserError(
                    "there is a file that kit did not write, or that was changed by hand",
                    where=str(path),
                    fix="Write to another place, or replace it with `--force`.",
                )
        for path, text in files.items():
            if before[path] != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, text)
    except OSError as error:
        raise from_os_error(error) from error
    return {path: before[path] != text for path, text in files.items()}
