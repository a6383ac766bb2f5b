"""YAML that means what it says: read as OmegaConf reads it, in a fraction of the time.

OmegaConf reads with PyYAML's scanner in Python. Here libyaml reads, where there is one, and whatever the two could see
differently is left to OmegaConf: interpolations, anchors, tags, keys that are no texts, unusual characters, mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import yaml

__all__ = ["read_plain", "safe_loader"]

_Events = Callable[[], Any]
"""Gives the next one; PyYAML's events have no types to speak of."""

_UNUSUAL = re.compile("[^\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Tabs, other line ends, byte order marks, control characters."""

_EXPONENT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*(\.[0-9_]*)?[eE][-+]?[0-9]+")
"""`1e3`: a float in YAML 1.2 and to OmegaConf, a text to PyYAML."""

_DEEPEST = 500
"""Lists and mappings in each other that anything of kit's reads; OmegaConf gives up sooner."""

_INDENTED = re.compile(rb"(?m)^[-?: ]{%d}" % _DEEPEST)

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BLOCKS = ("|", ">")
_TAG = "tag:yaml.org,2002:"


def safe_loader(text: str | bytes) -> type[yaml.SafeLoader]:
    """PyYAML's safe loader for a text, in C where there is one.

    Raises:
        YAMLError: If it nests so deeply that C would take the whole process down, and Python minutes.
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    found: type[yaml.SafeLoader] = _LOADER
    may_be_deep = content.count(b"[") + content.count(b"{") > _DEEPEST or _INDENTED.search(content) is not None
    if may_be_deep and _depth(text) > _DEEPEST:
        raise yaml.YAMLError(f"more than {_DEEPEST} lists and mappings in each other")
    return found


def _depth(text: str | bytes) -> int:
    """How deep it gets before it is known to be too deep."""
    depth = deepest = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        deepest = max(deepest, depth)
        if deepest > _DEEPEST:
            break
    return deepest


class _TooUnusualError(ValueError):
    """Left to OmegaConf."""


def read_plain(text: str) -> dict[str, Any] | None:
    """What `OmegaConf.load` makes of the text, as plain dicts, lists and scalars.

    Returns:
        None if that takes OmegaConf itself; it has the words for mistakes, too. An empty text is an empty mapping.
    """
    if _UNUSUAL.search(text):
        return None
    parser = _LOADER(text)
    try:
        found = _document(parser.get_event)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    finally:
        parser.dispose()
    return found if isinstance(found, dict) else {} if found is None else None


def _document(get: _Events) -> object:
    """The only one of a stream."""
    get()  # the stream's start
    if type(get()) is yaml.StreamEndEvent:
        return None
    found = _value(get(), get)
    get()  # the document's end
    if type(get()) is not yaml.StreamEndEvent:
        raise _TooUnusualError
    return found


def _value(event: Any, get: _Events) -> object:  # noqa: ANN401
    kind = type(event)
    if kind is yaml.AliasEvent or event.anchor is not None or event.tag is not None:
        raise _TooUnusualError
    if kind is yaml.ScalarEvent:
        if event.style in _BLOCKS:
            raise _TooUnusualError
        return _plain_scalar(event.value) if event.implicit[0] else _text(event.value)
    return _sequence(get) if kind is yaml.SequenceStartEvent else _mapping(get)


def _sequence(get: _Events) -> list[object]:
    items = []
    while type(event := get()) is not yaml.SequenceEndEvent:
        items.append(_value(event, get))
    return items


def _mapping(get: _Events) -> dict[str, object]:
    found: dict[str, object] = {}
    while type(event := get()) is not yaml.MappingEndEvent:
        key = _value(event, get)
        if not isinstance(key, str) or key in found:
            raise _TooUnusualError
        found[key] = _value(get(), get)
    return found


@lru_cache(maxsize=65536)
def _plain_scalar(text: str) -> object:
    """What a scalar without quotes stands for; the same few come again and again."""
    if "?" in text:  # between brackets, it ends a scalar for PyYAML and not for libyaml
        raise _TooUnusualError
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in [*resolvers.get(text[:1], ()), *resolvers.get(None, ())]:
        if tag != f"{_TAG}timestamp" and pattern.match(text):
            return _converted(tag, text)
    return _converted(f"{_TAG}float", text) if _EXPONENT.fullmatch(text) else _text(text)


def _converted(tag: str, text: str) -> object:
    convert = _converters().get(tag.removeprefix(_TAG))
    if convert is None:
        raise _TooUnusualError
    return convert(yaml.ScalarNode(tag, text))


@cache
def _converters() -> dict[str, Callable[[yaml.ScalarNode], object]]:
    its = yaml.constructor.SafeConstructor()
    return {
        "null": its.construct_yaml_null,
        "bool": its.construct_yaml_bool,
        "int": its.construct_yaml_int,
        "float": its.construct_yaml_float,
    }


def _text(text: str) -> str:
    if "${" in text or text == "???":
        raise _TooUnusualError
    return text
