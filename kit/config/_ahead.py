"""Composing ahead: a forkserver takes the first steps of a project's compositions, and whoever it forks goes on.

Only files are read for that, never the project's code, and one changed file makes what was composed of no use. What
depends on more than the files, on a variable or on another place that is searched, is not composed ahead.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from kit.config import _sharing
from kit.config._compose import compose
from kit.config._session import Source
from kit.errors import KitError

__all__ = ["compose_ahead", "composed_ahead", "is_outdated"]

_MOST = 16
"""Experiments that are composed ahead."""
_MOST_FILES = 2000
"""Looking at more of them takes longer than composing."""
_LAG = 0.1
"""Seconds that the clock of files may be behind the other one."""
_RESOLVER = re.compile(r"\$\{[^}]*:")
_State: TypeAlias = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What was composed.

    Attributes:
        source: From where.
        state: That of each file and folder there; empty if they changed meanwhile.
        kept: The first steps; None if they depend on more than these files.
    """

    source: Source
    state: _State
    kept: _sharing.Kept | None


_ahead: _Ahead | None = None


def compose_ahead(root: Path, config_dir: str, config_name: str) -> None:
    """Compose the project's config as it is, and with each of its experiments."""
    global _ahead  # noqa: PLW0603 - what is kept for the children is this process's
    _ahead = None
    source = Source(root, config_dir, config_name)
    since, state, kept = time.time(), _state_of(source.folder), _sharing.Kept()
    if len(state) > _MOST_FILES:
        return
    if not _is_all(state):
        _ahead = _Ahead(source, state, None)
        return
    with _sharing.sharing(kept):
        for overrides in ((), *((f"experiment={name}",) for name in _experiments(source))):
            with contextlib.suppress(KitError):  # whoever asks for it is told
                compose(root, config_dir, config_name, overrides)
    # What changed while it was read may have been read before or after.
    newest = max((max(each[-2:]) for each in state.values()), default=0)
    unchanged = state == _state_of(source.folder) and newest < (since - _LAG) * 1e9
    _ahead = _Ahead(source, state if unchanged else {}, kept)


def is_outdated() -> bool:
    """Whether files have changed since they were composed."""
    return _ahead is not None and _ahead.state != _state_of(_ahead.source.folder)


@contextmanager
def composed_ahead(source: Source, *, several: bool = False) -> Iterator[None]:
    """Inside, what was composed ahead of these configs is used, if it is what they are.

    Args:
        several: Whether several are composed, which share their first steps anyway.
    """
    usable = _ahead is not None and _ahead.source == source and not _sharing.is_on() and not is_outdated()
    kept = _ahead.kept if _ahead is not None and usable else None
    with _sharing.sharing(kept) if kept is not None or several else contextlib.nullcontext():
        yield


def _state_of(folder: Path) -> _State:
    """What is in it, with size, inode and times; folders too, since a new file may hide another."""
    found: _State = {}
    for where, _, names in os.walk(folder, followlinks=True):
        for path in (where, *(os.path.join(where, name) for name in names)):  # noqa: PTH118 - there may be thousands
            with contextlib.suppress(OSError):  # a link to nothing
                each = os.stat(path)  # noqa: PTH116
                found[path] = each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns
    return found


def _experiments(source: Source) -> list[str]:
    return sorted(path.stem for path in (source.folder / "experiment").glob("*.yaml"))[:_MOST]


def _is_all(paths: Iterable[str]) -> bool:
    """Whether the files are all that the first steps depend on."""
    import yaml

    from kit._plain_yaml import safe_loader

    for path in paths:
        if not path.endswith((".yaml", ".yml")):
            continue
        try:
            text = Path(path).read_text("utf-8")
            content = yaml.load(text, Loader=safe_loader(text))  # noqa: S506 - a safe one
        except (OSError, ValueError, yaml.YAMLError):
            return False
        defaults = content.get("defaults") if isinstance(content, dict) else None
        if "searchpath" in text or _RESOLVER.search(str(defaults)):
            return False
    return True
