"""Tasks that write to a fixed place, where the next run writes as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePath

from kit.checks._python import Call, Source, argument, literal, within
from kit.checks._tasks import reached
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_FIRST = frozenset(
    {
        "to_csv",
        "to_parquet",
        "to_json",
        "to_pickle",
        "to_feather",
        "to_excel",
        "to_hdf",
        "savefig",
        "write_csv",
        "write_parquet",
    }
)
"""Methods that write to the path that they are given first."""
_PATHS = {
    "numpy.save": 0, "numpy.savez": 0, "numpy.savetxt": 0, "numpy.savez_compressed": 0, "matplotlib.pyplot.savefig": 0,
    "joblib.dump": 1, "torch.save": 1, "skops.io.dump": 1, "kit.artifacts.dump_skops": 1,
    "safetensors.torch.save_file": 1,
}  # fmt: skip
"""Functions that write, with the place of the path among what they are given."""
_METHODS_OF_PATHS = frozenset({"write_text", "write_bytes"})


def _check(tree: Tree) -> Iterator[Finding]:
    for part in reached(tree):
        for call in within(part.source, [part.node]):
            path = _written(part.source, call)
            if path is not None and not PurePath(path).is_absolute() and "://" not in path:
                message = f"{path!r} is written outside of the run: the next run overwrites it, and no run keeps it"
                hint = f"Write to `run.dir / {PurePath(path).name!r}`, and keep it with `run.artifact(path)`."
                yield part.source.find(call.node, message, hint)


def _written(source: Source, call: Call) -> str | None:
    """The path that a call writes to, if it is said there."""
    if call.name == "open" or (call.method == "open" and _is_path(source, call)):
        mode = literal(argument(call.node, "mode", 1 if call.name == "open" else 0))
        if not isinstance(mode, str) or not set(mode) & set("wax"):
            return None
        return _text(call.node.args[0]) if call.name == "open" and call.node.args else _path(source, call)
    if call.name in _PATHS:
        return _text(argument(call.node, "path", _PATHS[call.name]))
    if call.method in _FIRST and isinstance(call.node.func, ast.Attribute) and call.node.args:
        return _text(call.node.args[0]) or _path_of(source, call.node.args[0])
    return _path(source, call) if call.method in _METHODS_OF_PATHS else None


def _is_path(source: Source, call: Call) -> bool:
    return _path(source, call) is not None


def _path(source: Source, call: Call) -> str | None:
    """`x.json` of `Path("x.json").write_text(...)`."""
    return _path_of(source, call.node.func.value) if isinstance(call.node.func, ast.Attribute) else None


def _path_of(source: Source, node: ast.expr) -> str | None:
    if isinstance(node, ast.Call) and source.name(node.func) == "pathlib.Path" and len(node.args) == 1:
        return _text(node.args[0])
    return None


def _text(node: ast.expr | None) -> str | None:
    value = literal(node)
    return value if isinstance(value, str) else None


RULE = Rule(
    "KIT312",
    "writes-outside-run",
    "A task writes to a fixed path instead of the run's folder",
    Severity.WARNING,
    _check,
    scope="project",
)
