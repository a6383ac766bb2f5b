"""Write a starting point, and see that it works before it stays."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit._near import did_you_mean, nearest
from kit._plain_yaml import safe_loader
from kit.errors import UserError
from kit.paths import safe_name
from kit.project import Project
from kit.schedules import Schedules
from kit.starting_points import texts
from kit.starting_points.base import Base, compose_with, find_base, options, tests_folder
from kit.starting_points.writing import new_files

__all__ = ["KINDS", "StartingPoint", "add"]


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """What was written.

    Attributes:
        files: Relative to the project: the config, then its test.
        next: What to do now, each as an argv.
    """

    files: tuple[str, ...]
    next: tuple[tuple[str, ...], ...]


def add(project: Project, kind: str, name: str, *, experiment: str | None = None) -> StartingPoint:
    """Write one.

    Args:
        project: The project.
        kind: One of `KINDS`.
        name: What it is called.
        experiment: The one to begin from, or to run; None for what the project runs by itself.

    Raises:
        UserError: If there is no such kind, the name cannot be used or is taken, or what is written would not work:
            then nothing is.
        HostError: If a file cannot be written.
    """
    if kind not in KINDS:
        raise UserError(f"nothing to begin from for {kind!r}", fix=did_you_mean(nearest(kind, KINDS)))
    if safe_name(name).endswith((".yaml", ".yml")):
        raise UserError(f"{name!r} is a file's name", fix=f"Leave the ending out: {name.rpartition('.')[0]!r}.")
    return KINDS[kind](project, name, find_base(project, experiment))


def _experiment(project: Project, name: str, base: Base) -> StartingPoint:
    config, test = _places(project, "experiment", name)
    task = base.composed.task
    seed, extends = _new_seed(project, base), bool(base.arguments)
    text = texts.experiment(task, seed, base.own, base=base.experiment, extends=extends)
    # How it is chosen is only known once it is there.
    with new_files(project.root, {config: text}):
        arguments, _ = compose_with(project, (), "experiment", name)
        return _with_test(project, config, test, texts.experiment_test(name, arguments, task, depth=_depth(test)),
                          ("kit", "run", *arguments, "--dry-run"), ("kit", "run", *arguments))  # fmt: skip


def _model(project: Project, name: str, base: Base) -> StartingPoint:
    config, test = _places(project, "model", name)
    origin = _model_of(project, base)
    copied = texts.model(name, origin.stem, origin.read_text("utf-8"))
    with new_files(project.root, {config: copied}):
        arguments, _ = compose_with(project, base.arguments, "model", name)
        return _with_test(project, config, test, texts.model_test(name, arguments, depth=_depth(test)),
                          ("kit", "run", *arguments, "--dry-run"), ("kit", "run", *arguments))  # fmt: skip


def _schedule(project: Project, name: str, base: Base) -> StartingPoint:
    config, test = _places(project, "schedule", name)
    chosen = base.experiment if base.arguments in {(), (f"experiment={base.experiment}",)} else None
    overrides = () if chosen else base.arguments
    with new_files(project.root, {config: texts.schedule(chosen, overrides, _alert(project))}):
        Schedules(project).find(name)
        return _with_test(project, config, test, texts.schedule_test(name, depth=_depth(test)),
                          ("kit", "schedule", "show", name), ("kit", "schedule", "run", name))  # fmt: skip


KINDS: dict[str, Callable[[Project, str, Base], StartingPoint]] = {
    "experiment": _experiment,
    "model": _model,
    "schedule": _schedule,
}
"""What there is a starting point for."""


def _places(project: Project, kind: str, name: str) -> tuple[str, str]:
    """The config's place and the test's, by a name that Python could import."""
    plain = re.sub(r"\W", "_", name).lower()
    return f"{project.settings.config_dir}/{kind}/{name}.yaml", f"{tests_folder(project)}/test_{kind}_{plain}.py"


def _depth(test: str) -> int:
    """How many folders above the test the project is, from 0."""
    return len(Path(test).parents) - 1


def _with_test(project: Project, config: str, test: str, text: str, *steps: tuple[str, ...]) -> StartingPoint:
    with new_files(project.root, {test: text}):
        return StartingPoint((config, test), (("pytest", test), *steps))


def _new_seed(project: Project, base: Base) -> int:
    """One that no experiment has in its own file, nor the one to begin from."""
    folder = project.root / project.settings.config_dir / "experiment"
    found = [base.composed.config.get("seed"), *(_read(path).get("seed") for path in folder.glob("*.yaml"))]
    return 1 + max((seed for seed in found if isinstance(seed, int) and not isinstance(seed, bool)), default=0)


def _model_of(project: Project, base: Base) -> Path:
    """The option of the group `model` that the base has, or else the first."""
    folder = f"{project.settings.config_dir}/model"
    names = options(project, "model")
    if not names:
        fix = f"Move what the model takes into {folder}/NAME.yaml, and add `- model: NAME` to the defaults."
        raise UserError("the project has no config group `model`", where=folder, fix=fix)
    used = {origin for origin in base.composed.origins.values() if origin.startswith(f"{folder}/")}
    paths = [f"{folder}/{name}.yaml" for name in names]
    return project.root / next((path for path in paths if path in used), paths[0])


def _alert(project: Project) -> str | None:
    """Whom another schedule tells, as it says it."""
    import yaml

    schedules = Schedules(project)
    telling = (name for name, one in schedules.load().schedules.items() if one.alert.to)
    told = (_read(project.root / schedules.file(name)).get("alert") for name in telling)
    first = next((alert for alert in told if alert), None)
    return None if first is None else yaml.safe_dump({"alert": first}, allow_unicode=True, sort_keys=False)


def _read(path: Path) -> dict[str, Any]:
    """A config as it is written; nothing for one that cannot be read, which is somebody else's."""
    import yaml

    try:
        text = path.read_text("utf-8")
        found = yaml.load(text, safe_loader(text))  # noqa: S506 - both are safe ones
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
