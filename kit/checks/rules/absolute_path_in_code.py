"""Paths that exist on one machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kit.checks._python import sources
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_WORDS = (
    "/home/", "/Users/", "/mnt/", "/root/", "/scratch/", "/nfs/", "/kaggle/", "/content/drive/", ":\\", ":/"
)  # fmt: skip
"""One of which each of the following has."""
_AT_ALL = re.compile(
    r"""["'](?:(?:file://)?/(?:home|Users|mnt|root|scratch|nfs|kaggle|content/drive)/|[A-Za-z]:(?:\\|/(?!/)))"""
)
_OF_A_MACHINE = re.compile(
    r"(?:file://)?/(?:home|Users|mnt|root|scratch|nfs|kaggle|content/drive)/[^\s:*?\[(<{]+.*"
    r"|[A-Za-z]:(?:\\+|/(?!/))[\w.$ -]+.*"
)


def _check(tree: Tree) -> Iterator[Finding]:
    for source in sources(tree, *_WORDS, like=_AT_ALL.search, notebooks=True):
        skipped = set(map(id, _not_paths(source.module)))
        for node in ast.walk(source.module):
            if id(node) not in skipped and isinstance(node, ast.Constant) and _is_of_a_machine(node.value):
                message = f"the path {node.value!r} is there on one machine only"
                hint = "Name it in the config, relative to the project: a run is started in its root."
                yield source.find(node, message, hint)


def _is_of_a_machine(value: object) -> bool:
    return isinstance(value, str) and _OF_A_MACHINE.fullmatch(value) is not None


def _not_paths(module: ast.Module) -> Iterator[ast.AST]:
    """Texts for people: docstrings, and what `help=` and the like are given."""
    for node in ast.walk(module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.keyword) and node.arg in {"help", "description", "epilog", "metavar"}:
            yield from ast.walk(node.value)


RULE = Rule("KIT309", "absolute-path-in-code", "Code names a path of one machine", Severity.WARNING, _check)
