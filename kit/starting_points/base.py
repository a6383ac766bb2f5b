"""What a project runs already: the configs are composed, none of its code is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import redact
from kit._near import did_you_mean, nearest
from kit.config import Composed, compose, sharing
from kit.errors import UserError
from kit.project import Project

__all__ = ["Base", "compose_with", "find_base", "options", "tests_folder"]


@dataclass(frozen=True, slots=True)
class Base:
    """What something new begins from.

    Attributes:
        arguments: What `kit run` is given for it; nothing for what the project runs by itself.
        experiment: Its name; None if the project has no experiments.
        composed: Its config.
    """

    arguments: tuple[str, ...]
    experiment: str | None
    composed: Composed

    @property
    def own(self) -> dict[str, Any]:
        """The config as it may be shown: without secrets."""
        return redact.mask_config(self.composed.config, self.composed.secrets)


def find_base(project: Project, experiment: str | None = None) -> Base:
    """What the project runs by itself, or else the first of its experiments that can be run.

    Args:
        project: The project.
        experiment: The one to begin from.

    Raises:
        UserError: If there is none that composes as it is, or none of that name.
    """
    names = options(project, "experiment")
    if experiment is not None and experiment not in names:
        fix = did_you_mean(nearest(experiment, names)) or f"There are: {', '.join(names) or 'none'}."
        raise UserError(f"no experiment {experiment!r}", where=f"{project.settings.config_dir}/experiment", fix=fix)
    with sharing():
        if experiment is not None:
            return _based_on(project, experiment)
        try:
            composed = _compose(project, ())
        except UserError as error:
            for name in names:
                try:
                    return _based_on(project, name)
                except UserError:
                    continue
            raise error  # noqa: TRY201 - the first: what `kit run` says
    return Base((), composed.experiment if composed.experiment in names else None, composed)


def _based_on(project: Project, experiment: str) -> Base:
    arguments, composed = compose_with(project, (), "experiment", experiment)
    return Base(arguments, experiment, composed)


def compose_with(
    project: Project, arguments: tuple[str, ...], group: str, name: str
) -> tuple[tuple[str, ...], Composed]:
    """Choose an option of a group besides: added, `+group=name`, if the project's defaults have no place for it.

    Returns:
        What `kit run` is given for it, and its config.

    Raises:
        UserError: If it does not compose in either way.
    """
    chosen = (*arguments, f"{group}={name}")
    try:
        return chosen, _compose(project, chosen)
    except UserError as error:
        added = (*arguments, f"+{group}={name}")
        try:
            return added, _compose(project, added)
        except UserError:
            raise error from None


def options(project: Project, group: str) -> list[str]:
    """The names that a group of configs has, without those that others are made from."""
    folder = project.root / project.settings.config_dir / group
    return sorted(path.stem for path in folder.glob("*.yaml") if not path.name.startswith((".", "_")))


def tests_folder(project: Project) -> Path:
    """Where pytest is told to look, or else where tests mostly are, relative to the project."""
    import tomllib

    tool = tomllib.loads(project.paths.pyproject.read_text("utf-8")).get("tool", {})
    named = tool.get("pytest", {}).get("ini_options", {}).get("testpaths", [])
    for name in [*(named.split() if isinstance(named, str) else named), "tests", "test"]:
        folder = Path(project.root, name).resolve()
        if folder.is_dir() and folder != project.root and folder.is_relative_to(project.root):
            return folder.relative_to(project.root)
    return Path("tests")


def _compose(project: Project, arguments: tuple[str, ...]) -> Composed:
    settings = project.settings
    return compose(project.root, settings.config_dir, settings.config_name, arguments)
