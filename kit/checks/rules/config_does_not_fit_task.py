"""Experiments whose config is not what their task takes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kit.checks._configs import finding_of, planned
from kit.checks._schemas import NoTask, schema_of
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError, UserError

if TYPE_CHECKING:
    from kit.config import Composed

__all__ = ["RULE"]


def check(tree: Tree) -> Iterator[Finding]:
    """The task's dataclass is read, not imported: nothing of the project's code runs."""
    for one in planned(tree):
        if isinstance(one.result, KitError):
            continue
        composed = one.result
        schema = schema_of(tree, composed.task)
        if isinstance(schema, NoTask):
            path = composed.origins.get("task", "")
            yield finding_of(tree, UserError(f"task: {schema.what}", where=path, fix=schema.fix), one.file)
        elif schema is not None:
            yield from (finding_of(tree, error, one.file) for error in _mistakes(composed, schema))


def _mistakes(composed: Composed, schema: type) -> Iterator[UserError]:
    """Each as it is found when those before it are taken out."""
    from kit.config import typed

    config, taken = copy.deepcopy(composed.config), set[str]()
    while True:
        try:
            typed(config, schema, where=composed.origins.get)
        except UserError as error:
            key = error.what.partition(": ")[0]
            if key in taken:  # it is missing only since it was taken out
                return
            yield error
            taken.add(key)
            if not _take_out(config, key):
                return
        else:
            return


def _take_out(config: dict[str, Any], key: str) -> bool:
    """Whether there was such a key."""
    *parents, last = key.split(".")
    inner: Any = config
    for name in parents:
        inner = inner.get(name) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or last not in inner:
        return False
    del inner[last]
    return True


RULE = Rule(
    "KIT102",
    "config-does-not-fit-task",
    "An experiment or a schedule gives its task a config of another form than the task takes",
    Severity.ERROR,
    check,
    scope="project",
)
