"""What someone who mistyped a word may have meant. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like it; None if none is like it at all."""
    return next(iter(get_close_matches(word, list(known), n=1)), None)


def did_you_mean(*names: str | None) -> str | None:
    """A sentence that offers these; None if there are none."""
    offered = [repr(name) for name in names if name is not None]
    return f"Did you mean {' or '.join(offered)}?" if offered else None
