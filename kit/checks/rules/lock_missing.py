"""Projects whose environment nobody can make anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kit.checks._places import ignored
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock", "pixi.lock", "conda-lock.yml")
_PINNED = re.compile(r"\s*(?:$|#|-|[\w.\[\],-]+\s*(?:===?|@)\s*\S)")


def _check(tree: Tree) -> Iterator[Finding]:
    content = tree.toml("pyproject.toml")
    if "pyproject.toml" not in tree.tracked or not _requires(content) or _has_lock(tree):
        return
    hidden = sorted(name for name in ignored(tree, _LOCKS) if (tree.root / name).exists())
    if hidden:
        hint = f"Take it out of .gitignore, and commit it: `git add {hidden[0]}`."
        yield Finding("pyproject.toml", f"git ignores {hidden[0]}: only this machine has this environment", hint=hint)
    else:
        hint = "Write one, and commit it: `uv lock && git add uv.lock`."
        yield Finding("pyproject.toml", "no lock file: the next install may have other versions", hint=hint)


def _requires(content: dict[str, object]) -> bool:
    """Whether it needs any package at all."""
    project, tool = content.get("project"), content.get("tool")
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    of_poetry = poetry.get("dependencies") if isinstance(poetry, dict) else None
    return bool((project.get("dependencies") if isinstance(project, dict) else None) or of_poetry)


def _has_lock(tree: Tree) -> bool:
    """One in the project or, as a workspace has it, above it in the repository; or requirements that are all pinned."""
    if any(name in tree for name in _LOCKS):
        return True
    folder = tree.root
    while not (folder / ".git").exists() and folder != folder.parent:
        folder = folder.parent
        if any((folder / name).is_file() for name in _LOCKS):
            return True
    texts = [tree.text(path) or "" for path in tree.all_matching("requirements*.txt", "requirements/*.txt")]
    return any(re.search(r"(?m)^\w", text) and all(map(_PINNED.match, text.splitlines())) for text in texts)


RULE = Rule("KIT401", "lock-missing", "There is no lock file in git", Severity.WARNING, _check, scope="project")
