"""This machine: Python, git, the disk."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from kit.doctor._finding import Finding, Place, failed, one_line
from kit.status._around import check_space
from kit.status._check import State

__all__ = ["look_at_disk", "look_at_git", "look_at_python"]

_GIT_SECONDS = 4.0
_OLDEST_GIT = (2, 25)
"""Which has all that snapshots ask of it."""


def look_at_python(place: Place) -> Iterator[Finding]:
    """The interpreter, against what kit and the project ask for."""
    version, where = platform.python_version(), sys.prefix
    wanted = {"kit": metadata.metadata("mlekit")["Requires-Python"], "the project": _wanted(place)}
    for who, rule in wanted.items():
        if rule and not _fits(version, rule):
            fix = "Make the environment anew with one that does: `uv venv --python VERSION && uv sync`."
            yield Finding("python", ok=False, what=f"{version} ({where}); {who} needs {rule}", fix=fix)
            return
    yield Finding("python", ok=True, what=f"{version}, kit {metadata.version('mlekit')} ({where})")


def _wanted(place: Place) -> str | None:
    if place.project is None:
        return None
    rule = tomllib.loads(place.project.paths.pyproject.read_text("utf-8")).get("project", {}).get("requires-python")
    return rule if isinstance(rule, str) else None


def _fits(version: str, rule: str) -> bool:
    """Whether a version is within a rule; of a rule in other words than `>=3.11,<3.14`, that is not known: it is."""
    own = _numbers(version)
    for part in rule.split(","):
        found = re.fullmatch(r"\s*(>=|<=|<|>|==|~=|!=)\s*(\d+(?:\.\d+)*)(?:\.\*)?\s*", part)
        if found is None:
            continue
        sign, bound = found[1], _numbers(found[2])
        cut = own[: len(bound)]
        held = {
            ">=": own >= bound,
            "<=": cut <= bound,
            "<": own < bound,
            ">": cut > bound,
            "==": cut == bound,
            "!=": cut != bound,
            "~=": own >= bound and own[: len(bound) - 1] == bound[:-1],
        }
        if not held[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def look_at_git(place: Place) -> Iterator[Finding]:
    """git, the repository, and whether commits have an author."""
    program = shutil.which("git")
    if program is None:
        yield Finding("git", ok=False, what="not installed", fix="Install it: `apt-get install git`.")
        return
    version = _git(place.folder, "version").removeprefix("git version ")
    if _numbers(version) < _OLDEST_GIT:
        oldest = ".".join(map(str, _OLDEST_GIT))
        yield Finding("git", ok=False, what=f"{version} is older than {oldest}", fix="Upgrade git.")
    elif place.project is None:
        yield Finding("git", ok=True, what=version)
    elif not _git(place.project.root, "rev-parse", "--is-inside-work-tree"):
        refusal = one_line(_git(place.project.root, "rev-parse", "--is-inside-work-tree", said=True))
        if "dubious ownership" in refusal:
            fix = f"Say that it is yours: `git config --global --add safe.directory {place.project.root}`."
            yield Finding("git", ok=False, what="the repository belongs to somebody else", fix=fix)
        else:
            fix = "Start one: `git init && git add --all && git commit -m start`."
            yield Finding("git", ok=False, what="the project is in no git repository", fix=fix)
    elif not _git(place.project.root, "rev-parse", "--verify", "HEAD"):
        fix = "Make one: `git add --all && git commit -m start`."
        yield Finding("git", ok=False, what="the repository has no commit yet", fix=fix)
    else:
        yield Finding("git", ok=True, what=version)


def _git(folder: Path, *arguments: str, said: bool = False) -> str:
    """What it printed, or what it complained of; nothing where it failed."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False
    )
    return done.stderr if said else done.stdout.strip() if done.returncode == 0 else ""


def look_at_disk(place: Place) -> Iterator[Finding]:
    """The disks that runs write to: the project's and that of temporary files."""
    folders = [place.folder if place.project is None else place.project.root]
    temporary = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 - only looked at
    if temporary.is_dir() and temporary.stat().st_dev != folders[0].stat().st_dev:
        folders.append(temporary)
    for folder in folders:
        try:
            disk = shutil.disk_usage(folder)
        except OSError as error:
            yield failed("disk", error)
            continue
        found = check_space(disk.free, disk.total)
        what = f"{found.what}, {folder}"
        yield Finding("disk", found.state is not State.BAD, what, None if found.state is State.OK else found.fix)
