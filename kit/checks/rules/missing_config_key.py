"""Tasks that read keys which no config has."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kit._near import did_you_mean, nearest
from kit.checks._configs import planned
from kit.checks._schemas import Definition, schema_of, task_definition
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.config import Composed

__all__ = ["RULE"]

_METHODS = frozenset({*dir(dict), "_get_node", "_metadata"})


def check(tree: Tree) -> Iterator[Finding]:
    """In tasks that take a dict or a DictConfig: of a dataclass, mypy says it."""
    configs: dict[str, list[dict[str, object]]] = {}
    for one in planned(tree):
        if isinstance(one.result, Composed):
            configs.setdefault(one.result.task, []).append(one.result.config)
    for task, each in configs.items():
        found = task_definition(tree, task)
        if isinstance(found, Definition) and schema_of(tree, task) is None:
            yield from _missing(found, each)


def _missing(found: Definition, configs: list[dict[str, object]]) -> Iterator[Finding]:
    name = _parameter(found.node)
    if name is None:
        return
    asked_for = {node.value for node in ast.walk(found.node) if _is_question(node, name) for node in _texts(node)}
    inner = {id(node.value) for node in ast.walk(found.node) if isinstance(node, ast.Attribute | ast.Subscript)}
    for node in ast.walk(found.node):
        if id(node) in inner or not isinstance(node, ast.Attribute | ast.Subscript):
            continue
        keys = _keys(node, name)
        absent = None if keys is None else _absent(keys, configs)
        if absent is not None and not asked_for.intersection(absent):
            known = [str(key) for config in configs for key in _at(config, absent[:-1])]
            hint = did_you_mean(nearest(absent[-1], known)) or "Set it in a config."
            yield found.source.find(node, f"{'.'.join(absent)}: no config has it", hint)


def _parameter(node: ast.AST) -> str | None:
    """The config's name in the task; None if the name is given to something else there, or keys are set."""
    if not isinstance(node, ast.FunctionDef):
        return None
    parameters = [*node.args.posonlyargs, *node.args.args]
    if not parameters or not _is_plain(parameters[0].annotation):
        return None
    name = parameters[0].arg
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id == name and not isinstance(part.ctx, ast.Load):
            return None
        if isinstance(part, ast.Attribute | ast.Subscript) and _is_set(part, name):
            return None
    return name


def _is_set(node: ast.Attribute | ast.Subscript, name: str) -> bool:
    return not isinstance(node.ctx, ast.Load) and _keys(node, name) is not None


def _is_plain(annotation: ast.expr | None) -> bool:
    if annotation is None:
        return True
    text = ast.unparse(annotation).strip("'\"")
    return text.partition("[")[0].rpartition(".")[2] in {"Any", "DictConfig", "Dict", "Mapping", "dict"}


def _keys(node: ast.expr, name: str) -> list[str] | None:
    """`cfg.model["depth"]` as model, depth, up to what is a method; None if it begins with something else."""
    keys: list[str | None] = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Attribute):
            keys.append(None if node.attr in _METHODS else node.attr)
        else:
            text = node.slice.value if isinstance(node.slice, ast.Constant) else None
            keys.append(text if isinstance(text, str) else None)
        node = node.value
    if not isinstance(node, ast.Name) or node.id != name:
        return None
    keys.reverse()
    end = keys.index(None) if None in keys else len(keys)
    return [key for key in keys[:end] if key is not None]


def _absent(keys: list[str], configs: list[dict[str, object]]) -> list[str] | None:
    """The shortest beginning of the keys that no config has; None if one has them all, or an object among them."""
    longest = 0
    for config in configs:
        value: object = config
        for depth, key in enumerate(keys):
            if not isinstance(value, dict):
                return None
            if key not in value:
                longest = max(longest, depth)
                break
            value = value[key]
        else:
            return None
    return keys[: longest + 1]


def _at(config: object, keys: list[str]) -> list[object]:
    for key in keys:
        config = config.get(key, {}) if isinstance(config, dict) else {}
    return list(config) if isinstance(config, dict) else []


def _is_question(node: ast.AST, name: str) -> bool:
    """Whether it asks if the config has a key: `"depth" in cfg`, `hasattr(cfg, "depth")`, `cfg.get("depth")`."""
    if isinstance(node, ast.Compare):
        return any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)
    return isinstance(node, ast.Call) and any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def _texts(node: ast.AST) -> Iterator[ast.Constant]:
    return (part for part in ast.walk(node) if isinstance(part, ast.Constant))


RULE = Rule(
    "KIT105",
    "missing-config-key",
    "A task reads a key that no config has",
    Severity.ERROR,
    check,
    scope="project",
)
