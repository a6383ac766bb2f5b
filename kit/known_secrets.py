"""Secrets that are known by value: those of a run's config and environment, masked wherever they turn up.

`redact` tells a secret by its form or by the name before it. What a program did with one has neither: `hunter2` alone,
in a message or in a variable called `text`. Pure functions.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Self
from urllib.parse import quote, quote_plus, unquote

from kit.redact import MASK, is_harmless, is_secret, is_secret_name, mask, mask_code

__all__ = ["KnownSecrets"]

_SHORTEST = 4
"""What is shorter is masked only where it is all there is: `ab` is part of half of all words."""
_WITHIN_WORDS = 8
"""What is shorter is masked as a word only: a password `test` must not make `***_set` of `test_set`."""
_MARGIN = 4096
"""Characters past a cut that are looked at too, so that a secret that lies across it is not shown in part."""
_FOLDERS = {"PWD", "OLDPWD"}
"""Variables that are called like a password, and are where the shell is and was."""
_URL_PASSWORD = re.compile(r"://[^\s:/@?#]*:([^\s/@]{1,256})@|://([\w.~%-]{20,256})@")
_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([\w.-]+)\s*=\s*(.*?)\s*$", re.MULTILINE)


class KnownSecrets:
    """A set of secrets, and what masks them.

    Args:
        values: The secrets. What cannot be one, as `none` or nothing, is left out.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = frozenset(value for value in values if value.strip() and not is_harmless(value))

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        *,
        marked: Collection[str] = (),
        environment: Mapping[str, str] | None = None,
        files: Iterable[str] = (),
        public: Collection[str] = (),
    ) -> Self:
        """The secrets of a run.

        Args:
            config: Plain containers.
            marked: Dotted keys of `config` that hold a secret whatever their name says.
            environment: Variables; those with a secret name count, and passwords in URLs.
            files: Contents of `.env` files.
            public: What everybody knows anyway, should it be a password as well: `root` is part of many paths.
        """
        assigned = (pair for text in files for pair in _assignments(text))
        variables = ((name, value) for name, value in (environment or {}).items() if name not in _FOLDERS)
        named = [*variables, *assigned]
        values = {value for name, value in named if is_secret_name(name)}
        values.update(found for _, value in named for found in _in_urls(value))
        values.update(_in_config(config, "", frozenset(marked), secret=False))
        return cls(values.difference(public))

    def __bool__(self) -> bool:
        return bool(self._values)

    def adding(self, values: Iterable[str]) -> KnownSecrets:
        """These and others."""
        return KnownSecrets(self._values | set(values))

    def is_one(self, text: str) -> bool:
        """Whether the text is a secret, and nothing else."""
        return text in self._values

    def mask(self, text: str) -> str:
        """The text with `***` for every known secret in it, and for what `redact.mask` finds."""
        if self.is_one(text):
            return MASK
        return mask(self._without_known(text))

    def mask_code(self, text: str) -> str:
        """The same for Python."""
        return mask_code(self._without_known(text))

    def _without_known(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def cut(self, text: str, limit: int) -> str:
        """The beginning of a text, masked; what is masked includes a secret that lies across the cut.

        Args:
            limit: Characters of `text`, at most, that are shown.
        """
        if len(text) <= limit + _MARGIN:
            return self.mask(text)[:limit]
        shown = self.mask(text[: limit + 2 * _MARGIN])
        # What stands at the end of that may be half a secret, which nothing can tell.
        return shown[: min(limit, max(0, len(shown) - _MARGIN))]

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        spelled = {spelling for value in self._values for spelling in _spellings(value) if len(spelling) >= _SHORTEST}
        if not spelled:
            return None
        return re.compile("|".join(_alone(text) for text in sorted(spelled, key=len, reverse=True)))


def _alone(text: str) -> str:
    if len(text) >= _WITHIN_WORDS:
        return re.escape(text)
    return rf"(?<![A-Za-z0-9_]){re.escape(text)}(?![A-Za-z0-9_])"


def _spellings(value: str) -> set[str]:
    """As it stands in a URL, in JSON, in Python's own notation, and inside of something in base64."""
    written = {value, value.strip(), quote(value), quote(value, safe=""), quote_plus(value), unquote(value)}
    written |= {json.dumps(value)[1:-1], repr(value)[1:-1]}
    return written | {text for text in _in_base64(value.encode()) if len(text) >= _WITHIN_WORDS}


def _in_base64(value: bytes) -> Iterator[str]:
    """What all texts in base64 that have it inside have in common; where it begins decides which of three it is."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + value).decode().rstrip("=")
        whole = (before + len(value)) % 3 == 0
        yield text[(before * 8 + 5) // 6 : len(text) if whole else len(text) - 1]


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for name, value in _ASSIGNMENT.findall(text):
        quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
        yield name, value[1:-1] if quoted else value.partition(" #")[0].rstrip()


def _in_urls(text: str) -> Iterator[str]:
    for password, token in _URL_PASSWORD.findall(text):
        yield password or token


def _in_config(value: object, path: str, marked: frozenset[str], *, secret: bool) -> Iterator[str]:
    secret = secret or path in marked
    if isinstance(value, Mapping):
        for key, child in value.items():
            below = f"{path}.{key}" if path else str(key)
            yield from _in_config(child, below, marked, secret=secret or is_secret(str(key), child))
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from _in_config(child, f"{path}.{index}", marked, secret=secret)
    elif isinstance(value, str):
        yield from _in_urls(value)
        if secret:
            yield value
    elif secret and isinstance(value, int | float) and not isinstance(value, bool) and len(str(value)) >= _SHORTEST:
        yield str(value)
