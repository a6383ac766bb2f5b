"""What DVC's files declare, remembered as long as none of them changes: ten thousand take seconds to read as YAML."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kit import _files
from kit._dvc_files import DVC_FILES, Output, read_outputs
from kit._working_tree import Seen, WorkingTree

__all__ = ["known_outputs"]


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read from what; `form` is another one when another version of kit read it.

    Attributes:
        root: The project; in a copy of it, it is not this one.
    """

    form: str
    root: str
    seen: Seen
    outputs: list[Output]


_FORM = f"1 {' '.join(Output.__dataclass_fields__)}"


def known_outputs(root: Path, cache: Path | None) -> list[Output]:
    """Every cached output that is declared in the project, as `read_outputs` gives them.

    Args:
        root: The project, absolute.
        cache: A JSON file; None remembers nothing. One that is corrupt or cannot be written only costs time.

    Raises:
        UserError: If one of the files is not YAML, or the project is not in a git repository.
        HostError: If git is not installed.
    """
    files = WorkingTree(root, DVC_FILES)
    known = None if cache is None else _load(cache)
    if known is not None and (known.form, known.root) == (_FORM, str(root)) and files.is_as(known.seen):
        return known.outputs
    outputs = read_outputs(root, files)
    seen = files.seen()
    if cache is not None and seen is not None and seen.lasts:
        with contextlib.suppress(OSError, UnicodeEncodeError):  # no room, or a name that is not UTF-8
            _files.write_atomic(cache, msgspec.json.encode(_Known(_FORM, str(root), seen, outputs), enc_hook=str))
    return outputs


def _load(cache: Path) -> _Known | None:
    try:
        return msgspec.json.decode(cache.read_bytes(), type=_Known, dec_hook=lambda kind, text: kind(text))
    except (OSError, msgspec.MsgspecError):
        return None
