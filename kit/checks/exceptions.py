"""Where a rule need not be kept, and why: comments in files, and `[tool.kit.check] exceptions`.

    frame = pickle.load(file)  # kit: ignore[KIT305] written by the step before, in the same job

A comment with a line to itself is about the next line; above everything else in its file it is about the whole file.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from kit.checks.rule import Finding
from kit.checks.tree import Tree, is_match

__all__ = ["UNUSED", "WITHOUT_REASON", "Exceptions"]

WITHOUT_REASON, UNUSED = "KIT001", "KIT002"

_SIGN = "kit: ignore"
_COMMENT = re.compile(r"#\s*kit: ignore(?:\[(?P<codes>[^\]]*)\])?(?P<reason>[^#]*)")
_IN_MARKDOWN = re.compile(r"<!--\s*kit: ignore(?:\[(?P<codes>[^\]]*)\])?(?P<reason>.*?)-->")
_SUFFIXES = {".py", ".pyi", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".sh", ".dockerfile"}
_NAMES = ("Dockerfile", "Makefile", "Containerfile")
_SETTINGS = "pyproject.toml"


@dataclass(slots=True)
class _Exception:
    """One of them.

    Attributes:
        codes: Of which rules.
        path: A file, or a glob of files from the settings.
        lines: The lines it is about; None: all.
        at: Where it is written, and on which line.
        used: The codes of what it excepted.
    """

    codes: tuple[str, ...]
    path: str
    lines: frozenset[int] | None
    at: tuple[str, int | None]
    reason: str
    used: set[str] = field(default_factory=set)

    def covers(self, code: str, finding: Finding) -> bool:
        return (
            code in self.codes
            and is_match(finding.path, self.path)
            and (self.lines is None or finding.line in self.lines)
        )


class Exceptions:
    """All of a project's, of the files that are looked at."""

    def __init__(self, tree: Tree, paths: Iterable[str]) -> None:
        self._in_files = [exception for path in paths for exception in _of_file(tree, path)]
        self._in_settings = list(_of_settings(tree))

    def cover(self, code: str, finding: Finding) -> bool:
        """Whether a finding is excepted; the exception counts as used then."""
        covering = [each for each in (*self._in_files, *self._in_settings) if each.covers(code, finding)]
        for exception in covering:
            exception.used.add(code)
        return bool(covering)

    def without_reason(self) -> Iterator[Finding]:
        """Those that do not say why."""
        for exception in (*self._in_files, *self._in_settings):
            path, line = exception.at
            if not exception.codes:
                hint = "Name its rules: `# kit: ignore[KIT301] why`."
                yield Finding(path, "an exception that names no rule", line, hint=hint)
            elif not exception.reason:
                hint = "Say why the rule need not be kept there."
                yield Finding(path, f"an exception from {', '.join(exception.codes)} without a reason", line, hint=hint)

    def unused(self, judged: frozenset[str], *, settings: bool) -> Iterator[Finding]:
        """Those that excepted nothing, of the rules that were looked after.

        Args:
            judged: Their codes.
            settings: Whether all files were looked at, so that those of the settings can be judged.
        """
        for exception in (*self._in_files, *(self._in_settings if settings else ())):
            path, line = exception.at
            for code in exception.codes:
                if code not in exception.used and code in judged:
                    yield Finding(path, f"nothing to except from {code}", line, hint="Take the exception out.")


def _of_settings(tree: Tree) -> Iterator[_Exception]:
    text = tree.text(_SETTINGS) or ""
    for exception in tree.project.settings.check.exceptions:
        codes = (exception.rule.upper(),)
        at = (_SETTINGS, _line_of(text, exception.rule))
        yield _Exception(codes, exception.path, None, at, exception.reason.strip())


def _line_of(text: str, rule: str) -> int | None:
    found = re.search(rf"""^[^#\n]*\brule\s*=\s*["']{re.escape(rule)}["']""", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.end()) + 1


def _of_file(tree: Tree, path: str) -> Iterator[_Exception]:
    pattern = _pattern(path)
    text = tree.text(path) if pattern is not None else None
    if pattern is None or text is None or _SIGN not in text:
        return
    lines = text.splitlines()
    for number in _comment_lines(path, text):
        comment = pattern.search(lines[number - 1])
        if comment is not None and not (pattern is _IN_MARKDOWN and _is_quoted(comment)):
            about = _about(lines, number, comment.start())
            codes = tuple(word.strip().upper() for word in (comment["codes"] or "").split(",") if word.strip())
            yield _Exception(codes, path, about, (path, number), comment["reason"].strip(" \t-:,."))


def _pattern(path: str) -> re.Pattern[str] | None:
    name = PurePosixPath(path)
    if name.suffix == ".md":
        return _IN_MARKDOWN
    return _COMMENT if name.suffix.lower() in _SUFFIXES or name.name.startswith(_NAMES) else None


def _comment_lines(path: str, text: str) -> list[int]:
    """The lines that may have such a comment; in Python a text that only looks like one does not count."""
    if not path.endswith((".py", ".pyi")):
        return [number for number, line in enumerate(text.splitlines(), 1) if _SIGN in line]
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [token.start[0] for token in tokens if token.type == tokenize.COMMENT and _SIGN in token.string]


def _about(lines: list[str], number: int, start: int) -> frozenset[int] | None:
    """The lines that a comment is about; None: the whole file."""
    if lines[number - 1][:start].strip():
        return frozenset({number})
    if all(not line.strip() or _is_comment(line) for line in lines[: number - 1]):
        return None
    following = (at for at, line in enumerate(lines[number:], number + 1) if line.strip() and not _is_comment(line))
    return frozenset({number, next(following, number)})


def _is_quoted(comment: re.Match[str]) -> bool:
    """Whether it is code in a page of Markdown, which shows how to write one."""
    return comment.string.count("`", 0, comment.start()) % 2 == 1


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(("#", "<!--"))
