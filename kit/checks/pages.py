"""The page of each rule: why it is there, a bad and a good example, how to mend what it finds, when to ignore it."""

from __future__ import annotations

from pathlib import Path

from kit.errors import HostError

__all__ = ["page"]

_FOLDERS = ("_rules", "../docs/reference/rules")
"""In the wheel, and in a checkout of kit."""


def page(code: str) -> str:
    """The page of a rule, as Markdown.

    Raises:
        HostError: If kit was installed without it.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in _FOLDERS:
        path = package / folder / f"{code}.md"
        if path.is_file():
            return path.read_text("utf-8")
    raise HostError(f"the page of {code} is missing", where=str(package), fix="Install kit anew.")
