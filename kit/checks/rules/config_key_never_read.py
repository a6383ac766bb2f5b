"""Keys in configs that no code reads."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._configs import planned
from kit.checks._reads import reads
from kit.checks._schemas import NoTask, has_field, schema_of, task_definition
from kit.checks._yaml import line_of
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.config import RESERVED, Composed

__all__ = ["RULE"]

_OF_KIT = RESERVED | {"contract", "executor", "hydra", "resources"}


def check(tree: Tree) -> Iterator[Finding]:
    for composed in (one.result for one in planned(tree)):
        if isinstance(composed, Composed) and _is_judged(tree, composed):
            yield from _unread(tree, composed)


def _is_judged(tree: Tree, composed: Composed) -> bool:
    """Whether the task is the project's own, and the config as a whole goes nowhere else."""
    found = task_definition(tree, composed.task)
    if found is None or isinstance(found, NoTask):
        return False
    arguments = getattr(found.node, "args", None)
    parameters = [*arguments.posonlyargs, *arguments.args] if arguments else []
    return bool(parameters) and not reads(tree).hands_on(found.node, parameters[0].arg)


def _unread(tree: Tree, composed: Composed) -> Iterator[Finding]:
    known = reads(tree)
    schema = schema_of(tree, composed.task)
    typed = isinstance(schema, type)
    for key, path in composed.origins.items():
        parts = key.split(".")
        if path not in tree or parts[0] in _OF_KIT or "contract" in parts or _is_made(composed.config, parts):
            continue
        if isinstance(schema, type) and not has_field(schema, key):
            continue  # KIT102 says so
        if not known.reads(key):
            hint = "Take it out" + (", with its field." if typed else ", or have the task read it.")
            yield Finding(path, f"{key}: no code reads it", line_of(tree, path, key), hint=hint)


def _is_made(config: object, parts: list[str]) -> bool:
    """Whether it lies in what Hydra makes an object of, whose arguments are not this project's to read."""
    for part in parts:
        if not isinstance(config, dict):
            return False
        if "_target_" in config:
            return True
        config = config.get(part)
    return False


RULE = Rule(
    "KIT104",
    "config-key-never-read",
    "A config sets a key that no code reads: to change it changes nothing",
    Severity.WARNING,
    check,
    scope="project",
)
