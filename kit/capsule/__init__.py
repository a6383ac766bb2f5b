"""Crash capsules: what a run that failed leaves behind, for people to read and for pdb to open."""

from __future__ import annotations

from kit.capsule._record import DUMP, READABLE, Capsule, Value, read, write
from kit.capsule._taking import Place, files_of, secrets_in, take
from kit.capsule._text import as_text, notes_on

__all__ = [
    "DUMP",
    "READABLE",
    "Capsule",
    "Place",
    "Value",
    "as_text",
    "files_of",
    "notes_on",
    "post_mortem",
    "read",
    "secrets_in",
    "take",
    "write",
]


def post_mortem(crash: Capsule) -> None:
    """Open a session at the failing frame, on the terminal; returns when it is left."""
    from kit.capsule import _session  # pdb takes a while to load

    _session.post_mortem(crash)
