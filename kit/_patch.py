"""A git diff in parts: its files and their lines, without the secrets in them. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from kit.known_secrets import KnownSecrets
from kit.redact import MASK, looks_secret

__all__ = ["FilePatch", "Line", "mask_patch", "split_patch"]

_FILE = "diff --git "
_HIDDEN = "(a file of secrets, by its name: not shown)"
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,80}PRIVATE KEY")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,80}PRIVATE KEY")
_KEY_LINE = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/]{60,76}={0,2}")
"""A line of a key, whose first line may be too far up for the diff to show it."""
_EXPRESSION = re.compile(
    r"^[^#]*[:=]\s*(?:await\s+)?(?:[A-Za-z_][\w.]*[(\[]|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|(?:str|bytes|int|bool|float|Any)\b)[^#]*$"
)
"""Python that says where a value comes from, or of which type it is: `token = next(tokens)` is worth reading."""

Kind = Literal["added", "removed", "changed", "renamed", "copied"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a hunk, without the sign before it; `old` and `new` are its numbers, from 1, where it has them."""

    kind: Literal["hunk", "same", "added", "removed", "note"]
    text: str
    old: int | None = None
    new: int | None = None


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What changed in one file.

    Attributes:
        was: What a file that was renamed or copied was called.
        head: What git says before the first hunk; the names in it are as git writes them.
        body: The hunks; empty where there are none to show, as for binary files.
    """

    path: str
    kind: Kind
    was: str | None
    head: tuple[str, ...]
    body: tuple[str, ...]

    @property
    def added(self) -> int:
        return sum(1 for line in self.body if line.startswith("+"))

    @property
    def removed(self) -> int:
        return sum(1 for line in self.body if line.startswith("-"))

    @property
    def binary(self) -> bool:
        return any(line.startswith(("Binary files ", "GIT binary patch")) for line in self.head)

    @property
    def hidden(self) -> bool:
        """Whether it is not shown, as a file of secrets."""
        return _HIDDEN in self.head

    @property
    def mode(self) -> tuple[str, str] | None:
        """The old and the new mode, if it changed."""
        modes = [line.rpartition(" ")[2] for line in self.head if line.startswith(("old mode ", "new mode "))]
        return (modes[0], modes[1]) if len(modes) == 2 else None

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in (*self.head, *self.body))

    def lines(self) -> Iterator[Line]:
        """The lines of the hunks, numbered."""
        old = new = 0
        for line in self.body:
            sign, text = line[:1], line[1:]
            if (found := _HUNK.match(line)) is not None:
                old, new = int(found[1]), int(found[2])
                yield Line("hunk", line)
            elif sign == "+":
                yield Line("added", text, None, new)
                new += 1
            elif sign == "-":
                yield Line("removed", text, old)
                old += 1
            elif sign == " ":
                yield Line("same", text, old, new)
                old, new = old + 1, new + 1
            else:
                yield Line("note", line.removeprefix("\\ "))


def split_patch(diff: str) -> list[FilePatch]:
    """The files of a diff between two commits, in git's order."""
    # A line of a file has a sign before it, so that nothing in a file can look like a head. Line ends are git's alone.
    starts = [found.start() for found in re.finditer(rf"^{_FILE}", diff, re.MULTILINE)]
    return [_parse(diff[start:end]) for start, end in pairwise([*starts, len(diff)])]


def mask_patch(diff: str, secrets: KnownSecrets | None = None) -> str:
    """The diff with `***` for secrets. Of a file that likely holds nothing else it only says that there is a change.

    Args:
        diff: As git writes it.
        secrets: Those that are known by value, which can stand anywhere.
    """
    known = secrets or KnownSecrets()
    return "".join(_masked(patch, known).text for patch in split_patch(diff))


def _parse(text: str) -> FilePatch:
    lines = text.removesuffix("\n").split("\n")
    first = next((index for index, line in enumerate(lines) if line.startswith("@@ ")), len(lines))
    head, body = tuple(lines[:first]), tuple(lines[first:])
    old, new = _names(head)
    kind: Kind = "changed"
    for line in head:
        for sign, meant in _SIGNS.items():
            if line.startswith(sign):
                kind = meant
    return FilePatch(new, kind, old if kind in {"renamed", "copied"} else None, head, body)


_SIGNS: dict[str, Kind] = {
    "new file mode ": "added",
    "deleted file mode ": "removed",
    "rename from ": "renamed",
    "copy from ": "copied",
}


def _names(head: Sequence[str]) -> tuple[str, str]:
    """The old and the new name of a file; what is added or removed has the same one twice."""
    said = {}
    for line in head[1:]:
        for sign in ("rename from ", "rename to ", "copy from ", "copy to ", "--- ", "+++ "):
            if line.startswith(sign):
                said[sign.split()[-1]] = _unquoted(line.removeprefix(sign).removesuffix("\t"))
    if "from" in said and "to" in said:
        return said["from"], said["to"]
    old, new = said.get("---", "/dev/null"), said.get("+++", "/dev/null")
    name = (old if new == "/dev/null" else new)[2:]
    if (old, new) == ("/dev/null", "/dev/null"):  # a binary file, an empty one, or another mode only: the name, twice
        rest = head[0].removeprefix(_FILE)
        quoted = _QUOTED.match(rest)
        name = _unquoted(quoted[0])[2:] if quoted else rest[: (len(rest) - 1) // 2][2:]
    return name, name


def _unquoted(name: str) -> str:
    """git puts names with line ends, quotes or backslashes in quotes, as C does."""
    if not _QUOTED.fullmatch(name):
        return name
    raw = name[1:-1].encode("utf-8", "surrogateescape")
    plain = _ESCAPE.sub(
        lambda found: bytes([int(found[1], 8) & 255]) if len(found[1]) == 3 else _ESCAPES.get(found[1], found[1]), raw
    )
    return plain.decode("utf-8", "replace")


def _masked(patch: FilePatch, secrets: KnownSecrets) -> FilePatch:
    head = tuple(map(secrets.mask, patch.head))
    python = patch.path.endswith((".py", ".pyi"))
    if patch.body and (looks_secret(patch.path) or looks_secret(patch.was or patch.path)):
        return FilePatch(patch.path, patch.kind, patch.was, (*head, _HIDDEN), ())
    body: list[str] = []
    hunk: list[str] = []
    for line in patch.body:
        if line.startswith("@@ ") and hunk:
            body += _masked_hunk(hunk, secrets, python=python)
            hunk = []
        hunk.append(line)
    return FilePatch(patch.path, patch.kind, patch.was, head, (*body, *_masked_hunk(hunk, secrets, python=python)))


def _masked_hunk(lines: Sequence[str], secrets: KnownSecrets, *, python: bool) -> list[str]:
    signs = [line[:1] if index else "" for index, line in enumerate(lines)]
    bare = _without_keys([line.removeprefix(sign) for line, sign in zip(lines, signs, strict=True)])
    masked = _each(bare, secrets.mask)
    if python:
        shown = _each(bare, secrets.mask_code)
        masked = [
            code if _EXPRESSION.search(line) else text for line, text, code in zip(bare, masked, shown, strict=True)
        ]
    return [sign + line for sign, line in zip(signs, masked, strict=True)]


def _each(lines: Sequence[str], mask: Callable[[str], str]) -> list[str]:
    """All at once, since each call costs; but what spans lines is masked line by line, so that none is lost."""
    masked = mask("\n".join(lines)).split("\n")
    return masked if len(masked) == len(lines) else [mask(line) for line in lines]


def _without_keys(lines: Sequence[str]) -> list[str]:
    """A private key has many lines, of which a hunk may show any, also behind its numbers."""
    found: list[str] = []
    within = False
    for line in lines:
        hunk = None if found else _HUNK.match(line)
        text = line[hunk.end() :] if hunk else line
        within = within or _KEY_BEGINS.search(text) is not None
        if within or _KEY_LINE.fullmatch(text.strip(" \t'\",\\n")):
            found.append(f"{hunk[0]} {MASK}" if hunk else MASK)
        else:
            found.append(line)
        within = within and not _KEY_ENDS.search(text)
    return found
