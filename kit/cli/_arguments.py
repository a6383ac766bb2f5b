"""What several commands read from their command lines."""

from __future__ import annotations

from collections.abc import Iterable

from kit.errors import UserError

__all__ = ["tags"]


def tags(texts: Iterable[str]) -> dict[str, str]:
    """`--tag KEY=VALUE`, any number of times.

    Raises:
        UserError: If one is something else.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(f"--tag {text!r} is not KEY=VALUE", fix="Write it like `--tag team=pricing`.")
        found[key] = value
    return found
