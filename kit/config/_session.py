"""Hydra, set up for one piece of work and left as it was found."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import UserError

__all__ = ["ONE_AT_A_TIME", "UNNAMED", "Source", "composing", "load", "session"]

UNNAMED = "__kit__"
"""The job name that Hydra gets at first, to know later whether the configuration set another."""

ONE_AT_A_TIME = threading.RLock()
"""Hydra's state is the process's; a sweep may compose its trials in several threads."""


@dataclass(frozen=True, slots=True)
class Source:
    """The configs of a project.

    Attributes:
        root: The project's folder.
        config_dir: The folder of the configs, relative to the root.
        config_name: The primary config, without `.yaml`.
    """

    root: Path
    config_dir: str
    config_name: str

    @property
    def folder(self) -> Path:
        return (self.root / self.config_dir).absolute()

    @property
    def primary(self) -> str:
        return self.file(self.config_name)

    def file(self, config_path: str) -> str:
        """A config's file, relative to the project root."""
        return self.relative(self.folder / f"{config_path.removesuffix('.yaml')}.yaml")

    def relative(self, path: Path) -> str:
        """The path as errors and `--dry-run` show it."""
        try:
            return path.relative_to(self.root.absolute()).as_posix()
        except ValueError:
            return path.as_posix()

    def check(self) -> None:
        """Raises:
        UserError: If the folder or the primary config is not there.
        """
        if not self.folder.is_dir():
            raise UserError(
                "the folder of the configs is not there",
                where=self.relative(self.folder),
                fix="Create it, or name the right one as `config-dir` under [tool.kit] in pyproject.toml.",
            )
        if not (self.root / self.primary).is_file():
            raise UserError(
                f"the primary config {self.config_name!r} is not there",
                where=self.primary,
                fix="Create it, or name the right one as `config-name` under [tool.kit] in pyproject.toml.",
            )


@contextmanager
def session(source: Source) -> Iterator[Any]:
    """Hydra over the source's configs, as its `Hydra` object.

    Hydra keeps its state in singletons. They are put back as they were, so composing works inside a sweep, in a
    notebook that uses Hydra itself, and any number of times.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import JobRuntime

    world, hydra_config, job = GlobalHydra.instance(), HydraConfig.instance(), JobRuntime.instance()
    before = world.hydra, hydra_config.cfg, job.get("name")
    world.clear()
    try:
        initialize_config_dir(str(source.folder), job_name=UNNAMED, version_base="1.3")
        yield world.hydra
    finally:
        world.hydra, hydra_config.cfg = before[:2]
        job.set("name", before[2])


@contextmanager
def composing() -> Iterator[None]:
    """Around Hydra's composing: many configs leave `_self_` out and mean it; a missing search path is a mistake."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="In '.*': Defaults list is missing `_self_`")
        warnings.filterwarnings("error", message="provider=.* is not available")
        yield


def load(hydra: Any, source: Source, overrides: Sequence[str], *, multirun: bool = False) -> Any:  # noqa: ANN401 Hydra has no types
    """Compose, `hydra` node included, nothing resolved yet. Hydra's own exceptions come out as they are."""
    from hydra.types import RunMode

    with composing():
        return hydra.compose_config(
            config_name=source.config_name,
            overrides=list(overrides),
            run_mode=RunMode.MULTIRUN if multirun else RunMode.RUN,
            with_log_configuration=False,
            from_shell=False,
        )
