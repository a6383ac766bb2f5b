"""git with remotes: bounded in time, asking nobody, and ended with everything that it started."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kit import _git, _process
from kit._near import did_you_mean, nearest
from kit.errors import HostError, KitError, ServiceError, UserError
from kit.redact import mask

__all__ = ["WATCHED", "BoundedGit", "fetch", "watch_ref"]

WATCHED = "refs/kit/watch/"
"""Where what is fetched is kept."""
_FETCH = (
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false"),  # would go on in the background, once for each look
    *("fetch", "--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules"),
    *("--refmap=", "--no-write-fetch-head"),  # the user's remote-tracking branches and FETCH_HEAD are theirs
)
_NOBODY_IS_ASKED = {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "SSH_ASKPASS_REQUIRE": "never"}
_GRACE = 2.0
"""Seconds that git has to remove its lock files."""
_PAUSE = 0.05
_KEPT = 64 * 1024
"""Bytes of what git complains about that are read."""
_ATTEMPTS = 3
_LOOK = "See whether the remote answers: `git remote --verbose`, then `git ls-remote`."

_NOT_THERE = ("couldn't find remote ref", "not our ref", "unadvertised object", "invalid refspec")
_LOCAL = ("cannot lock ref", "unable to update local ref")
_UNREACHABLE = ("could not read from remote", "unable to access", "authentication failed", "could not read username")


@dataclass(frozen=True, slots=True)
class BoundedGit:
    """git in one folder, as `_git.run` is in any.

    Attributes:
        folder: Where.
        patience: Seconds that one command may take.
        cancelled: Ends what runs, from another thread.
    """

    folder: Path
    patience: float
    cancelled: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *arguments: str, stdin: bytes = b"", accept: tuple[int, ...] = (0,)) -> bytes:
        """Run git and return what it printed.

        Raises:
            UserError: If the folder is not in a repository that may be used.
            HostError: If git is not installed, the disk refuses, or git fails otherwise.
            ServiceError: If it takes too long.
        """
        code, stdout, stderr = self.attempt(arguments, stdin=stdin)
        if code not in accept:
            raise _git.explain(self.folder, arguments, stderr)
        return stdout

    def attempt(self, arguments: tuple[str, ...], *, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Run git, and return its exit status, what it printed and the end of what it complained about."""
        # Files, not pipes: what git leaves running in the background would hold a pipe open.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
            given.write(stdin)
            given.seek(0)
            try:
                process = subprocess.Popen(
                    self._command(*arguments),
                    cwd=self.folder,
                    env=_environment(),
                    stdin=given,
                    stdout=printed,
                    stderr=said,
                    start_new_session=True,  # away from the terminal, where ssh would ask
                )
            except (FileNotFoundError, NotADirectoryError) as error:
                raise _git.not_started(self.folder) from error
            self._wait(process)
            return process.returncode, _content(printed), _content(said, _KEPT).decode("utf-8", "replace")

    def _command(self, *arguments: str) -> list[str]:
        """With a bound that holds, where coreutils are, also when this process is killed."""
        timeout = shutil.which("timeout") if shutil.which("git") else None
        bound = [] if timeout is None else [timeout, "-s", "KILL", str(math.ceil(self.patience + _GRACE))]
        return [*bound, *_git.command(*arguments)]

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + self.patience
        try:
            while process.poll() is None:
                if self.cancelled.wait(_PAUSE):
                    raise ServiceError("git was stopped", where=str(self.folder), fix=_LOOK)
                if time.monotonic() > end:
                    raise ServiceError(f"no answer within {self.patience:g} s", where=str(self.folder), fix=_LOOK)
        finally:
            if process.returncode is None:
                _end(process)


def fetch(git: BoundedGit, remote: str, rev: str) -> str:
    """Get a revision of a remote, and keep it under a ref of kit's own; branches, tags and the like stay as they are.

    Args:
        remote: Its name or address.
        rev: A branch, a tag, or a commit where the remote gives those away.

    Returns:
        The commit.

    Raises:
        UserError: If there is no such remote, or no such revision there.
        HostError: If git is not installed, or the disk refuses.
        ServiceError: If the remote cannot be reached, or does not answer in time.
    """
    ref = watch_ref(remote, rev)
    arguments = (*_FETCH, "--", remote, f"+{rev}:{ref}")
    for _ in range(_ATTEMPTS):
        try:
            code, _, stderr = git.attempt(arguments)
        except ServiceError as error:
            raise ServiceError(
                mask(f"remote {remote!r}: {error.what}"), where=error.where, fix=_by_hand(remote, rev)
            ) from error
        if code == 0:
            return _commit(git, remote, rev, ref)
        if "cannot lock ref" not in stderr:  # another scheduler fetches the same
            break
    raise _explain(git, remote, rev, arguments, stderr)


def watch_ref(remote: str, rev: str) -> str:
    """The ref that a revision of a remote is kept under."""
    return WATCHED + hashlib.sha256(f"{remote}\0{rev}".encode()).hexdigest()[:16]


def _commit(git: BoundedGit, remote: str, rev: str, ref: str) -> str:
    found = git("rev-parse", "--verify", "--quiet", ref + "^{commit}", accept=(0, 1, 128)).decode().split()
    if not found:
        raise UserError(mask(f"{rev!r} of remote {remote!r} is no commit"), fix="Name a branch, as `rev: main`.")
    return found[0]


def _explain(git: BoundedGit, remote: str, rev: str, arguments: tuple[str, ...], stderr: str) -> KitError:
    said = stderr.lower()
    if any(sign in said for sign in _NOT_THERE):
        return _no_revision(git, remote, rev)
    if re.fullmatch(r"[\w.-]+", remote) and remote not in (names := git("remote").decode("utf-8", "replace").split()):
        fix = did_you_mean(nearest(remote, names)) or f"Add it: `git remote add {remote} URL`."
        return UserError(f"no git remote {remote!r}", where=str(git.folder), fix=fix)
    known = _git.explain(git.folder, arguments, stderr)
    if not isinstance(known, _git.GitFailed) and not any(sign in said for sign in _UNREACHABLE):
        return known
    where, reason = str(git.folder), mask(_first_words(stderr.splitlines()))
    if any(sign in said for sign in _LOCAL):
        fix = f"Remove what is in the way: `git for-each-ref {WATCHED}`."
        return HostError(f"git cannot keep what it fetched: {reason}", where=where, fix=fix)
    what = mask(f"remote {remote!r} cannot be fetched from: {reason}")
    return ServiceError(what, where=where, fix=_by_hand(remote, rev))


def _no_revision(git: BoundedGit, remote: str, rev: str) -> UserError:
    prefix = f"refs/remotes/{remote}/"
    listing = git("for-each-ref", "--format=%(refname)", "refs/remotes").decode("utf-8", "replace").split()
    known = [name.removeprefix(prefix) for name in listing if name.startswith(prefix)]
    own = rev.removeprefix(f"{remote}/")
    likely = own if own != rev else nearest(rev, known)
    fix = did_you_mean(likely) or mask(f"See `git ls-remote {remote}`.")
    return UserError(mask(f"remote {remote!r} has no revision {rev!r}"), where=str(git.folder), fix=fix)


def _first_words(lines: Sequence[str]) -> str:
    told = [line.strip() for line in lines if line.strip() and not line.lower().startswith(("hint:", "warning:"))]
    return re.sub(r"^(?:fatal|error): ", "", (told or ["no reason given"])[0]).rstrip(".")


def _by_hand(remote: str, rev: str) -> str:
    return mask(f"Try it by hand: `git fetch {remote} {rev}`.")


def _environment() -> dict[str, str]:
    """Programs that would open a window to ask are left out, unless the user says that they ask nobody."""
    variables = _git.environment(remotes=True)
    if "SSH_ASKPASS_REQUIRE" not in variables:
        variables.pop("SSH_ASKPASS", None)
    return _NOBODY_IS_ASKED | variables


def _content(file: IO[bytes], last: int | None = None) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(0 if last is None else max(0, size - last))
    return file.read()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask git and what it started to end, and kill what does not."""
    below = _process.descendants(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    _process.signal_processes(below, signal.SIGKILL)
    process.wait()
