"""Tasks that no test calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from kit.checks._python import is_test, source
from kit.checks._tasks import Task, tasks
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    found = tasks(tree)
    tests = [path for path in tree.files if found and is_test(path)]
    for task in found:
        if not any(_tests(tree, path, task) for path in sorted(tests, key=partial(_unlikely, tree, task))):
            hint = "Call it on a little data, with `kit.testing.typed_config` and `kit.testing.fake_run`."
            name = task.name.rpartition(".")[2]
            yield Finding(task.path, f"no test calls the task {name!r}", task.node.lineno, hint=hint)


def _unlikely(tree: Tree, task: Task, path: str) -> tuple[bool, str]:
    """Files that import the task as most do come first: to parse one of them is enough then."""
    module, _, name = task.name.rpartition(".")
    return f"from {module} import {name}" not in (tree.text(path) or ""), path


def _tests(tree: Tree, path: str, task: Task) -> bool:
    """Whether a test takes the task, or one of its experiments by name."""
    text = tree.text(path)
    if text is None or not (_names(text, path, task) or _asks_for(text, task)):
        return False
    test = source(tree, path)
    if test is None:
        return False
    return (
        _asks_for(text, task) or task.name in test.names.values() or any(call.name == task.name for call in test.calls)
    )


def _names(text: str, path: str, task: Task) -> bool:
    """Whether the words of the task's name are there: what is imported relatively has some of them from its place."""
    return all(part in text or part in path for part in task.name.split("."))


def _asks_for(text: str, task: Task) -> bool:
    quoted = "|".join(map(re.escape, task.experiments))
    return (
        bool(quoted)
        and "experiment" in text
        and re.search(rf"experiment\b[^\n]*[\"'=]({quoted})[\"']", text) is not None
    )


RULE = Rule("KIT501", "untested-task", "No test calls a task", Severity.WARNING, _check, scope="project")
