"""A second working tree of a DVC project that uses the first one's cache, remotes and credentials."""

from __future__ import annotations

import configparser
import io
import os
import re
import shutil
from pathlib import Path

from kit._dvc_cache import Cache, DamagedListing, find_cache
from kit._dvc_files import find_dvc_root
from kit._files import write_atomic

__all__ = ["place", "share_cache"]

_REMOTE = re.compile(r"""'?remote\s+"(.+)"'?""")


def share_cache(home: Path, copy: Path) -> Cache | None:
    """Have DVC in `copy` find what DVC in `home` finds; only `copy` is written to, its `.dvc/config.local`.

    Paths in DVC's settings count from the file that they are in, so they are made absolute. What the copy has on record
    about remotes gives way to what the project says today: that is where the data is.

    Args:
        home: The project.
        copy: The same project in another working tree of its repository.

    Returns:
        The cache; None if one of the two is no DVC project.

    Raises:
        ServiceError: If DVC cannot say where its cache is.
        OSError: If the settings cannot be read or written.
    """
    here, there = find_dvc_root(home.resolve()), find_dvc_root(copy.resolve())
    if here is None or there is None or not (there / ".dvc").is_dir():
        return None
    cache = find_cache(home)
    if cache is None:
        return None
    settings = _parser()
    for name in ("config", "config.local"):
        settings.read(here / ".dvc" / name, encoding="utf-8")
    for section in settings.sections():
        url = settings[section].get("url")
        if _REMOTE.fullmatch(section) and url is not None and _is_relative(url):
            settings[section]["url"] = str((here / ".dvc" / url).resolve())
    for section, key, value in (
        ("cache", "dir", str(cache.folder)),
        ("core", "site_cache_dir", str(there / ".dvc" / "tmp" / "site")),  # else it outlives the copy
    ):
        if not settings.has_section(section):
            settings.add_section(section)
        settings[section][key] = value
    text = io.StringIO()
    settings.write(text)
    write_atomic(there / ".dvc" / "config.local", text.getvalue(), mode=0o600)
    return cache


def place(cache: Cache, digest: str, target: Path) -> bool:
    """Copy what DVC's cache keeps under this hash to `target`, and say whether the cache has all of it.

    Raises:
        OSError: If it cannot be read or written.
    """
    if not digest.endswith(".dir"):
        files = {target: cache.find(digest)}
    else:
        try:
            listing = cache.listing(digest)
        except DamagedListing:
            return False
        if listing is None:
            return False
        files = {Path(os.path.normpath(target / name)): cache.find(md5) for name, md5 in listing.items()}
    if not all(path.is_relative_to(target) for path in files):  # anybody may have written that listing
        return False
    found = {path: file for path, file in files.items() if file is not None}
    if len(found) < len(files):
        return False
    for path, file in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, path)
    return True


def _parser() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # as it is written
    return parser


def _is_relative(url: str) -> bool:
    return "://" not in url and not Path(url).is_absolute() and not url.startswith("~")
