"""The command line's overrides, read with Hydra's own grammar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kit.config._origins import COMMAND_LINE
from kit.errors import UserError

__all__ = ["bad_override", "parse_overrides", "refuse_sweeps"]


def parse_overrides(loader: Any, overrides: Sequence[str]) -> list[Any]:  # noqa: ANN401 Hydra has no types
    """The overrides as Hydra understands them.

    Raises:
        UserError: If one is not in Hydra's grammar.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create(config_loader=loader)
    parsed = []
    for text in overrides:
        try:
            parsed += parser.parse_overrides([text])
        except HydraException as error:
            raise _unreadable(text, error) from error
        if not parsed[-1].key_or_group:
            raise bad_override(f"{text!r} sets no key", "Write it as `key=value`.")
    return parsed


def refuse_sweeps(parsed: Sequence[Any]) -> None:
    """Raises:
    UserError: If an override has several values.
    """
    for override in parsed:
        if override.is_sweep_override():
            raise bad_override(
                f"{override.input_line!r} has several values, but this is one run",
                "Add -m to run each of them, or write a list as `key=[1,2]` and a text as `key='1,2'`.",
            )


def bad_override(what: str, fix: str | None) -> UserError:
    """The error for an override that cannot be used."""
    return UserError(what, where=COMMAND_LINE, fix=fix)


def _unreadable(text: str, error: Exception) -> UserError:
    column = _column(text)
    place = "" if column is None else f" at column {column + 1}"
    reason = str(error).removeprefix(f"Error parsing override '{text}'\n").splitlines()[0]
    if reason.startswith("LexerNoViableAltException") and column is not None:
        reason = f"{text[column : column + 1]!r} is not expected here"
    reason = re.sub(r" expecting \{.*\}$", "", reason).replace("'<EOF>'", "the end").replace("<EOF>", "the end")
    return bad_override(
        f"cannot read override {text!r}{place}: {reason}",
        "Write it as `key=value`; quote a value with special characters for Hydra as well: `\"key='a value'\"`.",
    )


def _column(text: str) -> int | None:
    """Where the grammar gave up first; Hydra is told, and keeps it to itself. None if only the meaning is wrong."""
    from antlr4 import CommonTokenStream, InputStream  # type: ignore[import-untyped]
    from antlr4.error.ErrorListener import ErrorListener  # type: ignore[import-untyped]
    from hydra.grammar.gen.OverrideLexer import OverrideLexer
    from hydra.grammar.gen.OverrideParser import OverrideParser

    columns: list[int] = []

    class Listener(ErrorListener):  # type: ignore[misc]
        def syntaxError(self, *report: Any) -> None:  # noqa: ANN401, N802 ANTLR's name and arguments
            columns.append(report[3])

    lexer = OverrideLexer(InputStream(text))
    parser = OverrideParser(CommonTokenStream(lexer))
    for recognizer in (lexer, parser):
        recognizer.removeErrorListeners()
        recognizer.addErrorListener(Listener())
    parser.override()
    return columns[0] if columns else None
