"""What happens to a new project after its files are there: git, DVC, lock, install, hooks, first commit.

Each effect says how it went and, unless it went well, what to do later. None of them is fatal: the project is
complete before the first one starts. The commit comes last, so that it holds uv.lock; it passes by the hooks,
which were only just installed and which the template's own tests have run on these very files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kit._uv import LEADS_ELSEWHERE, find_uv
from kit.errors import Cancelled

__all__ = ["ALL", "Effect", "Observer", "run_effects"]

_MESSAGE = "Start from the kit template"
_MINUTE = 60.0
_IDENTITY_FIX = (
    'Tell git who you are, `git config --global user.name "..."` and `user.email`, then `git commit -m "Start"`.'
)
_FRAME = re.compile(r"^[^\w'\"`(/.-]+")


@dataclass(frozen=True, slots=True)
class Effect:
    """How one effect went.

    Attributes:
        name: Which one.
        status: `skipped` when it was not wanted or had nothing to do.
        detail: What is so now.
        fix: What to do later; None when there is nothing to do.
    """

    name: str
    status: Literal["ok", "skipped", "failed"]
    detail: str
    fix: str | None = None


class Observer:
    """Told about each effect as it happens; this one does nothing."""

    def begin(self, name: str) -> None:
        """An effect starts."""

    def end(self, effect: Effect) -> None:
        """An effect is over."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A program's exit status, 127 when there is none of that name, and what it said."""

    status: int
    output: str

    @property
    def reason(self) -> str:
        """The line that says most: the first that speaks of an error, else the last."""
        bare = (_FRAME.sub("", line).strip() for line in self.output.splitlines())
        lines = [line for line in bare if line]
        telling = [line for line in lines if line.lower().startswith(("error", "fatal"))]
        return (telling or lines[-1:] or [f"exit status {self.status}"])[0]


def run_effects(root: Path, skip: Mapping[str, str], observer: Observer) -> tuple[Effect, ...]:
    """Run the effects in order.

    Args:
        root: The new project.
        skip: The effects that are not wanted, each with the reason to report.
        observer: Told about each as it happens.

    Raises:
        Cancelled: On Ctrl-C; the project stays as it is.
    """
    effects: list[Effect] = []
    for name, effect in ALL.items():
        try:
            observer.begin(name)
            done = Effect(name, "skipped", skip[name]) if name in skip else effect(root)
        except KeyboardInterrupt:
            rest = ", ".join(list(ALL)[len(effects) :])
            fix = "The project's files are complete; the README says how to do the rest."
            raise Cancelled(f"stopped; not done: {rest}", where=str(root), fix=fix) from None
        effects.append(done)
        observer.end(done)
    return tuple(effects)


def start_git(root: Path) -> Effect:
    """Make the project a repository, unless it lies in one that does not ignore it."""
    surrounding = _run(["git", "rev-parse", "--show-toplevel"], root)
    if surrounding.status == 0 and _run(["git", "check-ignore", "--quiet", str(root)], root.parent).status != 0:
        return Effect("git", "skipped", f"part of the repository {surrounding.output.strip()}")
    done = _run(["git", "init", "--quiet", "--initial-branch=main"], root)
    if done.status != 0:
        return _failed("git", done, "Run `git init` in the project; runs need a commit to refer to.")
    return Effect("git", "ok", "repository on branch main")


def check_dvc(root: Path) -> Effect:
    """Have DVC read the project's own files; a template that ships none gets `dvc init`."""
    dvc = [sys.executable, "-m", "dvc"]
    in_git = _run(["git", "rev-parse", "--show-toplevel"], root)
    if not (root / ".dvc").is_dir():
        at_top = in_git.status == 0 and Path(in_git.output.strip()) == root.resolve()
        how = [] if at_top else ["--no-scm"] if in_git.status != 0 else ["--subdir"]
        done = _run([*dvc, "init", "--quiet", *how], root)
        detail = "initialised"
    elif in_git.status != 0:
        return Effect("dvc", "skipped", "DVC's files are there, for when the project is in a repository")
    else:
        done = _run([*dvc, "status"], root)
        detail = "configuration and pipeline are valid"
    if done.status != 0:
        return _failed("dvc", done, "Run `dvc status` in the project and mend what it names.")
    return Effect("dvc", "ok", detail)


def lock(root: Path) -> Effect:
    """Resolve the dependencies into uv.lock. Needs a package index, or uv's cache."""
    if not (root / "pyproject.toml").is_file():
        return Effect("lock", "skipped", "there is no pyproject.toml")
    if (root / "uv.lock").exists():
        return Effect("lock", "skipped", "uv.lock is there")
    done = _run([find_uv(), "lock"], root, minutes=20)
    if done.status != 0:
        (root / "uv.lock").unlink(missing_ok=True)
        return _failed("lock", done, "Run `uv sync` in the project when a package index can be reached.")
    return Effect("lock", "ok", "uv.lock")


def install(root: Path) -> Effect:
    """Make the project's environment, exactly as locked."""
    if not (root / "uv.lock").is_file():
        return Effect("install", "skipped", "there is no uv.lock", "Run `uv sync` in the project.")
    done = _run([find_uv(), "sync", "--locked"], root, minutes=60)
    if done.status != 0:
        return _failed("install", done, "Run `uv sync` in the project when a package index can be reached.")
    return Effect("install", "ok", ".venv, as locked")


def install_hooks(root: Path) -> Effect:
    """Have git run pre-commit before each commit."""
    program = root / ".venv" / "bin" / "pre-commit"
    fix = "Run `uv run pre-commit install` in the project."
    if not (root / ".pre-commit-config.yaml").is_file():
        return Effect("hooks", "skipped", "there is no .pre-commit-config.yaml")
    if not (root / ".git").exists():
        return Effect("hooks", "skipped", "the project is not a repository of its own")
    if not program.is_file():
        return Effect("hooks", "skipped", "pre-commit is not installed in the project yet", fix)
    done = _run([str(program), "install"], root)
    return _failed("hooks", done, fix) if done.status != 0 else Effect("hooks", "ok", "pre-commit runs at each commit")


def first_commit(root: Path) -> Effect:
    """Commit everything, uv.lock included. A repository that has commits already is left alone."""
    if not (root / ".git").exists():
        return Effect("commit", "skipped", "the project is not a repository of its own")
    if _run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], root).status == 0:
        return Effect("commit", "skipped", "the repository has commits already")
    done = _run(["git", "add", "--all"], root)
    if done.status == 0:
        done = _run(["git", "commit", "--quiet", "--no-verify", "--message", _MESSAGE], root)
    if done.status != 0:
        unknown = any(word in done.output for word in ("user.email", "user.name", "identity"))
        return _failed("commit", done, _IDENTITY_FIX if unknown else "Run `git add -A` and `git commit`.")
    return Effect("commit", "ok", _run(["git", "log", "-1", "--format=%h %s"], root).output.strip())


ALL: dict[str, Callable[[Path], Effect]] = {
    "git": start_git,
    "dvc": check_dvc,
    "lock": lock,
    "install": install,
    "hooks": install_hooks,
    "commit": first_commit,
}
"""In the order in which they run."""


def _failed(name: str, done: _Done, fix: str) -> Effect:
    return Effect(name, "failed", done.reason, fix)


def _run(argv: list[str], folder: Path, *, minutes: float = 5) -> _Done:
    """Run a program to its end, without a terminal to ask questions on."""
    environment = {name: value for name, value in os.environ.items() if name not in LEADS_ELSEWHERE}
    environment |= {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "DVC_NO_ANALYTICS": "true"}
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=minutes * _MINUTE,
        )
    except FileNotFoundError:
        return _Done(127, f"error: there is no program {argv[0]!r}")
    except subprocess.TimeoutExpired:
        return _Done(124, f"error: {argv[0]} took more than {minutes:g} minutes and was stopped")
    except OSError as error:
        return _Done(126, f"error: {error}")
    return _Done(done.returncode, done.stdout)
