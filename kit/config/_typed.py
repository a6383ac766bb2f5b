"""The resolved configuration as the task's dataclass, every mistake named by its key.

Containers, unions and dataclasses are walked here, so that each value's key is known and a dataclass is made by calling
it; single values are msgspec's.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from kit.config._problems import did_you_mean
from kit.errors import UserError

__all__ = ["RESERVED", "is_schema", "typed"]

T = TypeVar("T")
Where = Callable[[str], str | None]

RESERVED = frozenset({"task", "seed", "name", "tags", "note", "timeout", "executor", "resources"})
"""Top-level keys that kit reads itself; the task's dataclass need not have them."""
_CONTRACT = re.compile(r"data(\..+)?")
"""Where `contract` is kit's, too: the config group `data` and what lies in it."""

_NONE = type(None)
_SEQUENCES: dict[Any, Callable[[list[Any]], Any]] = {list: list, tuple: tuple, set: set, frozenset: frozenset}


def is_schema(annotation: object) -> bool:
    """Whether it is a dataclass, rather than an instance of one."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def typed(config: Mapping[str, Any], schema: type[T], *, where: Where) -> T:
    """Make the task's dataclass of the configuration; strict, except that an int may stand for a float.

    Args:
        config: A resolved configuration.
        schema: A dataclass; its fields may be dataclasses, optional, unions, literals, enums (by name or value),
            lists, tuples, sets, dicts, paths, dates, and whatever else msgspec converts.
        where: The origin of a key, `Composed.origins.get`.

    Raises:
        UserError: If a key is unknown or missing or has the wrong type, or the dataclass refuses its values.
    """
    names = {field.name for field in dataclasses.fields(schema)}  # type: ignore[arg-type]
    own = {key: value for key, value in config.items() if key in names or key not in RESERVED}
    made: T = _Walk(where).dataclass(own, schema, "")
    return made


class _Mismatch(Exception):
    """A value that does not fit, to be tried as another member of a union or reported."""

    def __init__(self, key: str, expected: str, value: object, detail: str | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.expected = expected
        self.value = value
        self.detail = detail


class _Walk:
    """One conversion; `where` finds the origin of a key or of what it lies in."""

    def __init__(self, where: Where) -> None:
        self._where = where

    def origin(self, key: str) -> str | None:
        while key:
            if (found := self._where(key)) is not None:
                return found
            key = re.sub(r"(?:^|\.)[^.\[]+$|\[[^\[]*\]$", "", key)
        return None

    def dataclass(self, value: Mapping[str, Any], schema: type, key: str) -> Any:  # noqa: ANN401 of the schema's type
        fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
        hints = self._hints(schema)
        for name in value:
            if name not in fields and not (name == "contract" and _CONTRACT.fullmatch(key)):
                raise self._unknown(_join(key, name), name, schema, list(fields))
        arguments = {}
        for name, field in fields.items():
            if name in value:
                arguments[name] = self._convert(value[name], hints[name], _join(key, name))
            elif _has_no_default(field):
                raise self._absent(_join(key, name), hints[name], schema)
        try:
            return schema(**arguments)
        except (ValueError, TypeError, AssertionError) as error:
            raise UserError(
                f"{_label(key)}{schema.__name__} refuses it: {error}", where=self.origin(key), fix="Change the values."
            ) from error

    @staticmethod
    def _hints(schema: type) -> dict[str, Any]:
        try:
            return typing.get_type_hints(schema, include_extras=True)
        except NameError as error:
            raise UserError(
                f"{schema.__name__} has an annotation that cannot be read: {error}",
                where=_place(schema),
                fix="Import the name at the top of the module, not under `if TYPE_CHECKING:`.",
            ) from error

    def _unknown(self, key: str, name: str, schema: type, known: list[str]) -> UserError:
        fix = did_you_mean(name, known, otherwise=f"Add the field to {schema.__name__}, or take the key out.")
        return UserError(f"{key}: {schema.__name__} has no such field", where=self.origin(key), fix=fix)

    def _absent(self, key: str, annotation: object, schema: type) -> UserError:
        parent = key.rpartition(".")[0]
        return UserError(
            f"{key}: no value, {schema.__name__} needs {_describe(annotation)}",
            where=self.origin(parent) or _place(schema),
            fix=f"Set it in a config, or with `kit run +{key}=VALUE`.",
        )

    def _convert(self, value: object, annotation: Any, key: str) -> Any:  # noqa: ANN401
        try:
            return self._as(value, annotation, key)
        except _Mismatch as error:
            raise self._wrong(error) from None

    def _wrong(self, error: _Mismatch) -> UserError:
        detail = f" ({error.detail})" if error.detail else ""
        kind = "" if error.expected.startswith(("a ", "one of ")) else "a value of type "
        fix = f"Give it {kind}{error.expected}."
        if error.expected.startswith("str") and isinstance(error.value, int | float):
            fix = f'Quote it: "{error.value}".'
        return UserError(
            f"{error.key}: expected {error.expected}, got {_show(error.value)}{detail}",
            where=self.origin(error.key),
            fix=fix,
        )

    def _as(self, value: object, annotation: Any, key: str) -> Any:  # noqa: ANN401
        """Raises:
        _Mismatch: If the value does not fit the annotation.
        """
        annotation = _bare(annotation)
        origin, args = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
        if origin in {typing.Union, types.UnionType}:
            return self._union(value, args, key)
        if is_schema(origin):
            if not isinstance(value, Mapping):
                raise _Mismatch(key, f"a mapping for {origin.__name__}", value)
            return self.dataclass(value, origin, key)
        if _is_enum(origin):
            return _enum(value, origin, key)
        if args and (kind := _sequence_kind(origin)) is not None:
            return self._sequence(value, kind, args, key)
        if isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
            return self._mapping(value, args, key)
        return _single(value, annotation, key)

    def _union(self, value: object, members: tuple[Any, ...], key: str) -> Any:  # noqa: ANN401
        if value is None and _NONE in members:
            return None
        rest = [member for member in members if member is not _NONE]
        if type(value) in rest:
            return value
        failures: list[_Mismatch | UserError] = []
        for member in rest:
            try:
                return self._as(value, member, key)
            except (_Mismatch, UserError) as error:
                failures.append(error)
        inner = [error for error in failures if isinstance(error, UserError) or error.key != key]
        if len(inner) == 1:  # only one member could hold such a value at all: its complaint says more
            raise inner[0]
        raise _Mismatch(key, " | ".join(_describe(member) for member in members), value)

    def _sequence(self, value: object, kind: Any, args: tuple[Any, ...], key: str) -> Any:  # noqa: ANN401
        if not isinstance(value, list | tuple):
            raise _Mismatch(key, f"a list of {_describe(args[0])}", value)
        if kind is tuple and args[-1] is not Ellipsis:
            if len(value) != len(args):
                raise _Mismatch(key, f"a list of {len(args)}", value)
            items = args
        else:
            items = (args[0],) * len(value)
        made = [self._as(child, item, f"{key}[{i}]") for i, (child, item) in enumerate(zip(value, items, strict=True))]
        return _SEQUENCES[kind](made)

    def _mapping(self, value: object, args: tuple[Any, ...], key: str) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise _Mismatch(key, "a mapping", value)
        return {
            self._key(name, args[0], _join(key, str(name))): self._as(child, args[1], _join(key, str(name)))
            for name, child in value.items()
        }

    def _key(self, name: object, annotation: Any, key: str) -> Any:  # noqa: ANN401
        """Keys are texts once a configuration has been JSON, whatever the file had."""
        try:
            return self._as(name, annotation, key)
        except _Mismatch:
            return _single(name, annotation, key, strict=False)


def _bare(annotation: Any) -> Any:  # noqa: ANN401
    """Look through NewType, `type X = ...`, and Annotated around what is walked here (msgspec checks the others)."""
    while True:
        for attribute in ("__supertype__", "__value__"):
            if hasattr(annotation, attribute):
                annotation = getattr(annotation, attribute)
                break
        else:
            break
    if typing.get_origin(annotation) is typing.Annotated:
        inner = annotation.__origin__
        if typing.get_origin(inner) is not None or is_schema(inner) or _is_enum(inner) or _is_path(inner):
            return _bare(inner)
    return annotation


def _sequence_kind(origin: Any) -> Any:  # noqa: ANN401
    """What a list becomes; a list itself for Sequence, Iterable, Collection and their like."""
    if origin in _SEQUENCES:
        return origin
    return list if inspect.isabstract(origin) and issubclass(list, origin) else None


def _is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _is_path(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, PurePath)


def _enum(value: object, kind: type[Enum], key: str) -> Enum:
    if isinstance(value, str) and value in kind.__members__:
        return kind[value]
    for member in kind:
        if member.value == value and type(member.value) is type(value):
            return member
    raise _Mismatch(key, _describe(kind), value)


def _single(value: object, annotation: Any, key: str, *, strict: bool = True) -> Any:  # noqa: ANN401
    if typing.get_origin(annotation) is typing.Literal:
        for choice in typing.get_args(annotation):
            if choice == value and type(choice) is type(value):
                return choice
        raise _Mismatch(key, _describe(annotation), value)
    try:
        return msgspec.convert(value, annotation, strict=strict, dec_hook=_special)
    except msgspec.ValidationError as error:
        text = str(error)
        plain = text.startswith("Expected") and "`" in text.partition(",")[0] and text.count("`") == 4
        raise _Mismatch(key, _describe(annotation), value, None if plain else text) from error
    except (TypeError, NotImplementedError) as error:
        raise UserError(
            f"{key}: kit cannot make a {_describe(annotation)} from a configuration",
            fix="Use a plain type in the dataclass, and make the other one in the task.",
        ) from error


def _special(kind: type, value: object) -> Any:  # noqa: ANN401
    """The types that msgspec leaves to its caller."""
    if _is_path(kind) and isinstance(value, str | PurePath):
        return kind(value)
    if kind.__module__.startswith("omegaconf."):
        return _omegaconf(value)
    if _is_path(kind):
        raise ValueError("not a path")
    raise NotImplementedError


def _omegaconf(value: object) -> Any:  # noqa: ANN401
    from kit.config._tasks import as_omegaconf

    return as_omegaconf(value)


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    if field.default == "???":  # omegaconf.MISSING
        return True
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _label(key: str) -> str:
    return f"{key}: " if key else ""


def _place(schema: type) -> str | None:
    return getattr(sys.modules.get(schema.__module__), "__file__", None)


def _describe(annotation: Any) -> str:  # noqa: ANN401
    """The annotation as its author would write it; the choices for a literal or an enum."""
    if annotation is None or annotation is _NONE:
        return "null"
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        text = _describe(args[0])
    elif origin is typing.Literal:
        text = f"one of {', '.join(repr(choice) for choice in args)}"
    elif origin in {typing.Union, types.UnionType}:
        text = " | ".join(_describe(member) for member in args)
    elif _is_enum(annotation):
        text = f"one of {', '.join(annotation.__members__)}"
    elif origin is None:
        text = str(getattr(annotation, "__name__", annotation))
    else:
        text = str(annotation).replace("typing.", "").replace("collections.abc.", "")
    return text


def _show(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return f"a mapping of {', '.join(map(str, value)) or 'nothing'}"[:80]
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
