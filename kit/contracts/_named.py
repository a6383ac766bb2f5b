"""Which contracts a config names: the key `contract` in the group `data`, or in what lies in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kit._near import did_you_mean, nearest
from kit.errors import UserError

__all__ = ["Contract", "named"]

_GROUP = "data"
_KEY = "contract"
_PATHS = ("path", "file", "folder")
"""Where a config says what data it is about; the first that is there counts."""
_SCHEMA = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Contract:
    """A promise about data.

    Attributes:
        name: Where the config has it: `data`, or `data.train`.
        schema: `package.module:NAME` of a pandera schema.
        path: The file or folder that it is about, relative to the project.
    """

    name: str
    schema: str
    path: str


def named(config: Mapping[str, object]) -> tuple[Contract, ...]:
    """The contracts of a composed config, in its order; `contract: null` is none.

    Raises:
        UserError: If one names no schema, or nothing says what it is about.
    """
    return tuple(_walk(config.get(_GROUP), _GROUP))


def _walk(node: object, name: str) -> Iterator[Contract]:
    if not isinstance(node, Mapping):
        return
    if node.get(_KEY) is not None:
        yield _contract(node, name)
    for key, value in node.items():
        if key != _KEY:
            yield from _walk(value, f"{name}.{key}")


def _contract(node: Mapping[str, object], name: str) -> Contract:
    given = node[_KEY]
    where = f"{name}.{_KEY}"
    told = given if isinstance(given, Mapping) else {"schema": given}
    for key in told:
        if key not in {"schema", "path"}:
            fix = did_you_mean(nearest(str(key), ["schema", "path"])) or "It has `schema` and `path`."
            raise UserError(f"{where}: unknown key {str(key)!r}", where="config", fix=fix)
    schema = told.get("schema")
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise UserError(
            f"{where}: {schema!r} does not name a schema",
            where="config",
            fix="Write it as `contract: package.module:NAME`, of a pandera schema.",
        )
    path = next((node[key] for key in _PATHS if isinstance(node.get(key), str)), None)
    path = told.get("path", path)
    if not isinstance(path, str) or not path:
        raise UserError(
            f"{where}: nothing says what data it is about",
            where="config",
            fix=f"Add {', '.join(f'`{key}:`' for key in _PATHS[:-1])} or `{_PATHS[-1]}:` beside it.",
        )
    return Contract(name, schema, path)
