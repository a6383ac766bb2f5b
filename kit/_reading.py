"""Values out of a plain mapping, each mistake named by its key and file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeVar

from kit import _near, redact
from kit._durations import parse_duration
from kit.errors import UserError

__all__ = ["Reader", "boolean", "choice", "integer", "nearest", "number", "seconds", "text", "texts"]

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Reader:
    """One mapping of a file.

    Args:
        value: What should be a mapping.
        known: Its keys.
        where: The file.
        at: The key that holds the mapping; empty for the whole file.

    Raises:
        UserError: If it is no mapping, or has an unknown key.
    """

    def __init__(self, value: object, known: Sequence[str], *, where: str, at: str = "") -> None:
        self._where, self._at = where, at
        if not isinstance(value, Mapping):
            raise self.error(f"expected a mapping, got {_show(value)}", f"Known keys: {', '.join(known)}.")
        for key in value:
            if key not in known:
                raise self.error(f"unknown key {str(key)!r}", _hint(key, known))
        self._values: dict[str, object] = {str(key): child for key, child in value.items() if child is not None}

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def is_mapping(self, key: str) -> bool:
        """Whether the key is there and holds a mapping."""
        return isinstance(self._values.get(key), Mapping)

    def error(self, what: str, fix: str, key: str = "") -> UserError:
        path = ".".join(part for part in (self._at, key) if part)
        return UserError(f"{path}: {what}" if path else what, where=self._where, fix=fix)

    def get(self, key: str, convert: Callable[[object], T], default: T) -> T:
        """The value of a key, converted; the default if it is absent or null."""
        return self.need(key, convert) if key in self._values else default

    def need(self, key: str, convert: Callable[[object], T]) -> T:
        """The value of a key that must be there, converted."""
        if key not in self._values:
            raise self.error("no value", f"Add `{key}: ...`.", key)
        try:  # not `located`: there may be ten thousand schedules
            return convert(self._values[key])
        except (UserError, ValueError) as error:
            if _is_located(error):
                raise
            raise self._locate(error, key) from error

    def inner(self, key: str, known: Sequence[str]) -> Reader:
        """The mapping under a key."""
        path = f"{self._at}.{key}" if self._at else key
        return Reader(self._values.get(key), known, where=self._where, at=path)

    @contextmanager
    def located(self, key: str = "") -> Iterator[None]:
        """Name the key and the file in what is raised inside."""
        try:
            yield
        except (UserError, ValueError) as error:
            if _is_located(error):
                raise
            raise self._locate(error, key) from error

    def _locate(self, error: UserError | ValueError, key: str) -> UserError:
        if isinstance(error, UserError):
            return self.error(error.what, error.fix or "Change the value.", key)
        return self.error(str(error), "Change the value.", key)


def _is_located(error: UserError | ValueError) -> bool:
    return isinstance(error, UserError) and error.where is not None


def _hint(key: object, known: Sequence[str]) -> str:
    if isinstance(key, bool):
        instead = "`when`" if "when" in known else f"one of {', '.join(known)}"
        return f"YAML reads on, off, yes and no as true and false: write {instead}."
    return nearest(str(key), known) or f"Known keys: {', '.join(known)}."


def nearest(word: str, known: Sequence[str]) -> str | None:
    """`Did you mean ...?`, if one is near."""
    return _near.did_you_mean(_near.nearest(word.lower().replace("-", "_"), known))


def _show(value: object) -> str:
    shown = re.sub(r"://[^\s'\"]+", f"://{redact.MASK}", redact.mask(repr(value)))  # an alert's URL is a secret
    return "nothing" if value is None else f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _mismatch(expected: str, value: object) -> ValueError:
    return ValueError(f"expected {expected}, got {_show(value)}")


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise _mismatch("a text", value)
    return value


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _mismatch("true or false", value)
    return value


def integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mismatch("a whole number", value)
    return value


def number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _mismatch("a number", value)
    return float(value)


def seconds(value: object) -> float:
    """A length of time, as `kit._durations` reads it."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise _mismatch("a length of time", value)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise UserError(str(error), fix="Write it as `90 s`, `15 m`, `2 h`, `1 d` or `1 h 30 m`.") from error


def texts(value: object) -> tuple[str, ...]:
    """A list of texts; a single one may stand for it."""
    if isinstance(value, str):
        return (text(value),)
    if not isinstance(value, list | tuple):
        raise _mismatch("a list of texts", value)
    return tuple(text(item) for item in value)


def choice(kind: type[E], *, among: Sequence[E] | None = None) -> Callable[[object], E]:
    """One of an enum's values, or of some of them."""
    names = [member.value for member in among or kind]

    def convert(value: object) -> E:
        if isinstance(value, str) and value in names:
            return kind(value)
        hint = nearest(value, names) if isinstance(value, str) else None
        raise UserError(f"expected one of {', '.join(names)}, got {_show(value)}", fix=hint or f"Use {names[0]!r}.")

    return convert
