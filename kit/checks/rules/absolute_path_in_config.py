"""Paths in configs that only one machine has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kit.checks._yaml import Value, values
from kit.checks.rule import Finding, Fix, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_ROOTS = (
    "Users|Volumes|content|data|datasets|dbfs|export|fast|gpfs|home|kaggle|lustre|media|mnt|net|nfs|opt|private|projects?|"
    "root|scratch|shared?|srv|storage|var|work|workspaces?"
)  # fmt: skip
_ABSOLUTE = re.compile(rf"(?:/(?:{_ROOTS})/\S.*|~[\w-]*/.+|[A-Za-z]:[\\/].+|\\\\\w+\\.+)")
"""By the folders that people have data in: `/predict/v1` is a path as well, but of a web service."""
_NOT_PATHS = ("defaults", "hydra", "alert")


def check(tree: Tree) -> Iterator[Finding]:
    for path in tree.matching(f"{tree.config_dir}/**/*.yaml", "params.yaml"):
        text = tree.text(path) or ""
        if not any(sign in text for sign in ("/", "\\")):
            continue
        for value in values(tree, path):
            if value.is_text and value.key.split(".")[0] not in _NOT_PATHS and _is_absolute(tree, value.text):
                yield _finding(tree, path, text, value)


def _is_absolute(tree: Tree, text: str) -> bool:
    return bool(_ABSOLUTE.fullmatch(text)) or text.startswith(f"{tree.root}/")


def _finding(tree: Tree, path: str, text: str, value: Value) -> Finding:
    message = f"{value.name}: an absolute path, which other machines do not have"
    inside = value.text.removeprefix(f"{tree.root}/")
    if inside != value.text:
        fix = _replaced(text, value, inside)
        hint = f"Write it relative to the project: `{inside}`."
        return Finding(path, message, value.line, value.column, hint, None if fix is None else Fix(path, fix))
    hint = "Write it relative to the project, or take it from the environment: `${oc.env:DATA_DIR}/...`."
    return Finding(path, message, value.line, value.column, hint)


def _replaced(text: str, value: Value, inside: str) -> str | None:
    """The file with another value there; None if it is written in a way that is not plainly the path."""
    lines = text.splitlines(keepends=True)
    line = lines[value.line - 1]
    start = value.column - 1
    quote = line[start] if line[start] in "\"'" else ""
    written = f"{quote}{value.text}{quote}"
    if line[start : start + len(written)] != written or not re.fullmatch(r"[\w./-]+", inside):
        return None
    lines[value.line - 1] = line[:start] + f"{quote}{inside}{quote}" + line[start + len(written) :]
    return "".join(lines)


RULE = Rule(
    "KIT107",
    "absolute-path-in-config",
    "A config has an absolute path: it works on one machine only",
    Severity.WARNING,
    check,
)
