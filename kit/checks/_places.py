"""Where in a file something is said, and files as git has them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kit import _git
from kit.checks.tree import Tree

__all__ = ["first_line_with", "ignored", "in_lfs", "is_template", "with_line"]


def first_line_with(text: str | None, *words: str) -> int | None:
    """The number of the first line with one of the texts in it, each as a whole word; None if there is none."""
    wanted = "|".join(rf"(?<![\w/.-]){re.escape(word)}(?![\w/-])" for word in words if word)
    found = re.search(wanted, text or "") if wanted else None
    return None if found is None or text is None else text.count("\n", 0, found.start()) + 1


def ignored(tree: Tree, paths: Iterable[str]) -> set[str]:
    """Those that git would ignore if they were there; an end of `/` says that it is a folder."""
    inside = [path for path in paths if path and not path.startswith(("/", "../"))]
    if not inside:
        return set()
    asked = "\0".join(inside).encode()
    said = _git.run(tree.root, "check-ignore", "--no-index", "-z", "--stdin", stdin=asked, accept=(0, 1))
    return {name.decode() for name in said.split(b"\0") if name}


def in_lfs(tree: Tree, paths: Iterable[str]) -> set[str]:
    """Those of which git keeps a pointer only: the content is Git LFS's."""
    asked = "\0".join(paths).encode()
    said = _git.run(tree.root, "check-attr", "-z", "--stdin", "filter", stdin=asked).decode("utf-8", "replace")
    fields = said.split("\0")
    return {path for path, value in zip(fields[::3], fields[2::3], strict=False) if value == "lfs"}


def is_template(path: str) -> bool:
    """Whether cookiecutter or copier makes a file of it: it is another project's then."""
    return "{{" in path or path.endswith((".jinja", ".j2"))


def with_line(text: str | None, line: str) -> str:
    """The text with one more line at its end."""
    before = text or ""
    return f"{before}{'' if not before or before.endswith(chr(10)) else chr(10)}{line}\n"
