"""CI and images that install something else than what the lock names, without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kit.checks._ci import scripts
from kit.checks._docker import dockerfiles, instructions
from kit.checks._shell import commands
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_ENFORCES = frozenset({"--locked", "--frozen"})
_BY_VARIABLE = re.compile(r"\bUV_(?:LOCKED|FROZEN)\b")
_HINT = "Have uv refuse a lock that is out of date: `uv sync --locked`."


def _check(tree: Tree) -> Iterator[Finding]:
    if "uv.lock" not in tree:
        return
    for path, line, text in _installs(tree):
        for words in commands(text):
            if (
                words[:2] == ["uv", "sync"]
                and _ENFORCES.isdisjoint(words)
                and not _BY_VARIABLE.search(tree.text(path) or "")
            ):
                message = "uv sync without --locked: a lock that is out of date is changed here, and nobody sees it"
                yield Finding(path, message, line, hint=_HINT)
            elif _from_the_project(words):
                message = "pip resolves the requirements anew: what is installed is not what uv.lock names"
                yield Finding(path, message, line, hint="Install what is locked: `uv sync --locked`.")


def _installs(tree: Tree) -> Iterator[tuple[str, int | None, str]]:
    for script in scripts(tree):
        yield script.path, script.line, script.text
    for path in dockerfiles(tree):
        for instruction in instructions(tree.text(path) or ""):
            if instruction.keyword == "RUN":
                text = re.sub(r"^(?:--\S+\s+)+", "", instruction.argument)
                yield path, instruction.line, text


def _from_the_project(words: list[str]) -> bool:
    """`pip install .`, which reads pyproject.toml; without its dependencies it may."""
    rest = words[1:] if words[0] == "uv" else words[2:] if words[1:3] == ["-m", "pip"] else words
    if rest[:1] not in (["pip"], ["pip3"]) or rest[1:2] != ["install"] or "--no-deps" in rest:
        return False
    return any(re.fullmatch(r"\.(?:\[[\w,-]+\])?", word) for word in rest[2:])


RULE = Rule(
    "KIT409",
    "lock-not-enforced",
    "CI or an image installs without holding to the lock file",
    Severity.WARNING,
    _check,
    scope="project",
)
