"""What a run runs in: interpreter, packages, machine and command line."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path

from kit import _files
from kit.redact import MASK, is_secret_name, mask
from kit.snapshot import Environment, Host

__all__ = ["capture", "command", "host"]

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "pixi.lock", "conda-lock.yml")
_GPU_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
_GPU_SECONDS = 5.0


def capture(root: Path) -> Environment:
    """The running interpreter, its packages and the project's lock file.

    The lock is the nearest one from `root` upward to the top of its repository, as in a workspace.

    Args:
        root: The project.

    Raises:
        OSError: If the lock file cannot be read.
    """
    lock = _find_lock(root)
    return Environment(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        executable=sys.executable,
        packages=_packages(),
        lock_file=None if lock is None else Path(os.path.relpath(lock, root)).as_posix(),
        lock_sha256=None if lock is None else _files.sha256(lock),
    )


def host() -> Host:
    """The machine, with the GPUs that `nvidia-smi` knows of."""
    import psutil

    return Host(
        name=platform.node(),
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        cpu=_cpu(),
        cores=psutil.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
        gpus=_gpus(),
    )


def command() -> tuple[str, ...]:
    """The command line of this process, as one would type it again, with secrets masked."""
    program = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path()
    if program.name == "kit" or program.parts[-2:] == ("kit", "__main__.py"):
        words = ["kit", *sys.argv[1:]]
    else:
        words = ["python", *sys.orig_argv[1:]]
    return tuple(_mask_words(words))


def _mask_words(words: list[str]) -> list[str]:
    """Mask each word, and whole the one that follows an option such as `--password`."""
    masked = []
    for before, word in zip(["", *words], words, strict=False):
        follows = before.startswith("-") and "=" not in before and not word.startswith("-")
        masked.append(MASK if follows and is_secret_name(before) else mask(word))
    return masked


def _packages() -> dict[str, str]:
    """Normalised names with versions. Where a name is installed twice, Python imports the first."""
    return dict(_packages_in(tuple((folder, _changed_at(folder)) for folder in sys.path)))


def _changed_at(folder: str) -> int:
    """A folder's time changes with every package that comes or goes."""
    try:
        return os.stat(folder or ".").st_mtime_ns  # noqa: PTH116 - an archive may be there, too
    except OSError:
        return 0


@lru_cache(maxsize=1)
def _packages_in(_places: tuple[tuple[str, int], ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for package in metadata.distributions():
        # The mail parser behind `package.name` is ten times as slow as looking for two lines.
        text = package.read_text("METADATA") or package.read_text("PKG-INFO") or package.read_text("") or ""
        name = re.search(r"^Name: *(\S+)", text, re.MULTILINE | re.IGNORECASE)
        version = re.search(r"^Version: *(\S+)", text, re.MULTILINE | re.IGNORECASE)
        if name and version:
            found.setdefault(re.sub(r"[-_.]+", "-", name[1]).lower(), version[1])
    return dict(sorted(found.items()))


def _find_lock(root: Path) -> Path | None:
    return next((lock for folder in _folders(root.resolve()) for lock in _locks(folder)), None)


def _folders(root: Path) -> Sequence[Path]:
    """`root` and those above it, up to the top of its repository."""
    folders = (root, *root.parents)
    tops = [index for index, folder in enumerate(folders) if (folder / ".git").exists()]
    return folders[: tops[0] + 1] if tops else (root,)


def _locks(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in _LOCKS if (folder / name).is_file())
    yield from (path for path in sorted(folder.glob("requirements*.txt")) if _is_lock(path))


def _is_lock(requirements: Path) -> bool:
    """Whether every requirement is pinned, as `uv pip compile` and `pip freeze` write them."""
    lines = [line.strip() for line in requirements.read_text("utf-8", "replace").splitlines()]
    wanted = [line for line in lines if line and not line.startswith(("#", "-"))]
    return bool(wanted) and all("==" in line or " @ " in line for line in wanted)


@cache
def _cpu() -> str:
    """The processor's name as people know it."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        text = ""
    model = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", text, re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()


@cache
def _gpus() -> tuple[str, ...]:
    """One `name, memory, driver` text each; none where the driver is missing, broken or too slow to answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        asked = [program, *_GPU_QUERY]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_GPU_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())
