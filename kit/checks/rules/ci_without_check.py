"""CI that lets the conventions go."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._ci import is_whole, pipelines, runs
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    if not tree.is_kit or not is_whole(tree):
        return
    in_hooks = "kit check" in (tree.text(".pre-commit-config.yaml") or "")
    if not any(
        words[:2] == ["kit", "check"] or (in_hooks and "pre-commit" in words) or _is_script(words)
        for words in runs(tree)
    ):
        hint = "Let it run `uv run kit check`, or pre-commit with kit's hook."
        yield Finding(pipelines(tree)[0], "CI does not run kit check", hint=hint)


def _is_script(words: list[str]) -> bool:
    """Something of the project's own, which may do it."""
    return words[0] == "make" or words[0].startswith(("./", ".")) or words[0].endswith(".sh")


RULE = Rule("KIT410", "ci-without-check", "CI does not run kit check", Severity.INFO, _check, scope="project")
