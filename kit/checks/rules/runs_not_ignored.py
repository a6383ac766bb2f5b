"""What runs leave, and git would take."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._places import ignored, with_line
from kit.checks.rule import Finding, Fix, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]


def _check(tree: Tree) -> Iterator[Finding]:
    if not tree.is_kit:
        return
    for path, line in _left(tree):
        tracked = sorted(
            name for name in tree.tracked if name == path or (path.endswith("/") and name.startswith(path))
        )
        if tracked:
            hint = f"Take it out: `git rm -r --cached {path}`, and add `{line}` to .gitignore."
            yield Finding(tracked[0], f"git tracks {path}, where runs are kept", hint=hint)
        elif not ignored(tree, [path]):
            hint = f"Add the line `{line}` to .gitignore."
            fix = Fix(".gitignore", with_line(tree.text(".gitignore"), line))
            yield Finding("", f"git does not ignore {path}, where runs are kept", hint=hint, fix=fix)


def _left(tree: Tree) -> Iterator[tuple[str, str]]:
    """What runs leave in the project, with the line that has git ignore it."""
    yield ".kit/", ".kit/"
    if tree.project.settings.tracking_uri is None:
        yield "mlruns/", "mlruns/"
        yield "mlflow.db", "mlflow.db*"


RULE = Rule(
    "KIT407",
    "runs-not-ignored",
    "Git would take what runs leave: .kit/, mlruns/, mlflow.db",
    Severity.WARNING,
    _check,
    scope="project",
)
