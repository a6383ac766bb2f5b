"""Links of READMEs to files that are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from kit.checks._markdown import links
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_ELSEWHERE = re.compile(r"[a-zA-Z][\w+.-]*:|//|[#{(<$]")


def _check(tree: Tree) -> Iterator[Finding]:
    for page in tree.all_matching("**/README.md"):
        folder = PurePosixPath(page).parent
        for line, column, target in links(tree.text(page) or ""):
            path = unquote(target.partition("#")[0].partition("?")[0])
            if _ELSEWHERE.match(target) or not path:
                continue
            file = _resolved(folder, path)
            if file is not None and not (tree.root / file).exists():
                yield Finding(page, f"the link leads to {path}, which is not there", line, column, "Mend or remove it.")


def _resolved(folder: PurePosixPath, path: str) -> PurePosixPath | None:
    """Relative to the project; None if it leads out of it, as `../../issues` does on a server's pages."""
    parts: list[str] = [] if path.startswith("/") else list(folder.parts)
    for part in PurePosixPath(path.lstrip("/")).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return PurePosixPath(*parts)


RULE = Rule(
    "KIT504",
    "readme-link-broken",
    "A README links to a file that is not there",
    Severity.WARNING,
    _check,
    scope="project",
)
