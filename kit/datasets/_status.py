"""How the data of a project stands: what changed, what a cache or remote lacks, what would be made anew."""

from __future__ import annotations

import configparser
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import data
from kit._dvc_cache import Cache, DamagedListing, find_cache
from kit._dvc_cli import dvc
from kit._dvc_files import find_dvc_root, read_outputs
from kit._dvc_refusals import explain_refusal
from kit._reach import default_remote
from kit.compare_data import Reader
from kit.datasets._contents import Contents, contents
from kit.datasets._usage import Usage, usage
from kit.project import Project
from kit.redact import mask
from kit.snapshot import DataVersion

__all__ = ["Standing", "Status", "status"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One output.

    Attributes:
        cached: Whether DVC's cache here has all that is recorded; None if nothing is, or that cannot be told.
        pushed: Whether the remote has it; None if that is not known.
        stale: Why its stage would make it anew, what changed since; empty if it would not.
    """

    version: DataVersion
    contents: Contents
    usage: Usage
    cached: bool | None = None
    pushed: bool | None = None
    stale: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be done about it."""
        return (
            self.version.state == "matches" and self.cached is not False and self.pushed is not False and not self.stale
        )


@dataclass(frozen=True, slots=True)
class Status:
    """All outputs, and why something is not known of them."""

    outputs: tuple[Standing, ...]
    notes: tuple[str, ...] = ()


def status(project: Project, *, remote: bool) -> Status:
    """Look at every output of the project.

    Args:
        remote: Whether its remote is asked what it has.

    Raises:
        UserError: If a file of DVC's is not YAML.
        ServiceError: If DVC does not say where its cache is.
    """
    versions = data.versions(project.root, cache=project.paths.data_hashes)
    if not versions:
        return Status(())
    notes: list[str] = []
    unpushed = _unpushed(project, notes) if remote else None
    stale = _stale(project, notes)
    cache = find_cache(project.root)
    reader = Reader(project, "`dvc pull` gets it", workspace=versions)
    users = usage(project, read_outputs(project.root))
    return Status(
        tuple(
            Standing(
                version=version,
                contents=contents(version, reader),
                usage=users.of(version.path, version.used),
                cached=_is_cached(cache, version),
                pushed=None if unpushed is None or version.md5 is None else version.path not in unpushed,
                stale=() if version.md5 is None else stale.get(version.stage or "", ()),
            )
            for version in versions
        ),
        tuple(notes),
    )


def _is_cached(cache: Cache | None, version: DataVersion) -> bool | None:
    if cache is None or version.md5 is None:
        return None
    if cache.find(version.md5) is None:
        return False
    if not version.md5.endswith(".dir"):
        return True
    try:
        listing = cache.listing(version.md5) or {}
    except (DamagedListing, OSError):
        return False
    return all(cache.find(md5) is not None for md5 in listing.values())


def _unpushed(project: Project, notes: list[str]) -> set[str] | None:
    """The outputs that the default remote lacks; None, with a note, if it cannot be asked."""
    if not _has_remote(project.root):
        notes.append("no DVC remote: nothing can be pushed; `dvc remote add --default NAME URL` names one")
        return None
    asked = dvc(project.root, "data", "status", "--json", "--not-in-remote")
    found = _json(asked.output)
    if not asked.ok or found is None:
        told = explain_refusal(asked.output, "")
        why = told[0] if told else mask(asked.reason)
        notes.append(f"what is pushed is not known: {why}; `kit doctor` looks closer")
        return None
    return {str(path).rstrip("/") for path in found.get("not_in_remote", [])}


def _has_remote(root: Path) -> bool:
    """DVC is asked only if the project's own files name none: the user's or the machine's may."""
    top = find_dvc_root(root)
    with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
        if top is not None and default_remote(top / ".dvc")[0] is not None:
            return True
    return bool(dvc(root, "remote", "list").lines)


def _stale(project: Project, notes: list[str]) -> dict[str, tuple[str, ...]]:
    """The stages that would run, and for what; that one always runs says nothing of its outputs."""
    asked = dvc(project.root, "status", "--json")
    found = _json(asked.output)
    if not asked.ok or found is None:
        notes.append(f"what is stale is not known: {mask(asked.reason)}")
        return {}
    return {stage: reasons for stage, entries in found.items() if (reasons := tuple(_reasons(entries)))}


def _reasons(entries: object) -> list[str]:
    reasons = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(changed := entry.get("changed deps"), dict):
            reasons += [f"{path} {word}" for path, word in changed.items()]
        elif entry == "changed command":
            reasons.append("its command changed")
    return reasons


def _json(text: str) -> dict[str, Any] | None:
    """DVC's answer; it may have said something before."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            return found if isinstance(found, dict) else None
    return None
