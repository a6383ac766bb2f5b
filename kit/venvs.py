"""The environment that a run had: this one if it is the same, else one made anew from what was recorded."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import filelock

from kit import environment
from kit._uv import run_uv
from kit.errors import HostError, ServiceError, from_os_error
from kit.executors._interpreter import borrowed
from kit.models import from_json
from kit.project import Project
from kit.redact import mask
from kit.snapshot import Environment

__all__ = ["COMPLETE", "choose", "differences"]

COMPLETE = ".complete"
"""The mark in an environment that is finished, touched whenever it is of use, under its lock."""
_SHOWN = 5


def choose(copy: Project, recorded: Environment, *, here: bool) -> tuple[Environment, tuple[str, ...]]:
    """The environment to repeat a run in, and what to say of it.

    This one is taken if its packages are those that were recorded. Else one is made, with uv, from the lock file that
    belongs to the run's code, brought to exactly the versions that were recorded, and kept for the next time.

    Args:
        copy: The project as the run had it.
        recorded: The run's.
        here: Take this one in any case.

    Raises:
        ServiceError: If packages cannot be installed.
        HostError: If uv cannot be started, or the disk refuses.
    """
    current = environment.capture(copy.source)
    differ = differences(recorded, current, own=copy.name)
    if not differ:
        return current, ()
    if here:
        return current, (f"in this environment, which is not the one that the run had: {_in_words(differ)}",)
    try:
        return _rebuilt(copy, recorded)
    except OSError as error:
        raise from_os_error(error) from error


def differences(old: Environment, new: Environment, *, own: str) -> dict[str, tuple[str | None, str | None]]:
    """Interpreter and packages that are not the same, with both versions; but for the project called `own`."""
    one, other = ({"python": each.python} | each.others(own) for each in (old, new))
    names = sorted({*one, *other})
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def _in_words(differ: Mapping[str, tuple[str | None, str | None]]) -> str:
    some = [f"{name} {old or 'missing'} → {new or 'missing'}" for name, (old, new) in differ.items()]
    more = len(some) - _SHOWN
    return ", ".join(some[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _rebuilt(copy: Project, recorded: Environment) -> tuple[Environment, tuple[str, ...]]:
    folder = copy.paths.environments / _key(recorded)
    copy.paths.environments.mkdir(mode=0o700, parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_suffix(".lock")):
        if not (folder / COMPLETE).exists():
            _make(copy, recorded, folder)
            (folder / COMPLETE).touch()
        os.utime(folder / COMPLETE)  # when it was of use last
    found = _capture(folder / "bin" / "python", copy)
    differ = differences(recorded, found, own=copy.name)
    notes = [f"in an environment made anew: Python {found.python}, {len(found.packages)} packages"]
    if differ:
        notes.append(f"it is not quite the one that the run had: {_in_words(differ)}")
    return found, tuple(notes)


def _key(recorded: Environment) -> str:
    """Of an environment: the lock alone says neither which groups of it were installed nor what was added by hand."""
    lines = [recorded.python, recorded.lock_sha256 or "", *(f"{n}=={v}" for n, v in recorded.packages.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _make(copy: Project, recorded: Environment, folder: Path) -> None:
    what = f"Python {recorded.python}, {len(recorded.packages)} packages"
    print(f"making the environment of the run: {what}", file=sys.stderr, flush=True)  # noqa: T201
    made, said = run_uv(copy.source, "venv", "--quiet", "--clear", "--python", recorded.python, str(folder))
    if not made:
        raise _failed(said)
    lock = copy.source / (recorded.lock_file or "")
    found = Environment("", "", "", {}, None, None)
    if recorded.lock_file is not None and lock.name == "uv.lock" and lock.is_file():
        _sync(copy.source, folder)
        found = _capture(folder / "bin" / "python", copy)
    missing = {
        name: version
        for name, (version, _) in differences(recorded, found, own=copy.name).items()
        if version is not None and name not in {"python", "mlekit"}  # kit itself is lent
    }
    if not missing:
        return
    pins = "".join(f"{name}=={version}\n" for name, version in missing.items())
    arguments = ("pip", "install", "--quiet", "--no-deps", "--python", str(folder / "bin" / "python"), "-r", "-")
    done, said = run_uv(copy.source, *arguments, stdin=pins)
    if not done:
        raise _failed(said)


def _sync(root: Path, folder: Path) -> None:
    """As the lock says. Where it names kit by a path that is not there any more, everything but kit."""
    arguments = ("sync", "--quiet", "--frozen", "--no-install-project", "--inexact")
    for more in ((), ("--no-install-package", "mlekit")):
        done, said = run_uv(root, *arguments, *more, UV_PROJECT_ENVIRONMENT=str(folder))
        if done:
            return
    raise _failed(said)


def _failed(said: str) -> ServiceError:
    return ServiceError(
        f"the environment of the run cannot be made: {mask(said)}",
        fix="Is a package index there? Or repeat the run in this environment: `--here`.",
    )


def _capture(python: Path, copy: Project) -> Environment:
    """What is installed there, as that interpreter sees it."""
    script = (
        "import sys; from pathlib import Path; from kit import environment; from kit.models import to_json; "
        "sys.stdout.buffer.write(to_json(environment.capture(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [python, "-P", "-c", script, str(copy.source)],
        env=os.environ | borrowed(python, copy.paths),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise HostError(
            f"kit cannot run in the environment of the run: {mask(said[-1] if said else 'no reason given')}",
            where=str(python),
            fix="Repeat the run in this environment: `--here`.",
        )
    found = from_json(done.stdout, Environment)
    lent = {"mlekit": version("mlekit")}  # whichever is installed there, this one runs
    return replace(found, packages=dict(sorted((found.packages | lent).items())))
