"""What is done about a crash in the process that crashed: it is told without secrets, and kept."""

from __future__ import annotations

import contextlib
import importlib
import linecache
import os
import shutil
import sys
from pathlib import Path
from types import TracebackType

from kit import _clock, _git, capsule
from kit.errors import KitError
from kit.known_secrets import KnownSecrets
from kit.models import RunSpec
from kit.paths import RunPaths
from kit.redact import mask
from kit.trackers.base import Artifact

__all__ = ["Site", "artifacts", "secrets_of", "task_frames"]

_NOT_THE_TASKS = (str(Path(__file__).parent) + os.sep, importlib.__file__, "<frozen importlib")
"""Where a traceback passes through on its way to the task: kit itself, and how Python imports."""
_LARGEST_ENV_FILE = 64 * 1024


def task_frames(error: BaseException) -> TracebackType | None:
    """The task's own part of a traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_NOT_THE_TASKS):
        trace = trace.tb_next
    return trace


def secrets_of(spec: RunSpec) -> KnownSecrets:
    """The secrets that a run can have come across: those of its config, of the environment and of `.env` files."""
    folders = {Path(spec.project_root), Path(spec.worktree or spec.project_root)}
    texts = [text for folder in folders for path in sorted(folder.glob(".env*")) if (text := _small(path)) is not None]
    public = Path(spec.project_root).parts
    return KnownSecrets.of(spec.config, marked=spec.secrets, environment=os.environ, files=texts, public=public)


def _small(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= _LARGEST_ENV_FILE:
            return path.read_text(errors="replace")
    return None


def artifacts(paths: RunPaths) -> list[Artifact]:
    """The crash capsule as the tracker gets it; nothing, for a run that left none."""
    files = [paths.crash / name for name in (capsule.READABLE, capsule.DUMP)]
    return [Artifact(file, f"crash/{file.name}") for file in files if file.exists()]


class Site:
    """A run that may crash.

    Args:
        paths: Its folder.
        spec: With its secrets.

    Attributes:
        secrets: What nothing that is told of it may show.
    """

    def __init__(self, paths: RunPaths, spec: RunSpec) -> None:
        self._paths = paths
        self._spec = spec
        self._root = Path(spec.worktree or spec.project_root)
        self.secrets = secrets_of(spec)
        shutil.rmtree(paths.crash, ignore_errors=True)  # that of a run that is resumed is not of this try

    def look(self, error: BaseException) -> None:
        """Learn what is secret in the frames that it came through, and which code they ran.

        From then on tracebacks and debuggers show that code, and not what lies there by now: a run takes hours.
        """
        try:
            self.secrets = self.secrets.adding(capsule.secrets_in(error, self._place()))
        except Exception as failure:  # noqa: BLE001 - the run failed already, and that is what counts
            _warn("what is secret in its frames could not be learned", failure)
        with contextlib.suppress(KitError, OSError, ValueError):
            for file in capsule.files_of(error, self._place()):
                path = Path(file).relative_to(self._root).as_posix()
                text = _git.run(self._root, "show", f"{self._spec.snapshot.code.commit}:./{path}").decode()
                linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)

    def leave(self, error: BaseException) -> None:
        """Write the crash capsule. That it cannot be written is told, and changes nothing else."""
        if task_frames(error) is None:
            return
        try:
            taken = capsule.take(error, self._spec, self._place(), at=_clock.now())
            capsule.write(taken, capsule.as_text(taken), self._paths.crash)
        except Exception as failure:  # noqa: BLE001 - the run failed already, and that is what counts
            _warn("no crash capsule could be written", failure)

    def _place(self) -> capsule.Place:
        return capsule.Place(self._root, self.secrets, _NOT_THE_TASKS)


def _warn(what: str, failure: Exception) -> None:
    print(f"warning: {what}: {mask(f'{type(failure).__name__}: {failure}')}", file=sys.stderr)  # noqa: T201
