"""Configs that Hydra never finds."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def check(tree: Tree) -> Iterator[Finding]:
    primary = f"{tree.config_dir}/{tree.project.settings.config_name}.yaml"
    if primary not in tree:
        return
    for path in tree.matching(f"{tree.config_dir}/**/*.yml"):
        if not path.startswith(f"{tree.config_dir}/schedule/"):  # kit reads that folder itself, and says so
            hint = f"Rename it: `git mv {path} {path.removesuffix('.yml')}.yaml`."
            yield Finding(path, "Hydra reads .yaml files only, and does not see this one", hint=hint)


RULE = Rule(
    "KIT113",
    "config-that-hydra-ignores",
    "A config's name does not end in .yaml: Hydra does not see it",
    Severity.WARNING,
    check,
)
