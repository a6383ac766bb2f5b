"""Experiments that are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError

__all__ = ["RULE"]

_OF_WORDS = ("name", "note", "tags")
"""What only says what a run is called."""


def check(tree: Tree) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for name, composed in tree.composed().items():
        if isinstance(composed, KitError):
            continue
        config = {key: value for key, value in composed.config.items() if key not in _OF_WORDS}
        first = seen.setdefault(json.dumps(config, sort_keys=True, default=str), name)
        if first != name:
            path = f"{tree.config_dir}/experiment/{name}.yaml"
            hint = "Take one of them out, or have them differ in what they are meant to."
            yield Finding(path, f"the same config as experiment {first!r}", hint=hint)


RULE = Rule(
    "KIT112",
    "identical-experiments",
    "Two experiments have the same config",
    Severity.INFO,
    check,
    scope="project",
)
