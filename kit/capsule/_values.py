"""Any object as a bounded record: no code of its class is called, so none can fail, hang, or tell a secret."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import pathlib
import re
import time
import types
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import islice
from typing import Any, cast

from kit.capsule._arrays import LIBRARIES, said_of
from kit.capsule._classes import class_name, is_a, root
from kit.capsule._record import Value
from kit.known_secrets import KnownSecrets
from kit.redact import MASK, is_secret

__all__ = ["Describer"]

_DEPTH = 4
_ITEMS = 50
_FIELDS = 30
_CHARACTERS = 1000
_NODES = 8000
_NODES_OF_ONE = 400
"""Parts of one variable: a model must not take the room of all the others."""
_LOOKED_AT = 10_000
"""Characters of a text in which secrets are looked for, since one may lie across the cut."""
_BITS = 2000
"""Of a whole number that is written out."""

_PLAIN = {type(None), bool, int, float, str, bytes, list, tuple, dict}
_SOMETHING = object()
_CODE = (types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.GeneratorType)
_WORDS = (
    pathlib.PurePath, dt.datetime, dt.date, dt.time, dt.timedelta, dt.tzinfo, decimal.Decimal, fractions.Fraction,
    uuid.UUID, range, slice, re.Pattern, complex,
)  # fmt: skip
"""The standard library's own, whose notation says all and takes no time."""
_WORDS_MODULES = {kind.__module__ for kind in _WORDS} | {"zoneinfo", "pathlib._local"}


class Describer:
    """Turns objects into records, until it has done so for long enough.

    Args:
        secrets: What is masked wherever it turns up.
        until: `time.monotonic()` at which it stops.

    Attributes:
        met: The texts that were masked because of their name.
    """

    def __init__(self, secrets: KnownSecrets, *, until: float) -> None:
        self._secrets = secrets
        self._until = until
        self._left = _NODES
        self._nodes = _NODES_OF_ONE
        self._above: set[int] = set()
        self.met: set[str] = set()

    def variables(self, values: Mapping[str, object]) -> dict[str, Value]:
        """The variables of a frame."""
        described = {}
        for name, value in _of_people(values):
            self._nodes = room = min(_NODES_OF_ONE, self._left)
            described[self._secrets.cut(name, 200)] = self._entry(name, value, _DEPTH)
            self._left -= room - self._nodes
        return described

    def _attributes(self, values: Mapping[str, object], depth: int) -> dict[str, Value]:
        return {self._secrets.cut(name, 200): self._entry(name, value, depth) for name, value in _of_people(values)}

    def _entry(self, name: str, value: object, depth: int) -> Value:
        # Of what is not plain, only the name counts: nothing is asked of its class.
        if is_secret(name, value if type(value) in _PLAIN else _SOMETHING):
            return self._masked(name, value)
        return self.describe(value, depth)

    def _masked(self, name: str, value: Any) -> Value:  # noqa: ANN401
        text = value.decode("latin-1") if type(value) is bytes else value
        if type(text) is str:
            # A `token` may be a word of a text; it is a secret wherever it stands if it looks like one.
            if is_secret(name, 0) or (len(text) >= 8 and not text.isalpha()):
                self.met.add(text[:_CHARACTERS])
        elif type(value) in {dict, list, tuple}:
            for inner in islice(value.values() if type(value) is dict else value, _ITEMS):
                self._masked(name, inner)
        return Value(class_name(type(value)), MASK)

    def describe(self, value: object, depth: int = _DEPTH) -> Value:
        """The record of one object."""
        kind = class_name(type(value))
        if self._nodes <= 0 or time.monotonic() > self._until:
            return Value(kind, "<…>")
        self._nodes -= 1
        if id(value) in self._above:
            return Value(kind, "<itself>")
        self._above.add(id(value))
        try:
            return self._leaf(value, kind) or self._whole(value, kind, depth)
        except Exception as error:  # noqa: BLE001 - changed while it was read, or of a class that lies
            return Value(kind, f"<cannot be read: {class_name(type(error))}>")
        finally:
            self._above.discard(id(value))

    def _leaf(self, value: Any, kind: str) -> Value | None:  # noqa: ANN401
        """What is one text."""
        if is_a(value, str, bytes, bytearray):
            return self._text(value, kind)
        text: str | None = None
        if is_a(value, type(None), bool):
            text = repr(value)
        elif is_a(value, Enum):
            text = f"{kind.rpartition('.')[2]}.{object.__getattribute__(value, '__dict__').get('_name_')}"
        elif is_a(value, int, float):
            text = _number(value)
            text = MASK if self._secrets.is_one(text) else text
        elif is_a(value, type):
            text = f"<class {class_name(value)}>"
        elif is_a(value, *_CODE):
            text = f"<{kind} {getattr(value, '__qualname__', value.__name__)}>"
        elif is_a(value, *_WORDS) and (type(value).__module__ in _WORDS_MODULES or root(type(value)) in LIBRARIES):
            text = repr(value)
        return None if text is None else Value(kind, self._secrets.cut(text, _CHARACTERS))

    def _text(self, value: Any, kind: str) -> Value:  # noqa: ANN401
        base: Any = next(base for base in (str, bytes, bytearray) if is_a(value, base))
        length = base.__len__(value)  # and not what a class made from it says
        begin = base.__getitem__(value, slice(0, _LOOKED_AT))
        shown: str | bytes
        if base is str:
            shown = self._secrets.cut(begin, _CHARACTERS)
        else:
            shown = self._secrets.cut(bytes(begin).decode("latin-1"), _CHARACTERS).encode("latin-1", "replace")
        if shown in {MASK, MASK.encode()}:
            return Value(kind, MASK)
        return Value(kind, repr(shown), length=None if length <= _CHARACTERS else length)

    def _whole(self, value: Any, kind: str, depth: int) -> Value:  # noqa: ANN401
        """What has parts."""
        said = said_of(value)
        if said is not None:
            fields = {name: self.describe(told, 2) for name, told in said.fields.items()}
            return Value(kind, self._secrets.cut(said.text, 200), fields=fields)
        if is_a(value, dict):
            return self._mapping(kind, dict.__len__(value), dict.items(value), depth)
        base = next((base for base in (list, tuple, set, frozenset, deque) if is_a(value, base)), None)
        if base is not None:
            return self._sequence(value, kind, base, depth)
        return self._config(value, kind, depth) or self._object(value, kind, depth)

    def _sequence(self, value: Any, kind: str, base: Any, depth: int) -> Value:  # noqa: ANN401
        length: int = base.__len__(value)
        if names := _tuple_names(value):
            named = dict(zip(names, tuple.__iter__(value), strict=False))
            return Value(kind, fields=self._attributes(named, depth - 1))
        room = _ITEMS if depth > 0 else 0
        items = tuple(self.describe(item, depth - 1) for item in islice(base.__iter__(value), room))
        return Value(kind, length=None if len(items) == length else length, items=items)

    def _mapping(self, kind: str, length: int, entries: Any, depth: int) -> Value:  # noqa: ANN401
        pairs = []
        for key, held in islice(iter(entries), _ITEMS if depth > 0 else 0):
            name = str.__getitem__(key, slice(0, 200)) if is_a(key, str) else ""
            pairs.append((self.describe(key, depth - 1), self._entry(name, held, depth - 1)))
        return Value(kind, length=None if len(pairs) == length else length, pairs=tuple(pairs))

    def _config(self, value: object, kind: str, depth: int) -> Value | None:
        """OmegaConf's containers as what they hold; nothing in them is resolved."""
        if not kind.startswith("omegaconf."):
            return None
        own = object.__getattribute__(value, "__dict__")
        if "_val" in own:
            return self.describe(own["_val"], depth)
        content = own.get("_content")
        if type(content) is dict:
            return self._mapping(kind, len(content), content.items(), depth)
        if type(content) is list:
            return self._sequence(content, kind, list, depth)
        return None

    def _object(self, value: object, kind: str, depth: int) -> Value:
        fields = dict(_held_by(value))
        if root(type(value)) == "kit":  # what kit.Run keeps for itself is nobody's concern
            fields = {name: held for name, held in fields.items() if not name.startswith("_")}
        if not fields or depth <= 0:
            return Value(kind, f"<{kind.rpartition('.')[2]}>")
        public_first = {name: fields[name] for name in sorted(fields, key=lambda name: name.startswith("_"))}
        described = self._attributes(public_first, depth - 1)
        return Value(kind, length=None if len(fields) <= _FIELDS else len(fields), fields=described)


def _number(value: Any) -> str:  # noqa: ANN401
    if is_a(value, float):
        return float.__repr__(value)
    bits = int.bit_length(value)
    return int.__repr__(value) if bits <= _BITS else f"<a number of {bits} bits>"


def _of_people(values: Mapping[str, object]) -> list[tuple[str, object]]:
    """What people gave a name, and not Python itself."""
    return [(name, value) for name, value in values.items() if not name.startswith(("__", "."))][:_FIELDS]


def _held_by(value: object) -> Iterator[tuple[str, object]]:
    """What an object holds itself, by slot or dict: no property is asked, since that is a call."""
    if is_a(value, BaseException):
        yield "args", BaseException.__dict__["args"].__get__(value)
    for kind in type.__dict__["__mro__"].__get__(type(value)):
        for name, slot in type.__dict__["__dict__"].__get__(kind).items():
            if type(slot) is types.MemberDescriptorType and root(kind) != "builtins":
                try:
                    yield name, slot.__get__(value)
                except AttributeError:  # never set
                    continue
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return
    if is_a(own, dict):
        yield from ((name, held) for name, held in dict.items(own) if type(name) is str)


def _tuple_names(value: object) -> tuple[str, ...]:
    """The names of a named tuple's elements."""
    names = type.__dict__["__dict__"].__get__(type(value)).get("_fields") if is_a(value, tuple) else None
    whole = type(names) is tuple and all(type(name) is str for name in names)
    return cast("tuple[str, ...]", names) if whole else ()
