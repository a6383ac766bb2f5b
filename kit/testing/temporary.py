"""A copy of a project that a test may change."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from kit import _git
from kit.testing._projects import compose_config
from kit.testing.experiments import ExperimentRun, run_experiment

__all__ = ["TemporaryProject", "copy_project"]

_AUTHOR = ("-c", "user.name=kit", "-c", "user.email=kit@example.invalid", "-c", "commit.gpgsign=false")


@dataclass(frozen=True, slots=True)
class TemporaryProject:
    """A project in a folder of the test's, with a real git repository.

    Attributes:
        root: Its folder.
    """

    root: Path

    def write(self, files: Mapping[str, str]) -> None:
        """Write dedented texts, by path."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")

    def commit(self, message: str = "change") -> str:
        """Commit everything; the commit's hash."""
        _git.run(self.root, "add", "--all")
        _git.run(self.root, *_AUTHOR, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)
        return _git.run(self.root, "rev-parse", "HEAD").decode().strip()

    def config(self, *overrides: str) -> dict[str, Any]:
        """The config that `kit run OVERRIDES` would use here."""
        return compose_config(overrides, root=self.root)

    def run(self, *overrides: str) -> ExperimentRun:
        """Do what `kit run OVERRIDES` does here. Else as `kit.testing.run_experiment`."""
        return run_experiment(overrides, root=self.root, why="kit_project")


def copy_project(source: Path, target: Path) -> TemporaryProject:
    """Copy what git tracks, changes included, and what it does not ignore.

    Raises:
        UserError: If `source` is in no git repository.
    """
    listed = _git.run(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    for name in dict.fromkeys(listed.decode("utf-8", "surrogateescape").split("\0")):
        file = source / name
        if name and (file.is_file() or file.is_symlink()):  # deleted ones are listed, too
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target / name, follow_symlinks=False)
    copied = TemporaryProject(target)
    _git.run(target, "init", "--quiet", "--initial-branch=main")
    copied.commit("start")
    return copied
