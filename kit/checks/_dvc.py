"""DVC's outputs: from its files, its cache, and a remote that is a folder. Nothing is asked over a network."""

from __future__ import annotations

import configparser
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from kit._dvc_cache import Cache, DamagedListing, find_cache
from kit._dvc_files import Output, find_dvc_root, read_outputs
from kit._reach import default_remote
from kit.checks._places import first_line_with
from kit.checks.rule import Finding
from kit.checks.tree import Tree
from kit.errors import KitError

__all__ = ["has_remote", "inside", "outputs", "place", "unpushed", "uses_dvc"]


def uses_dvc(tree: Tree) -> bool:
    return find_dvc_root(tree.root) is not None


def outputs(tree: Tree) -> list[Output]:
    """Every output that DVC caches and the project has; none if DVC's files cannot be read, which DVC says itself."""
    return tree.remember(f"{__name__}.outputs", lambda: _outputs(tree))


def _outputs(tree: Tree) -> list[Output]:
    if not uses_dvc(tree) or not any(path.endswith((".dvc", "dvc.yaml")) for path in tree.files):
        return []
    try:
        return [output for output in read_outputs(tree.root) if not output.path.startswith("..")]
    except KitError:
        return []


def inside(tree: Tree, output: Output) -> list[str]:
    """The files of an output that git tracks, or would."""
    files = tree.files  # in order, and there may be thousands of outputs
    first, after = (bisect_left(files, f"{output.path}{end}") for end in ("/", chr(ord("/") + 1)))
    itself = [output.path] if output.path in tree else []
    return [*itself, *files[first:after]]


def place(tree: Tree, output: Output, message: str, hint: str) -> Finding:
    """A finding where the output is declared or recorded."""
    source = output.source if output.source in tree else output.source.replace("dvc.lock", "dvc.yaml")
    if not (tree.root / source).exists():
        source = ""
    name = Path(os.path.relpath(output.location, tree.root / Path(source).parent)).as_posix()
    return Finding(
        source, message, first_line_with(tree.text(source) if source else None, name, output.path), hint=hint
    )


def has_remote(tree: Tree) -> bool:
    """Whether DVC has a default remote; so it is taken if its config cannot be read."""
    top = find_dvc_root(tree.root)
    try:
        return top is None or default_remote(top / ".dvc")[0] is not None
    except (configparser.Error, OSError, UnicodeDecodeError):
        return True


def unpushed(tree: Tree) -> Iterator[Output]:
    """Recorded outputs that are in the cache here and not in the default remote, if that is a folder of this machine.

    Of any other remote nothing is known without asking it, and of what this cache never had, nothing either.
    """
    found = outputs(tree)
    remote, cache = _folder_remote(tree), None
    if not found or remote is None:
        return
    try:
        cache = find_cache(tree.root)
    except KitError:
        return
    for output in found:
        if cache is not None and output.md5 is not None and _lacks(remote, cache, output.md5):
            yield output


def _folder_remote(tree: Tree) -> Cache | None:
    """A remote has the layout of a cache."""
    top = find_dvc_root(tree.root)
    if top is None:
        return None
    try:
        _, url = default_remote(top / ".dvc")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return None
    if url is None or ("://" in url and not url.startswith("file://")):
        return None
    folder = Path(os.path.normpath(top / ".dvc" / Path(url.removeprefix("file://")).expanduser()))
    # A folder elsewhere that is not there may be a disk that is not mounted.
    return Cache(folder) if folder.is_dir() or folder.is_relative_to(top) else None


def _lacks(remote: Cache, cache: Cache, md5: str) -> bool:
    """Whether the cache has something of this version that the remote does not have."""
    if cache.find(md5) is None:
        return False
    if remote.find(md5) is None:
        return True
    if not md5.endswith(".dir"):
        return False
    try:
        files = cache.listing(md5) or {}
    except (DamagedListing, OSError):
        return False
    return any(remote.find(file) is None and cache.find(file) is not None for file in files.values())
