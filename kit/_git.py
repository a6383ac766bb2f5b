"""git by argv, in an environment where neither the caller's hooks nor the user's settings can bend the answer."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from kit.errors import HostError, KitError, UserError

__all__ = ["LOCAL_VARIABLES", "GitFailed", "run"]

_SETTINGS = (
    ("core.hooksPath", os.devnull),  # index and ref updates run hooks too
    ("core.fsmonitor", "false"),
    ("core.splitIndex", "false"),
    ("core.safecrlf", "false"),
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

# For git itself stricter: only where settings are read from is the user's to say.
_KEPT = re.compile(r"GIT_CONFIG_(?!PARAMETERS$)\w+|GIT_(?:EXEC_PATH|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM)")

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
    command = ["git", *_OPTIONS, *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _KEPT.fullmatch(name)}
    environment = kept | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"} | (env or {})
    try:
        done = subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not folder.is_dir():
            raise UserError("no such folder", where=str(folder), fix="Check the path.") from error
        raise HostError("git is not installed", fix="Install it: https://git-scm.com/downloads.") from error
    if done.returncode not in accept:
        raise _explain(folder, _subcommand(arguments), done.stderr.decode("utf-8", "replace"))
    return done.stdout


def _subcommand(arguments: tuple[str, ...]) -> str:
    return next(word for before, word in zip(("", *arguments), arguments, strict=False) if "-c" not in {before, word})


def _explain(folder: Path, subcommand: str, stderr: str) -> KitError:
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
    failed = GitFailed(f"git {subcommand} failed: {reason}", where=str(folder), fix="See what `git status` says there.")
    failed.stderr = stderr
    return failed
