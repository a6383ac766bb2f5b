"""The configuration for MLflow: flat, with keys it accepts and values it does not cut in silence."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

__all__ = ["flatten", "to_yaml"]

_KEY_LIMIT = 250
_REFUSED = re.compile(r"[^/\w.\- :]")


def flatten(config: Mapping[str, Any], *, limit: int = 6000) -> dict[str, str]:
    """The configuration as MLflow parameters, in its own order.

    Lists of plain values become JSON, lists with mappings in them one key an element. Null, true and false read as in
    JSON, floats as Python writes them. Keys that MLflow refuses are mended, and two that then look alike stay two.

    Args:
        config: A resolved configuration.
        limit: The longest value, in characters; a longer one is cut, with a mark that says so.
    """
    values = list(_walk(config, ""))
    wanted = {key for key, _ in values}
    flat: dict[str, str] = {}
    for key, value in values:
        name = _safe(key)
        if name in flat or (name != key and (name in wanted or len(key) > _KEY_LIMIT)):
            digest = sha256(key.encode()).hexdigest()[:8]
            name = f"{name[: _KEY_LIMIT - 9]}-{digest}"
        flat[name] = _cut(_text(value), limit)
    return flat


def _walk(value: object, key: str) -> Iterator[tuple[str, object]]:
    children: Iterator[tuple[object, object]] | None = None
    if isinstance(value, Mapping) and value:
        children = iter(value.items())
    elif isinstance(value, list | tuple) and _holds_mapping(value):
        children = iter(enumerate(value))
    if children is not None:
        for name, child in children:
            yield from _walk(child, f"{key}.{name}" if key else str(name))
    elif key or value:
        yield key, value


def _holds_mapping(values: Sequence[object]) -> bool:
    return any(
        isinstance(value, Mapping) or (isinstance(value, list | tuple) and _holds_mapping(value)) for value in values
    )


def _safe(key: str) -> str:
    """The nearest name that passes MLflow's check: known characters, and the same when read as a path."""
    name = _REFUSED.sub("_", key)
    if name.startswith("/") or posixpath.normpath(name) != name:
        name = name.replace("/", "_")
    if name in {"", "."} or name.startswith(".."):
        name = "_" + name[1:]
    return name[:_KEY_LIMIT]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return repr(value) if isinstance(value, float) else str(value)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    mark = f"… ({len(text):,} characters; the whole is in config.yaml)"
    return text[: max(limit - len(mark), 0)] + mark


def to_yaml(config: Mapping[str, Any]) -> str:
    """The configuration as YAML that PyYAML and OmegaConf read back alike, in its own order."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 PyYAML's signature
            return True

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        # OmegaConf reads 1e5 as a number, YAML 1.1 as a text: quoted, it is a text for both.
        style = "'" if _looks_like_number(text) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent)
    dumped: str = yaml.dump(dict(config), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return dumped


def _looks_like_number(text: str) -> bool:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return False
    return True
