"""Experiments that nothing runs by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kit.checks._configs import schedules
from kit.checks._python import is_test
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_ALL = re.compile(r"experiment[\s\S]*\b(?:glob|rglob|iterdir|listdir|scandir|walk)\(")
"""A test that goes through the folder has them all."""
_COMMANDS = ("*.md", "Makefile", "*.yml", ".github/**", ".gitlab-ci.yml", "scripts/**", "docs/**", "*.toml")


def check(tree: Tree) -> Iterator[Finding]:
    names = tree.experiments
    if not names:
        return
    used = _used(tree)
    if used is None:
        return
    for name in names:
        if name not in used and not any(re.search(rf"[\w]*={re.escape(name)}\b", text) for text in _texts(tree)):
            hint = f"Have a test compose it (`typed_config(TrainConfig, ['experiment={name}'])`), or take it out."
            yield Finding(f"{tree.config_dir}/experiment/{name}.yaml", "no schedule and no test uses it", hint=hint)


def _used(tree: Tree) -> set[str] | None:
    """Names that are chosen somewhere; None if a test has them all."""
    loaded = schedules(tree)
    used = {one.experiment for one in loaded.schedules.values() if one.experiment}
    if loaded.broken:
        return None  # what they use is not known
    tests = [tree.text(path) or "" for path in tree.all_matching("**/*.py") if is_test(path)]
    if any(_ALL.search(text) for text in tests):
        return None
    words = re.compile(r"""["'](?:experiment=)?([\w.-]+)["']""")
    used |= {name for text in tests for name in words.findall(text)}
    return used | {name for path in tree.all_matching(f"{tree.config_dir}/**/*.yaml") for name in _chosen(tree, path)}


def _chosen(tree: Tree, path: str) -> Iterator[str]:
    """What a config's defaults list takes from the group, or from the same folder."""
    content = tree.yaml(path)
    defaults = content.get("defaults") if isinstance(content, dict) else None
    for entry in defaults if isinstance(defaults, list) else ():
        if isinstance(entry, str):
            yield entry.rpartition("/")[2]
        elif isinstance(entry, dict):
            yield from (
                str(value) for key, value in entry.items() if str(key).split()[-1].strip("/").startswith("experiment")
            )


def _texts(tree: Tree) -> Iterator[str]:
    """Where commands stand: documentation, CI, and the overrides of schedules."""
    for path in tree.all_matching(*_COMMANDS, f"{tree.config_dir}/schedule/*.yaml"):
        if (text := tree.text(path)) is not None and "experiment" in text:
            yield text


RULE = Rule(
    "KIT106",
    "unused-experiment",
    "No schedule and no test uses an experiment: nobody will notice when it breaks",
    Severity.INFO,
    check,
    scope="project",
)
