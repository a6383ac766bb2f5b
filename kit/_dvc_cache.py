"""DVC's cache: what a version of an output holds. It is read as the documented files that it is, and never changed."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import msgspec

from kit._dvc_cli import dvc
from kit._dvc_files import find_dvc_root
from kit.errors import ServiceError
from kit.redact import mask

__all__ = ["Cache", "DamagedListing", "find_cache"]

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_SAYS_WHERE = re.compile(rb"(?i)cache")


class DamagedListing(Exception):
    """A folder's listing is in the cache, and is none."""


class _Entry(msgspec.Struct):
    md5: str
    relpath: str


class Cache:
    """The objects of one cache folder, in DVC 3's layout or that of 1 and 2.

    Args:
        folder: As `dvc cache dir` has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tops = (folder / "files" / "md5", folder)

    def find(self, md5: str) -> Path | None:
        """Where the content with this hash lies; None if it is not here, or this is no hash."""
        if not _MD5.fullmatch(md5):  # it may come from a file that anybody wrote, and must not lead out of the cache
            return None
        paths = (top / md5[:2] / md5[2:] for top in self._tops)
        return next((path for path in paths if path.is_file()), None)

    def listing(self, md5: str) -> dict[str, str] | None:
        """The files of a folder's version, by their path relative to it, with the hash of each.

        Returns:
            None if the listing is not here.

        Raises:
            DamagedListing: If it cannot be made sense of.
            OSError: If it cannot be read.
        """
        found = self.find(md5)
        if found is None:
            return None
        try:
            # Not msgspec's own reader: it refuses the names that are not UTF-8, as JSON from Python has them.
            entries = msgspec.convert(json.loads(found.read_bytes()), list[_Entry])
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise DamagedListing(f"its listing in the cache is damaged ({found})") from error
        return {entry.relpath.encode("utf-8", "backslashreplace").decode(): entry.md5 for entry in entries}


def find_cache(root: Path) -> Cache | None:
    """The cache of the project at `root`; None if it uses no DVC.

    Raises:
        ServiceError: If settings name another folder than the usual one, and DVC does not say which.
    """
    top = find_dvc_root(root.resolve())
    if top is None:
        return None
    if not any(map(_names_a_cache, _settings(top))):
        return Cache(top / ".dvc" / "cache")
    asked = dvc(root, "cache", "dir")  # half a second, so only if it can be elsewhere
    if not asked.ok or not asked.lines:
        what = mask(f"DVC does not say where its cache is: {asked.reason}")
        raise ServiceError(what, where=str(root), fix="See what `dvc cache dir` says.")
    return Cache((root / asked.lines[-1]).resolve())


def _settings(top: Path) -> tuple[Path, ...]:
    """DVC's own files, then the user's and the machine's, as DVC's documentation names them."""
    home = Path.home()
    if sys.platform == "darwin":
        user, machine = home / "Library/Application Support/dvc", Path("/Library/Application Support/dvc")
    else:
        user = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "dvc"
        machine = Path((os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").partition(os.pathsep)[0]) / "dvc"
    folders = (
        os.environ.get("DVC_GLOBAL_CONFIG_DIR") or user,
        os.environ.get("DVC_SYSTEM_CONFIG_DIR") or machine,
    )
    own = (top / ".dvc" / "config", top / ".dvc" / "config.local")
    return (*own, *(Path(folder) / "config" for folder in folders))


def _names_a_cache(settings: Path) -> bool:
    try:
        return _SAYS_WHERE.search(settings.read_bytes()) is not None
    except FileNotFoundError:
        return False
    except OSError:  # DVC will say what is wrong with it
        return True
