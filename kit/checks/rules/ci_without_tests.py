"""CI that does not run the tests which are there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kit.checks._ci import is_whole, pipelines, runs
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_TESTS = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test)\.py")
_RUNNERS = frozenset({"pytest", "py.test", "tox", "nox", "unittest", "nose2", "coverage"})
_BY_TARGET = frozenset(
    {
        "bazel",
        "docker",
        "doit",
        "earthly",
        "hatch",
        "inv",
        "invoke",
        "just",
        "make",
        "mise",
        "pants",
        "pixi",
        "poe",
        "task",
    }
)
"""What runs something that the project gives a name to."""
_TARGETS = re.compile(r"(?<![a-z])(?:tests?|checks?|ci|verify|all|coverage)(?![a-z])")


def _check(tree: Tree) -> Iterator[Finding]:
    if not is_whole(tree) or not any(map(_TESTS.fullmatch, tree.files)):
        return
    if not any(_runs_tests(words) or _hands_on(tree, words) for words in runs(tree)):
        hint = "Let it run them on every push: `uv run pytest`."
        yield Finding(pipelines(tree)[0], "CI does not run the tests", hint=hint)


def _hands_on(tree: Tree, words: list[str]) -> bool:
    """Whether something gets a file of the project that says what to do: a job of a cluster, a script."""
    return any(word in tree and word.endswith((".yaml", ".yml", ".sh", ".py", ".toml")) for word in words[1:])


def _runs_tests(words: list[str]) -> bool:
    program = words[0].rpartition("/")[2]
    if _RUNNERS.intersection([program, *words]) or program.endswith((".sh", ".py")) or words[0].startswith("."):
        return True
    return program in _BY_TARGET and _TARGETS.search(" ".join(words[1:])) is not None


RULE = Rule("KIT406", "ci-without-tests", "CI does not run the tests", Severity.WARNING, _check, scope="project")
