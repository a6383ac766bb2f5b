"""Tasks that change the folder that their process works in."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._python import within
from kit.checks._tasks import reached
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    for part in reached(tree):
        for call in within(part.source, [part.node]):
            if call.name in {"os.chdir", "os.fchdir", "contextlib.chdir"}:
                message = f"{call.name}() in a task: from here on, no relative path of the config is right"
                hint = "Join paths instead; what the run writes belongs into `run.dir`."
                yield part.source.find(call.node, message, hint)


RULE = Rule("KIT311", "chdir-in-task", "A task changes the working folder", Severity.WARNING, _check, scope="project")
