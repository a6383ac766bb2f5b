"""What several commands read from their command lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from kit.errors import UserError

__all__ = ["AsJson", "RunName", "tags"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, `last` or `last~1`.")]


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
