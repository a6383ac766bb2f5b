"""What changed: one file for each change until a release, `CHANGELOG.md` from then on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["page", "release"]

_KINDS = {"added": "Added", "changed": "Changed", "fixed": "Fixed", "removed": "Removed"}
_TITLE = "# What changed\n"


def page(repository: Path) -> str:
    """All that changed, what is not released first."""
    waiting = "\n".join(_waiting(repository))
    return "\n".join(filter(None, [_TITLE, waiting and f"## Not released yet\n\n{waiting}", _released(repository)]))


def release(repository: Path, version: str, day: str) -> Path:
    """Move what waits into `CHANGELOG.md`, under a version; gives that file.

    Raises:
        ValueError: If nothing waits, or the version is there already.
    """
    waiting, released = "\n".join(_waiting(repository)), _released(repository)
    if not waiting:
        raise ValueError("nothing changed since the last release")
    if f"## {version}, " in released:
        raise ValueError(f"CHANGELOG.md has {version} already")
    file = repository / "CHANGELOG.md"
    file.write_text("\n".join(filter(None, [_TITLE, f"## {version}, {day}\n\n{waiting}", released])), encoding="utf-8")
    for fragment in _fragments(repository):
        fragment.unlink()
    return file


def _fragments(repository: Path) -> list[Path]:
    """The newest issue first."""
    return sorted((repository / "docs/changelog").glob("*.*.md"), key=lambda file: -int(file.name.partition(".")[0]))


def _waiting(repository: Path) -> Iterator[str]:
    """By kind."""
    fragments = _fragments(repository)
    if unknown := [file.name for file in fragments if file.name.split(".")[1] not in _KINDS]:
        raise ValueError(f"docs/changelog/{unknown[0]}: the kinds are {', '.join(_KINDS)}")
    for kind, name in _KINDS.items():
        if texts := [
            _listed(file.read_text(encoding="utf-8")) for file in fragments if file.name.split(".")[1] == kind
        ]:
            yield f"### {name}\n"
            yield "\n".join([*texts, ""])


def _listed(text: str) -> str:
    """A fragment is a list, or the text of one point."""
    text = text.strip()
    return text if text.startswith("- ") else "- " + re.sub(r"\n(?=.)", "\n  ", text)


def _released(repository: Path) -> str:
    file = repository / "CHANGELOG.md"
    return file.read_text(encoding="utf-8").removeprefix(_TITLE).lstrip("\n") if file.is_file() else ""
