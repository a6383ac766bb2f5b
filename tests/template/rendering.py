"""Renders the template with real cookiecutter, each combination once for all tests and workers."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from cookiecutter.main import cookiecutter
from filelock import FileLock

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATE = REPOSITORY / "template" / "ml-project"
VARIABLES = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))
FRAMEWORKS: list[str] = VARIABLES["framework"]

__all__ = ["FRAMEWORKS", "REPOSITORY", "TEMPLATE", "VARIABLES", "Answers", "Renderer", "combinations", "tree"]

Answers = Mapping[str, str | bool]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its relative path, git's own left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def combinations(framework: str) -> list[dict[str, str]]:
    """Every combination of the other choices with this framework; the first has the defaults."""
    others = itertools.product(VARIABLES["license"], VARIABLES["ci"])
    return [{"framework": framework, "license": license_, "ci": ci} for license_, ci in others]


class Renderer:
    """Renders the template without the user's cookiecutter configuration and replays."""

    def __init__(self, shared: Path) -> None:
        self._shared = shared
        self._config = shared / "cookiecutter.json"
        folders = {"replay_dir": str(shared / "replays"), "cookiecutters_dir": str(shared / "clones")}
        with FileLock(f"{self._config}.lock"):
            if not self._config.exists():
                self._config.write_text(json.dumps(folders))

    def __call__(self, answers: Answers) -> Path:
        """The project with these answers, in a folder that all tests share: look, don't touch."""
        digest = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:16]
        folder = self._shared / digest
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                unfinished = folder.with_suffix(".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                self.into(unfinished, answers)
                unfinished.rename(folder)
        (project,) = folder.iterdir()
        return project

    def into(self, output: Path, answers: Answers, *, template: str | Path = TEMPLATE, hooks: bool = True) -> Path:
        """Render anew into `output`."""
        output.mkdir(parents=True, exist_ok=True)
        return Path(
            cookiecutter(
                str(template),
                no_input=True,
                extra_context=dict(answers),
                config_file=str(self._config),
                output_dir=str(output),
                accept_hooks=hooks,
            )
        )
