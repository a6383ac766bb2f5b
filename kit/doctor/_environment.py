"""The environment that this process has, against the project's lock file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kit._uv import LEADS_ELSEWHERE, find_uv
from kit.doctor._finding import Finding, Place, one_line

__all__ = ["drift", "look_at_environment"]

_SECONDS = 8.0
_OTHERS = ("poetry.lock", "pdm.lock", "pylock.toml", "pixi.lock", "conda-lock.yml")
_CHANGE = re.compile(r"^ (?P<sign>[-+~]) (?P<name>[\w.-]+)(?:==(?P<version>\S+))?(?P<source> [@(].*)?$", re.MULTILINE)


def look_at_environment(place: Place) -> Iterator[Finding]:
    """What `uv sync` would change; packages beside the lock's are nobody's concern."""
    if place.project is None:
        return
    lock = _lock_of(place.project.root)
    if lock is None:
        found = next((name for name in _OTHERS if (place.project.root / name).exists()), None)
        if found is not None:
            yield Finding("environment", ok=True, what=f"{found}: cannot be compared from here")
        else:
            fix = "Write one, and commit it: `uv lock && git add uv.lock`."
            yield Finding("environment", ok=False, what="no lock file: nobody can make this environment anew", fix=fix)
        return
    variables = {name: value for name, value in os.environ.items() if name not in LEADS_ELSEWHERE}
    try:
        done = subprocess.run(
            [find_uv(), "sync", "--check", "--frozen", "--offline", "--inexact", "--active"],
            cwd=lock.parent if lock.parent != place.project.root else place.project.root,
            env=variables | {"VIRTUAL_ENV": sys.prefix, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        yield Finding("environment", ok=False, what="uv is not installed", fix="Install it: `pip install uv`.")
        return
    except subprocess.TimeoutExpired:
        yield Finding("environment", ok=False, what=f"uv does not answer for {_SECONDS:.0f} s", fix="Try `uv sync`.")
        return
    yield _judge(done.returncode, done.stderr, lock.name)


def _judge(status: int, said: str, lock: str) -> Finding:
    changes = drift(said)
    if changes:
        shown = ", ".join(changes[:3]) + (f" and {len(changes) - 3} more" if len(changes) > 3 else "")
        return Finding("environment", ok=False, what=f"differs from {lock}: {shown}", fix="Sync it: `uv sync`.")
    if status != 0 and "outdated" not in said:
        what = f"cannot be compared with {lock}: {one_line(said)[-150:]}"
        return Finding("environment", ok=False, what=what, fix="See what uv says: `uv sync --check`.")
    return Finding("environment", ok=True, what=f"as {lock} says ({sys.prefix})")


def drift(said: str) -> list[str]:
    """The packages that uv would add or change, as `name 1.0 -> 2.0`; one built from a folder here changes always."""
    here: dict[str, str] = {}
    wanted: dict[str, str] = {}
    local = set()
    for found in _CHANGE.finditer(said):
        if found["source"] is not None:
            local.add(found["name"])
        (here if found["sign"] == "-" else wanted)[found["name"]] = found["version"] or ""
    return [
        f"{name} {here[name]} -> {version}" if name in here else f"{name} {version} is missing"
        for name, version in wanted.items()
        if name not in local or name not in here
    ]


def _lock_of(root: Path) -> Path | None:
    """The nearest `uv.lock` from the project upward, as in a workspace, within its repository."""
    for folder in (root, *root.parents):
        if (folder / "uv.lock").is_file():
            return folder / "uv.lock"
        if (folder / ".git").exists():
            return None
    return None
