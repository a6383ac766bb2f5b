"""git by argv, in an environment where neither the caller's hooks nor the user's settings can bend the answer."""

from __future__ import annotations

import os
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Protocol

from kit.errors import HostError, KitError, UserError

__all__ = ["LOCAL_VARIABLES", "Git", "GitFailed", "command", "environment", "explain", "not_started", "offline", "run"]

_SETTINGS = (
    ("core.hooksPath", os.devnull),  # index and ref updates run hooks too
    ("core.fsmonitor", "false"),
    ("core.splitIndex", "false"),
    ("core.safecrlf", "false"),
    ("core.trustctime", "true"),  # an mtime can be set back
    ("core.checkStat", "default"),
    ("core.quotePath", "false"),
    ("core.logAllRefUpdates", "false"),
    ("core.filesRefLockTimeout", "10000"),
    ("core.packedRefsTimeout", "10000"),
    ("diff.noprefix", "false"),
    ("diff.mnemonicPrefix", "false"),
    ("index.sparse", "false"),
)
_OPTIONS = tuple(part for name, value in _SETTINGS for part in ("-c", f"{name}={value}"))

LOCAL_VARIABLES = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_DIR",
        "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)  # fmt: skip
"""What a git hook hands down, and what would point git at another repository (`git rev-parse --local-env-vars`)."""

# For git itself stricter: only where settings are read from is the user's to say, and how remotes are reached.
_KEPT = re.compile(r"GIT_CONFIG_(?!PARAMETERS$)\w+|GIT_(?:EXEC_PATH|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM)")
_KEPT_FOR_REMOTES = re.compile(r"GIT_(?:SSH(?:_\w+)?|ASKPASS|PROXY_COMMAND|(?:ALLOW_)?PROTOCOL|(?:CURL|HTTP|SSL)_\w+)")

_USER_FAULTS = (
    ("not a git repository", "not a git repository", "Start one: `git init && git add --all && git commit -m start`."),
    ("must be run in a work tree", "a git repository without a working tree", "Work in a clone that has its files."),
)
_HOST_FAULTS = (
    ("no space left on device", "the disk is full", "Free some space, then run the command again."),
    ("disk quota exceeded", "the disk quota is used up", "Free some space, then run the command again."),
    ("read-only file system", "the file system is read-only", "Work in a folder that can be written."),
    ("permission denied", "permission denied", "Check who owns the files and `.git` (`ls -ld`)."),
    ("insufficient permission", "permission denied", "Check who owns the files and `.git` (`ls -ld`)."),
)


class GitFailed(HostError):
    """git said no, and why is nothing that kit knows of.

    Attributes:
        stderr: All that git said.
    """

    stderr: str = ""


class Git(Protocol):
    """git in one folder, as `run` is in any."""

    def __call__(self, *arguments: str, stdin: bytes = b"", accept: tuple[int, ...] = (0,)) -> bytes: ...


def offline(folder: Path) -> Git:
    """git that stays on this machine, also where a partial clone would fetch what it lacks."""
    return partial(run, folder, env={"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"})


def run(
    folder: Path, *arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None, accept: tuple[int, ...] = (0,)
) -> bytes:
    """Run git in `folder` and return what it printed.

    Args:
        folder: Where; every path that git prints is relative to it or to the repository, as that command has it.
        arguments: The subcommand and its arguments.
        stdin: What git reads.
        env: Variables on top of the clean environment.
        accept: Exit statuses that are not a failure.

    Raises:
        UserError: If the folder is not in a repository that may be used.
        HostError: If git is not installed, or the disk refuses.
        GitFailed: If git fails otherwise.
    """
    variables = environment() | (env or {})
    try:
        done = subprocess.run(
            command(*arguments), cwd=folder, env=variables, input=stdin, capture_output=True, check=False
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise not_started(folder) from error
    if done.returncode not in accept:
        raise explain(folder, arguments, done.stderr.decode("utf-8", "replace"))
    return done.stdout


def command(*arguments: str) -> list[str]:
    """The whole argv of a call of git."""
    return ["git", *_OPTIONS, *arguments]


def environment(*, remotes: bool = False) -> dict[str, str]:
    """The clean environment.

    Args:
        remotes: Keep what says how remotes are reached.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _KEPT.fullmatch(name) or (remotes and _KEPT_FOR_REMOTES.fullmatch(name))
    }
    return kept | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def not_started(folder: Path) -> KitError:
    """Why git could not even be started in `folder`."""
    if not folder.is_dir():
        return UserError("no such folder", where=str(folder), fix="Check the path.")
    return HostError("git is not installed", fix="Install it: https://git-scm.com/downloads.")


def _subcommand(arguments: tuple[str, ...]) -> str:
    return next(word for before, word in zip(("", *arguments), arguments, strict=False) if "-c" not in {before, word})


def explain(folder: Path, arguments: tuple[str, ...], stderr: str) -> KitError:
    """The error that git's own words come down to."""
    said = stderr.lower()
    if "dubious ownership" in said:
        owned = re.search(r"repository at '(.+)'", stderr)
        path = owned[1] if owned else str(folder)
        fix = f"If you trust it: `git config --global --add safe.directory '{path}'`."
        return UserError("the repository belongs to another user", where=path, fix=fix)
    for faults, kind in ((_USER_FAULTS, UserError), (_HOST_FAULTS, HostError)):
        for sign, what, fix in faults:
            if sign in said:
                return kind(what, where=str(folder), fix=fix)
    lines = [line for line in stderr.splitlines() if line.strip() and not line.startswith(("hint:", "warning:"))]
    reason = re.sub(r"^(fatal|error): ", "", lines[-1]) if lines else "no reason given"
    what = f"git {_subcommand(arguments)} failed: {reason}"
    failed = GitFailed(what, where=str(folder), fix="See what `git status` says there.")
    failed.stderr = stderr
    return failed
