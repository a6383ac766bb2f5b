"""uv.lock, and whether it is of these requirements. It has them on record, so nobody has to be asked."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._places import first_line_with
from kit.checks._requirements import Wanted, locked, project_table, required, requires_python, same_specifier
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_HINT = "Bring it up to date: `uv lock`."


def _check(tree: Tree) -> Iterator[Finding]:
    lock = tree.toml("uv.lock")
    name = project_table(tree).get("name")
    if not lock or not isinstance(name, str):
        return
    recorded = locked(lock, name)
    if recorded is None:
        yield Finding("uv.lock", f"it is not the lock of {name}", hint=_HINT)
        return
    pyproject = tree.text("pyproject.toml")
    for wanted in sorted(required(tree), key=lambda one: one.name):
        if not any(_is_same(wanted, one) for one in recorded):
            shown = f"{wanted.name}{wanted.specifier or ''}"
            known = any(one.name == wanted.name for one in recorded)
            message = f"uv.lock {'has other terms for' if known else 'does not know'} {shown}"
            line = first_line_with(pyproject, wanted.name)
            yield Finding("pyproject.toml", message, line, hint=_HINT)
    for gone in sorted({one.name for one in recorded} - {one.name for one in required(tree)}):
        yield Finding("uv.lock", f"it has {gone}, which pyproject.toml no longer requires", hint=_HINT)
    python, before = requires_python(tree), lock.get("requires-python")
    if python and isinstance(before, str) and not same_specifier(python, before):
        line = first_line_with(pyproject, "requires-python")
        yield Finding("pyproject.toml", f"uv.lock is for Python {before}, not {python}", line, hint=_HINT)


def _is_same(wanted: Wanted, recorded: Wanted) -> bool:
    """uv leaves out what says which version where `[tool.uv.sources]` says where a package is."""
    if (wanted.name, wanted.extras) != (recorded.name, recorded.extras):
        return False
    return None in {wanted.specifier, recorded.specifier} or same_specifier(
        wanted.specifier or "", recorded.specifier or ""
    )


RULE = Rule(
    "KIT402",
    "lock-stale",
    "uv.lock is not the lock of what pyproject.toml requires",
    Severity.ERROR,
    _check,
    scope="project",
)
