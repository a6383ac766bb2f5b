"""Outputs that are no longer what DVC has on record."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from kit.checks._dvc import outputs, place
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError

__all__ = ["RULE"]


_LARGE = 1_000_000_000
"""Bytes: what takes many seconds to hash is left to `dvc status` and runs, which remember the hashes."""


def _check(tree: Tree) -> Iterator[Finding]:
    known = {output.path: output for output in outputs(tree)}
    there = [output for output in known.values() if output.md5 is not None and output.file.exists()]
    paths = tree.project.paths
    hashed = paths.data_hashes.exists()
    if not there or (not hashed and sum(output.size or 0 for output in there) > _LARGE):
        return
    from kit import data

    cache = paths.data_hashes if paths.state.is_dir() else None  # a check makes no state of its own
    try:
        versions = data.versions(tree.root, cache=cache)
    except (KitError, OSError):
        return  # DVC says what is wrong with its files
    for version in versions:
        if version.state == "modified" and version.path in known:
            name = shlex.quote(version.path)
            hint = (
                f"Record it with `dvc add {name}`, or get the recorded one back with `dvc checkout {name}`."
                if version.stage is None
                else f"Make it anew with `dvc repro {version.stage}`, or keep it with `dvc commit {version.stage}`."
            )
            message = f"{version.path} is not what {version.source} records"
            yield place(tree, known[version.path], message, hint)


RULE = Rule(
    "KIT205",
    "dvc-output-changed",
    "The workspace's copy of an output is not the version that DVC has on record",
    Severity.WARNING,
    _check,
    scope="project",
)
