"""An existing Hydra configuration, used as it is: what has to stand beside it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.adopt._source import read
from kit.adopt.model import HydraConf
from kit.errors import UserError

__all__ = ["HydraPlan", "plan_hydra"]

_ENVIRONMENT = re.compile(
    r"^(?P<indent>\s*)(?P<key>\w+):\s*[\"']?\$\{oc\.env:(?P<name>\w+)\}[\"']?\s*(#.*)?$", re.MULTILINE
)
_ROOT = "PROJECT_ROOT"
"""What rootutils and its like set when the user's code is imported: later than kit needs it."""


@dataclass(frozen=True, slots=True)
class HydraPlan:
    """What is added.

    Attributes:
        files: The new files.
        primary: The config that a run begins with.
        run: The first run.
        notes: What has to be said.
    """

    files: dict[str, str]
    primary: str
    run: tuple[str, ...]
    notes: tuple[str, ...]


def plan_hydra(root: Path, files: Sequence[str], conf: HydraConf, task: str) -> HydraPlan:
    """An experiment that names the task, and a primary config that chooses it if theirs cannot.

    Raises:
        UserError: If the primary config is not there.
    """
    path = next((name for end in ("yaml", "yml") if (name := f"{conf.folder}/{conf.name}.{end}") in files), None)
    text = None if path is None else read(root, path)
    if path is None or text is None:
        raise UserError(
            f"no config {conf.name!r} in {conf.folder}/",
            where="hydra.main",
            fix="Write [tool.kit] by hand: `config-dir`, `config-name`, and `task: ...` in an experiment.",
        )
    experiment, name = _experiment(files, conf, task, list(_roots(root, files, conf)))
    notes = list(_missing_variables(root, files, conf))
    if _chooses_experiment(text):
        return HydraPlan(experiment, conf.name, ("kit", "run", f"experiment={name}"), tuple(notes))
    if "override hydra" in text or "override /hydra" in text or f"{conf.folder}/kit.yaml" in files:
        # Hydra takes overrides of its own groups from the primary config only.
        return HydraPlan(experiment, conf.name, ("kit", "run", f"+experiment={name}"), tuple(notes))
    primary = (
        f"# What `kit run` begins with: {conf.name}.yaml as it is, and an experiment, which names its task.\n"
        f"defaults:\n  - {conf.name}\n  - _self_\n  - experiment: {name}\n"
    )
    return HydraPlan({f"{conf.folder}/kit.yaml": primary} | experiment, "kit", ("kit", "run"), tuple(notes))


def _experiment(
    files: Sequence[str], conf: HydraConf, task: str, roots: list[tuple[str, ...]]
) -> tuple[dict[str, str], str]:
    taken = {path for path in files if path.startswith(f"{conf.folder}/experiment/")}
    name = next(
        one for one in ("baseline", "kit_baseline", "kit_init") if f"{conf.folder}/experiment/{one}.yaml" not in taken
    )
    lines = ["# @package _global_", f"task: {task}"]
    if roots:
        lines += ["", "# What the code says in an environment variable, and later than `kit run` composes."]
    for *groups, key in roots:
        lines += [f"{'  ' * depth}{group}:" for depth, group in enumerate(groups)]
        lines.append(f"{'  ' * len(groups)}{key}: ${{hydra:runtime.cwd}}")
    return {f"{conf.folder}/experiment/{name}.yaml": "\n".join(lines) + "\n"}, name


def _chooses_experiment(text: str) -> bool:
    import yaml

    try:
        defaults = (yaml.safe_load(text) or {}).get("defaults") or []
    except (yaml.YAMLError, AttributeError):
        return False
    return any(_group(item) == "experiment" for item in defaults if isinstance(item, dict))


def _group(item: dict[Any, Any]) -> str:
    return str(next(iter(item), "")).removeprefix("optional ").partition("@")[0].strip("/ ")


def _interpolations(root: Path, files: Sequence[str], conf: HydraConf) -> Iterator[tuple[str, re.Match[str]]]:
    for path in files:
        if path.startswith(f"{conf.folder}/") and path.endswith((".yaml", ".yml")):
            for match in _ENVIRONMENT.finditer(read(root, path) or ""):
                yield path, match


def _roots(root: Path, files: Sequence[str], conf: HydraConf) -> Iterator[tuple[str, ...]]:
    """The keys that are the project's own folder: `paths.root_dir` for `root_dir` in paths/default.yaml."""
    seen = set()
    for path, match in _interpolations(root, files, conf):
        groups = posixpath.dirname(path.removeprefix(f"{conf.folder}/"))
        key = (*filter(None, groups.split("/")), match["key"])
        if match["name"] == _ROOT and not match["indent"].strip("\n") and key not in seen:
            seen.add(key)
            yield key


def _missing_variables(root: Path, files: Sequence[str], conf: HydraConf) -> Iterator[str]:
    for path, match in _interpolations(root, files, conf):
        if match["name"] not in {_ROOT, *os.environ}:
            yield f"{path} needs the environment variable {match['name']}, which is not set here."
